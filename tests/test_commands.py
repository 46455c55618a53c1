"""All commands: they import nothing from the folder they are started in, and escape names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autolabel.__main__ import main

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[1]
SHADOWED = ("argparse", "surfaces", "models", "numpy", "tqdm", "torch", "PIL")


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    return subprocess.run([sys.executable, *words], cwd=folder, env=kept | variables, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    [
        "autolabel status none",
        "autolabel run none --out labels",
        "distill inspect none --out sheet.png",
        "labelstudio status none",
        "segment --url none",
    ],
)
def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path, command: str) -> None:
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\nraise SystemExit(99)\n")
    ran = run(tmp_path, "-m", *command.split(), PYTHONPATH=str(ROOT))
    assert "none" in ran.stderr
    assert ran.returncode not in (0, 1, 99), ran.stderr
    assert not list(tmp_path.glob("ran-*"))


@pytest.mark.parametrize("command", ["autolabel", "distill", "labelstudio", "segment"])
def test_a_checkout_that_is_not_installed_runs_in_its_own_folder(command: str) -> None:
    ran = run(ROOT, "-S", "-m", command, "--help")  # -S: no installed packages
    assert ran.returncode == 0, ran.stderr


def test_an_error_escapes_the_control_characters_of_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "a\x1b[2J\nautolabel: fine\u202e")]) == 8
    error = capsys.readouterr().err.removesuffix("\n")
    assert error.isprintable()
    assert "\\x1b[2J\\nautolabel: fine\\u202e" in error
