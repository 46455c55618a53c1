"""`python -m`, started in a folder of somebody else: what lies there is not imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[1]
SHADOWED = ("argparse", "surfaces", "models", "numpy", "tqdm", "torch", "PIL")


@pytest.mark.parametrize(
    "command",
    [
        ["autolabel", "status", "none"],
        ["autolabel", "run", "none", "--out", "labels"],
        ["distill", "inspect", "none", "--out", "sheet.png"],
        ["labelstudio", "status", "none"],
        ["segment", "--url", "none"],
    ],
    ids=lambda command: "-".join(command[:2]).strip("-"),
)
def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path, command: list[str]) -> None:
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\nraise SystemExit(99)\n")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=variables | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "none" in ran.stderr
    assert ran.returncode not in (0, 1, 99), ran.stderr
    assert not list(tmp_path.glob("ran-*"))


@pytest.mark.parametrize("command", ["autolabel", "distill", "labelstudio", "segment"])
def test_a_checkout_that_is_not_installed_runs_in_its_own_folder(command: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    ran = subprocess.run(
        [sys.executable, "-S", "-m", command, "--help"],  # -S: no installed packages
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
