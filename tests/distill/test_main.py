"""`python -m distill`: help, unknown commands, absent packages, and no command overwrites its inputs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from distill.__main__ import COMMANDS, main
from models.student.network import Student
from models.student.weights import save_student
from surfaces.datasets import open_dataset, write_packed
from surfaces.datasets.coco import write_coco
from tests.absent_packages import command_without
from tests.distill.training import ROOMS, run_distill


def test_help_names_every_command_without_torch() -> None:
    absent = ("torch", "onnxruntime", "onnx", "torchvision")
    ran = run_distill("--help", python=("-c", command_without(absent, "distill")))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: python -m distill")
    for name, summary in COMMANDS.items():
        assert name in ran.stdout
        assert summary.split()[0] in ran.stdout


@pytest.mark.parametrize(
    ("absent", "arguments", "code", "message"),
    [
        ("torch", "train --data a", 9, "`train` needs torch"),
        ("torchvision", "train --help", 9, "`train` needs torchvision"),
        ("onnxruntime", "evaluate a", 9, "`evaluate` needs onnxruntime"),
        ("onnx", "export a.npz --out b.onnx --check c", 9, "`export` needs onnx"),
        ("torch", "benchmark a.jpg", 9, "`benchmark` needs torch"),
        ("torch onnxruntime", "inspect none", 8, "expected a dataset at none"),  # it needs neither
    ],
)
def test_absent_packages_are_one_line(absent: str, arguments: str, code: int, message: str) -> None:
    ran = run_distill(*arguments.split(), python=("-c", command_without(absent.split(), "distill")))
    assert ran.returncode == code, ran.stderr
    assert ran.stdout == ""
    remedy = r"\S*, which is not installed; pip install 'interior-surfaces\[train\]'" if code == 9 else ".*"
    assert re.fullmatch(rf"distill: {message}{remedy}\n", ran.stderr)


@pytest.mark.parametrize("arguments", ["", "fly", "--fast train", "train --colour red"])
def test_unknown_commands_and_flags(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m distill")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("reviews", "python -m tools.review_simulation"),
        ("scores", "python -m tools.compare_models"),
        ("shapes", "python -m tools.resolution_bound"),
        ("losses", "tensorboard --logdir RUN/curves"),
    ],
)
def test_a_former_command_names_its_place(name: str, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith(f"distill: `{name}` is no longer a command; ")
    assert place in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: python -m distill {name}")
    if name == "train":
        flags = ("--config", "--resume", "--budget", "--table-share", "--no-freeze", "--checkpoint-every")
        assert [flag for flag in flags if flag not in shown] == []


def test_interrupting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.commands.inspect.run", interrupted)
    assert main(["inspect", "a", "--out", "b.jpg"]) == 130
    assert capsys.readouterr().err == "distill: interrupted\n"


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
        "inspect masks coco --split all --out masks/images/room_03.jpg",
        "inspect coco/annotations.json --out coco/images/room_03.jpg",
        "evaluate masks --split all --out masks",
        "evaluate coco --split all --out coco",
        "errors masks --split all --out masks",
        "errors coco --split all --sheet coco/images/room_01.jpg",
        "benchmark masks/images/room_01.jpg --json masks/images/room_01.jpg",
        "pack masks --split all --out packed",
        "train --data masks --split all --steps 1 --init runs/a/student.npz --run runs/a",
    ],
)
def test_inputs_stay_as_they_are(
    command: str, originals: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
