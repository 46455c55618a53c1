"""No command writes over what it reads."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from distill.__main__ import main
from models.student.network import Student
from models.student.weights import save_student
from surfaces.datasets import open_dataset, write_packed
from surfaces.datasets.coco import write_coco
from tests.distill.training import ROOMS


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and datasets of three formats: `a.npz`, `b.npz`, `start.pth`, `masks`, `coco`, `packed`."""
    folder = tmp_path_factory.mktemp("originals")
    for name in ("a", "b"):
        save_student(Student(), folder / f"{name}.npz")
    torch.save({}, folder / "start.pth")
    for part, suffix in (("images", ".jpg"), ("masks", ".png")):
        (folder / "masks" / part).mkdir(parents=True)
        for name in ("room_01", "room_03"):
            shutil.copy(ROOMS / part / f"{name}{suffix}", folder / "masks" / part)
    samples = open_dataset(folder / "masks")
    write_coco(samples, folder / "coco")
    write_packed(samples, folder / "packed")
    (folder / "runs" / "a").mkdir(parents=True)
    shutil.copy(folder / "a.npz", folder / "runs" / "a" / "student.npz")
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        "export a.npz --out a.npz --check masks",
        "export a.npz --out masks/images/room_01.jpg --check masks",
        "export a.npz --out coco/images/room_01.jpg --check coco/annotations.json",
        "average a.npz b.npz --out a.npz",
        "average a.npz b.npz --out packed/../b.npz",
        "convert start.pth --out start.pth",
        "inspect masks --split all --out masks/images/room_01.jpg",
        "inspect masks --split all --out masks/masks/room_03.png",
        "inspect coco/annotations.json --out coco/images/room_03.jpg",
        "evaluate masks --split all --out masks",
        "evaluate coco --split all --out coco",
        "worst masks --split all --out masks",
        "worst coco --split all --sheet coco/images/room_01.jpg",
        "benchmark masks/images/room_01.jpg --json masks/images/room_01.jpg",
        "pack masks --split all --out packed",
        "train --data masks --split all --steps 1 --init runs/a/student.npz --run runs/a",
    ],
)
def test_inputs_stay_as_they_are(
    command: str,
    originals: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(originals)
    before = contents(originals)
    assert main(command.split()) == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"^distill: expected .*\n\Z", err, re.M)
    assert contents(originals) == before


def test_results_are_replaced_by_new_ones(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["inspect", str(originals / "masks"), "--out", "sheet.png"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
