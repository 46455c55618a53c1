from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from surfaces.version import VERSION

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "tests" / "data" / "rooms" / "images" / "room_01.jpg"
SCRIPT = Path(sysconfig.get_path("scripts"), "interior-surfaces")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_help_and_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"interior-surfaces {VERSION}\n"
    for command in (
        ["segment"],
        ["recolor"],
        ["serve"],
        ["autolabel"],
        ["distill"],
        ["labelstudio"],
        ["autolabel", "run"],
    ):
        assert run(*command, "--version", cwd=tmp_path).stdout == f"interior-surfaces {VERSION}\n"
    shown = run(cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    for command in ("segment", "recolor", "serve", "autolabel", "distill", "labelstudio"):
        assert f"\n  {command} " in shown.stdout
        assert run(command, "--help", cwd=tmp_path).stdout.startswith("usage: ")


def test_an_unknown_command(tmp_path: Path) -> None:
    done = run("paint", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "interior-surfaces: expected one of segment, recolor, serve, autolabel, distill, labelstudio, got 'paint'\n"
    )


def test_segment(tmp_path: Path) -> None:
    done = run("segment", "--url", str(ROOM), "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / done.stdout.strip()).is_file()


@pytest.mark.parametrize("module", ["segment", "autolabel", "distill", "labelstudio"])
def test_files_of_the_current_folder_hide_nothing(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("raise SystemExit('the wrong one')")
    assert run(module, "--help", cwd=tmp_path).returncode == 0


def test_the_module_form(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "interior_surfaces.command", "--version"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == f"interior-surfaces {VERSION}\n"
