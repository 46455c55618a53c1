"""`python -m autolabel`: help, unknown commands, missing packages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autolabel.__main__ import COMMANDS, main
from tests.absent_packages import command_without
from tests.autolabel.corpora import ROOT, environment


def _run_without(absent: list[str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command as if some packages were not installed."""
    command = [sys.executable, "-c", command_without(absent, "autolabel"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_help_names_every_command_and_needs_nothing() -> None:
    ran = _run_without(["torch", "onnxruntime", "cv2", "numpy"], "--help")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: python -m autolabel")
    for name, summary in COMMANDS.items():
        assert name in ran.stdout
        assert summary.split()[0] in ran.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m autolabel {name}")


@pytest.mark.parametrize(
    ("absent", "teacher"), [("torch", "grounded-sam"), ("segment_anything", "grounded-sam"), ("onnxruntime", "student")]
)
def test_a_missing_package_is_one_line(tmp_path: Path, room_path: Path, absent: str, teacher: str) -> None:
    ran = _run_without([absent], "run", room_path, "--out", tmp_path / "set", "--teacher", teacher)
    assert ran.returncode == 9, ran.stderr
    assert ran.stdout == ""
    shown = rf"autolabel: `run` needs {absent}\S*, which is not installed; "
    assert re.fullmatch(shown + r"pip install 'interior-surfaces\[autolabel\]'\n", ran.stderr)
    assert not (tmp_path / "set").exists()


def test_labelling_with_the_student_needs_no_torch(tmp_path: Path, room_path: Path) -> None:
    flags = "--teacher", "student", "--threads", "1"
    absent = ["torch", "transformers", "segment_anything"]
    ran = _run_without(absent, "run", room_path, "--out", tmp_path / "set", *flags)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("", "command"),
        ("fly", "'fly'"),
        ("--fast run", "CORPUS"),
        ("run photos --out set --colour red", "--colour red"),
        ("run photos", "--out"),
        ("run photos --out set --shard 0/3", "--shard"),
        ("run photos --out set --shard 4/3", "--shard"),
        ("run photos --out set --shard 3", "--shard"),
        ("run photos --out set --limit 0", "--limit"),
        *(
            (f"export set --format coco --out out --min-score {score}", "--min-score")
            for score in (2, -1, "nan", "sure")
        ),
    ],
)
def test_unknown_commands_and_invalid_flags(arguments: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m autolabel")
    assert named in err.splitlines()[-1]


def test_interrupting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("autolabel.commands.status.run", interrupted)
    assert main(["status", "a"]) == 130
    assert capsys.readouterr().err == "autolabel: interrupted\n"
