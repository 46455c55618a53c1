"""`python -m autolabel`: help, unknown commands, missing packages, merging."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autolabel.__main__ import COMMANDS, main
from tests.absent_packages import command_without
from tests.autolabel.corpora import ROOT, dump, environment, make_corpus, teacher_file


def _run_without(*absent: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs the command as if some packages were not installed."""
    command = [sys.executable, "-c", command_without(absent, "autolabel"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


def test_help_names_every_command_and_needs_nothing() -> None:
    ran = _run_without("torch", "onnxruntime", "cv2", "numpy", arguments=["--help"])
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
    ran = _run_without(absent, arguments=["run", str(room_path), "--out", str(tmp_path / "set"), "--teacher", teacher])
    assert ran.returncode == 9, ran.stderr
    assert ran.stdout == ""
    shown = rf"autolabel: `run` needs {absent}\S*, which is not installed; "
    assert re.fullmatch(shown + r"pip install 'interior-surfaces\[autolabel\]'\n", ran.stderr)
    assert not (tmp_path / "set").exists()


def test_labelling_with_the_student_needs_no_torch(tmp_path: Path, room_path: Path) -> None:
    flags = ["--out", str(tmp_path / "set"), "--teacher", "student", "--threads", "1"]
    ran = _run_without("torch", "transformers", "segment_anything", arguments=["run", str(room_path), *flags])
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("arguments", [[], ["fly"], ["--fast", "run"], ["run", "--colour", "red"], ["run", "photos"]])
def test_unknown_commands_and_flags(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: python -m autolabel")


def test_interrupting_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("autolabel.commands.status.run", interrupted)
    assert main(["status", "a"]) == 130
    assert capsys.readouterr().err == "autolabel: interrupted\n"


def test_shards_of_several_machines_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, teacher = make_corpus(tmp_path / "photos", 8), str(teacher_file(tmp_path))
    flags = ["--allow-python", "--teacher", teacher, "--quiet"]
    folders = [str(tmp_path / name) for name in ("one", "two")]
    for number, folder in enumerate(folders, 1):
        assert main(["run", str(corpus), "--out", folder, "--shard", f"{number}/2", *flags]) == 0
    assert main(["run", str(corpus), "--out", str(tmp_path / "whole"), *flags]) == 0
    capsys.readouterr()
    assert main(["merge", *folders, "--out", str(tmp_path / "merged")]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'merged'}\n"
    assert sum(map(int, re.findall(r": (\d+) photos taken over", shown.err))) == 8
    assert dump(tmp_path / "merged") == dump(tmp_path / "whole")

    assert main(["merge", folders[0], str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 8
    assert not (tmp_path / "new").exists()
    teacher_file(tmp_path, bias=0.1)
    assert main(["run", str(corpus), "--out", str(tmp_path / "other"), *flags]) == 0
    assert main(["merge", str(tmp_path / "other"), "--out", str(tmp_path / "merged")]) == 12
