"""`segment.py` in this process with a stub network, and as a process with the shipped one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import segment
from tests.segment.runs import (
    COMMAND,
    Run,
    StubSegmenter,
)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the command in this process; pictures go to `tmp_path / "out"`."""
    monkeypatch.setattr("models.Segmenter", StubSegmenter, raising=False)
    for variable in ("INTERIOR_SURFACES_SURNAME", "INTERIOR_SURFACES_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Run:
        folder = tmp_path / "out"
        code = segment.main(["--output", str(folder), "--allow-private", *map(str, arguments)])
        return Run(code, *capsys.readouterr(), folder)

    return run


@pytest.fixture
def command(tmp_path: Path):
    """Runs the command as a process; pictures go to `tmp_path / "out"`."""

    def run(*arguments: object, **options: object) -> Run:
        folder = tmp_path / "out"
        words = [*COMMAND, "--allow-private", "--output", folder, *arguments]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 120} | options
        done = subprocess.run([*map(str, words)], **options)
        return Run(done.returncode, done.stdout, done.stderr, folder)

    return run
