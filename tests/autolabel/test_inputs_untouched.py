"""No command writes over or into its inputs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autolabel.__main__ import main
from surfaces.store.label_store import LabelSettings, LabelStore
from tests.autolabel.label_stores import ROOMS, rooms_store

_REFUSED = {
    "export equal": "export store --format coco --out store",
    "export inside": "export store --format coco --out store/new/out",
    "export by a link": "export store --format coco --out link/out",
    "report inside": "report store --out store/report",
    "compare over the labels": "compare store --truth rooms --json store/labels.sqlite",
    "compare over the truth": "compare store --truth rooms/annotations.json --json rooms/annotations.json",
    "compare inside the truth": "compare store --truth rooms --json rooms/annotations.json",
    "merge equal": "merge store other --out store",
    "merge by a link": "merge other store --out link",
    "merge inside": "merge store other --out store/all",
    "crawl equal": "crawl --folder rooms/images --out rooms/images",
    "crawl inside": "crawl --folder rooms --out rooms/corpus",
    "crawl photos into the folder": "crawl --folder rooms --out corpus --store rooms/images",
    "crawl report inside": "crawl --out corpus --report corpus/report",
}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", list(_REFUSED.values()), ids=list(_REFUSED))
def test_an_output_inside_an_input_is_refused(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rooms_store(tmp_path / "store", 1)
    rooms_store(tmp_path / "other", 2)
    (tmp_path / "link").symlink_to("store")
    (tmp_path / "corpus").mkdir()
    shutil.copytree(ROOMS, tmp_path / "rooms")
    before = _contents(tmp_path)
    assert main(command.split()) == 6
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autolabel: expected an output outside of the input ")
    assert shown.err.count("\n") == 1
    assert _contents(tmp_path) == before


def test_stores_of_other_settings_are_not_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = rooms_store(tmp_path / "one", 1), tmp_path / "two"
    with LabelStore.create(two) as store:
        store.use_settings(LabelSettings("0" * 64, "another teacher"))
    assert main(["merge", str(one), str(two), "--out", str(tmp_path / "all")]) == 12
    shown = capsys.readouterr()
    assert "one (ensemble (a, b), ffffffffffff)" in shown.err
    assert "two (another teacher, 000000000000)" in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "all").exists()


def test_reviews_that_are_not_taken_over_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [rooms_store(tmp_path / name, 2) for name in ("one", "two")]
    for folder in folders:
        with LabelStore.open(folder) as store:
            sha256 = next(store.photos()).sha256
            labels = store.labels(sha256)
            kept = labels.segments if folder.name == "one" else labels.segments[1:]
            store.add_review(sha256, replace(labels, segments=kept), folder.name)
    assert main(["merge", *map(str, folders), "--out", str(tmp_path / "all")]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert shown[1:] == [
        f"{folders[1]}: 0 photos taken over",
        f"{folders[1]}: 1 photos have other reviews in {tmp_path / 'all'}, which are kept",
    ]
