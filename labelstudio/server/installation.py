"""The Label Studio program: an install that is already there, or one that pip makes in a virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from labelstudio.errors import ServerUnavailableError
from surfaces.errors import OutputError

REQUIREMENT = "label-studio==1.23.2"
_DONE = "installed"


def find_executable(named: Path | None, home: Path) -> Path:
    """The `label-studio` program: the named one, that of LABEL_STUDIO_EXECUTABLE, or one installed below `home`.

    Args:
        named: an existing program, or None.
        home: `venv` in it is made where needed, which takes minutes and is told on stderr.

    Raises:
        ServerAwayError: there is no program at the named place, or pip failed.
        OutputError: the virtual environment cannot be written.
    """
    place = named or os.environ.get("LABEL_STUDIO_EXECUTABLE")
    if not place:
        return _installed(home / "venv")
    executable = Path(place).expanduser().absolute()
    if not executable.is_file() or not os.access(executable, os.X_OK):
        raise ServerUnavailableError(f"expected the program label-studio at {executable}, and there is none")
    return executable


def _installed(venv: Path) -> Path:
    """The program in a virtual environment, which is made anew unless it was made to the end for this release."""
    executable, done = venv / "bin" / "label-studio", venv / _DONE
    if executable.exists() and done.exists() and done.read_text("utf-8") == REQUIREMENT:
        return executable
    print(f"installing {REQUIREMENT} into {venv}; this takes minutes, once", file=sys.stderr)
    try:
        if venv.exists():
            shutil.rmtree(venv)
        venv.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(venv)], "python -m venv")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", "--progress-bar", "off", REQUIREMENT], "pip")
        done.write_text(REQUIREMENT, "utf-8")
    except OSError as error:
        raise OutputError(f"could not install into {venv}: {error.strerror or error}") from error
    return executable


def _run(command: list[str], name: str) -> None:
    """Runs a program and passes on, on stderr, what it tells; its last word is in the error where it fails."""
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
                last = line.strip() or last
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise ServerUnavailableError(f"could not install {REQUIREMENT}: {name} ended with {process.returncode}: {last}")
