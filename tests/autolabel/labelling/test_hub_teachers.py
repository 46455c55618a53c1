"""Runs with `--teacher hf:…`: by name, by file, in an ensemble, killed and resumed."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from pathlib import Path

import pytest

from autolabel.__main__ import main
from autolabel.labelling.labeller import LabellingSettings
from autolabel.labelling.teachers import TeacherOptions, open_teacher
from surfaces.cli.settings_files import SettingsError
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import ROOT, check_error, dump, start
from tests.models.teachers.huggingface.checkpoints import save_checkpoint
from tests.models.teachers.huggingface.hub_server import Hub, serve

ROOMS = ROOT / "tests" / "data" / "rooms" / "images"
LABELS = ("wall", "floor, flooring", "table", "chair")
SHOWN = "licence unknown; wall: wall; floor: floor, flooring; dining table: table\n"


def soft_labels(dataset: Path) -> list[str]:
    with LabelStore.open(dataset) as store:
        found = [(photo.sha256, store.labels(photo.sha256).soft_labels) for photo in store.photos()]
    assert all(soft is not None for _, soft in found)
    return sorted(
        f"{sha256} {hashlib.sha256(soft.tobytes()).hexdigest()}" for sha256, soft in found if soft is not None
    )


def labelled(dataset: Path) -> int:
    if not (dataset / STORE_NAME).is_file():
        return 0
    with LabelStore.create(dataset) as store:
        return len(list(store.photos()))


def killed_run(dataset: Path, *command: str) -> int:
    """Kills a run among its photos; returns how many it has labelled."""
    for _ in range(5):
        process = start(*command, dataset)
        while labelled(dataset) < 3 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if 3 <= (count := labelled(dataset)) < 18:
            return count
        shutil.rmtree(dataset)  # this machine was busy, and the run was done
    raise AssertionError("all kills came too late to show anything")


@pytest.mark.parametrize("kind", ["mask2former", "oneformer", "segformer", "eomt"])
def test_a_run_over_the_rooms_is_killed_and_resumed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "net", kind, LABELS)
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    run = ("run", str(ROOMS), "--teacher", "hf:./net", "--device", "cpu", "--threads", "1", "--out")
    before = killed_run(killed, *run)
    capsys.readouterr()
    assert main([*run, str(killed)]) == 0
    shown = capsys.readouterr().err
    assert f"hf (net): {SHOWN}" in shown
    assert f"{18 - before} labelled, {before} labelled before, 0 skipped" in shown
    assert main([*run, str(unbroken)]) == 0
    assert dump(killed) == dump(unbroken)
    assert soft_labels(killed) == soft_labels(unbroken)
    assert len(set(soft_labels(killed))) == 18


def test_quiet_runs_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "net", "segformer", LABELS)
    capsys.readouterr()
    command = ["run", str(ROOMS), "--teacher", f"hf:{tmp_path / 'net'}", "--device", "cpu", "--limit", "1"]
    assert main([*command, "--out", str(tmp_path / "set"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_repository_by_name_and_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_checkpoint(tmp_path / "net", "segformer", LABELS)
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    revisions = {"main": "a" * 40, "v1": "b" * 40}
    (tmp_path / "map.toml").write_text('floor = ["floor", "chair"]')
    options = TeacherOptions(device="cpu")

    def opened(name: str, **settings: str) -> str:
        chosen = TeacherOptions(device="cpu", **settings)  # type: ignore[arg-type]
        capsys.readouterr()
        return open_teacher(name, LabellingSettings(), chosen).name

    with serve(Hub("lab/net", folder, revisions, {"license": "cc-by-nc-4.0"})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        assert opened("hf:lab/net") == "hf (lab/net @aaaaaaa)"
        assert "licence cc-by-nc-4.0; wall: wall;" in capsys.readouterr().err
        assert opened("hf:lab/net@v1") == "hf (lab/net @bbbbbbb)"
    (tmp_path / "t.toml").write_text('kind = "hf"\nname = "lab/net"\nrevision = "v1"\nclass_map = "map.toml"\n')
    assert opened(str(tmp_path / "t.toml")) == "hf (lab/net @bbbbbbb)"
    assert "floor: floor, flooring, chair" in capsys.readouterr().err
    (tmp_path / "u.toml").write_text('kind = "hf"\nname = "./net"\n')
    assert opened(str(tmp_path / "u.toml")) == "hf (net)"
    mapped = [
        open_teacher(name, LabellingSettings(), TeacherOptions(device="cpu", class_map=class_map, quiet=True))
        for name, class_map in (("hf:lab/net@v1", str(tmp_path / "map.toml")), ("hf:lab/net@v1", None))
    ]
    filed = open_teacher(str(tmp_path / "t.toml"), LabellingSettings(), options)
    assert mapped[0].fingerprint == filed.fingerprint != mapped[1].fingerprint


def test_members_of_an_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "net", "mask2former", ["dining table", "chair"])
    weight = "weight = {other = 0.0, wall = 0.0, floor = 0.0}"  # of what it does not know
    members = f'[[members]]\nkind = "hf"\nname = "./net"\n{weight}\n[[members]]\nkind = "student"\n'
    (tmp_path / "t.toml").write_text(f'kind = "ensemble"\nmirror = false\n{members}')
    command = ["run", str(ROOMS), "--teacher", str(tmp_path / "t.toml"), "--device", "cpu", "--limit", "1"]
    assert main([*command, "--out", str(tmp_path / "set")]) == 0
    assert "wall: none; floor: none; dining table: dining table" in capsys.readouterr().err
    with LabelStore.open(tmp_path / "set") as store:
        assert [photo.teacher for photo in store.photos()] == ["ensemble (hf (net), student (surfaces))"]


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "cats", "segformer", ["cat", "dog", "horse"])
    capsys.readouterr()
    out = ["--out", str(tmp_path / "set"), "--device", "cpu"]
    for code, message, arguments in (
        (7, "expected labels such as wall, floor, dining table, got 3 others", [f"hf:{tmp_path / 'cats'}"]),
        (7, "expected a folder with config.json and model.safetensors", [f"hf:{tmp_path / 'none'}"]),
        (11, "expected a model of the hub such as ORG/NAME", ["hf:"]),
        (11, "expected no weights besides hf:lab/net", ["hf:lab/net", "--weights", str(tmp_path)]),
    ):
        check_error(capsys, code, message, "run", str(ROOMS), *out, "--teacher", *arguments)
    assert not (tmp_path / "set").exists()
    with pytest.raises(SettingsError, match=r"unknown teacher 'hff'; .*, hf:NAME, or a TOML file"):
        open_teacher("hff", LabellingSettings(), TeacherOptions())
