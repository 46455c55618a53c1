"""`python -m autolabel run` on the rendered rooms with each zero-shot teacher: killed, resumed, and without a break."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from autolabel.__main__ import main
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.autolabel.corpora import ROOT, dump, start
from tests.autolabel.tiny_teachers import FILES, write_teachers

pytest.importorskip("groundingdino", reason="needs groundingdino-py, see the Makefile")

ROOMS = ROOT / "tests" / "data" / "rooms" / "images"
ALL = 18


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teachers(tmp_path_factory.mktemp("teachers"))


def command(teachers: Path, name: str, photos: int, out: Path) -> list[str]:
    files = ["--teacher", str(teachers / f"{name}.toml"), "--classes", str(teachers / "classes.toml"), "--allow-python"]
    return ["run", str(ROOMS), "--out", str(out), *files, "--limit", str(photos), "--device", "cpu", "--threads", "1"]


def labelled(out: Path) -> int:
    if not (out / STORE_NAME).is_file():
        return 0
    with LabelStore.create(out) as store:
        return len(list(store.photos()))


@pytest.mark.parametrize(
    ("name", "photos"),
    [
        ("grounded-sam", 3),
        ("grounded-sam2", 3),
        ("groundingdino-py", 3),
        ("sam3", ALL),
        *(pytest.param(name, ALL, marks=pytest.mark.slow) for name in FILES if name != "sam3"),
    ],
)
def test_a_killed_run_resumes_to_the_same_labels(
    teachers: Path, tmp_path: Path, name: str, photos: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(list(ROOMS.iterdir())) == ALL
    killed = command(teachers, name, photos, tmp_path / "killed")
    process = start(*killed)
    while not labelled(tmp_path / "killed") and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.communicate()
    process.communicate()
    before = labelled(tmp_path / "killed")
    assert 0 < before < photos, "the kill came too late or too early to show anything"
    assert main(killed) == 0
    assert f"{photos - before} labelled, {before} labelled before" in capsys.readouterr().err
    assert main(command(teachers, name, photos, tmp_path / "unbroken")) == 0
    assert dump(tmp_path / "killed") == dump(tmp_path / "unbroken")
    with LabelStore.open(tmp_path / "unbroken") as store:
        assert any(store.segments(photo.sha256) for photo in store.photos()), "empty labels would prove nothing"
        teacher = {"groundingdino-py": "grounded-sam2 (groundingdino-py swint", "grounded-sam": "grounded-sam ("}
        assert {photo.teacher.startswith(teacher.get(name, name)) for photo in store.photos()} == {True}
