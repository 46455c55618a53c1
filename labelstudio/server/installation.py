"""The `label-studio` program: an existing installation, or one that pip makes in a virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from labelstudio.errors import ServerUnavailableError
from surfaces.errors import OutputError

REQUIREMENT = "label-studio==1.23.2"


def find_executable(path: Path | None, home: Path) -> Path:
    """Finds the program: `path`, else LABEL_STUDIO_EXECUTABLE, else the one in `home`/venv, installed if needed."""
    given = path or os.environ.get("LABEL_STUDIO_EXECUTABLE")
    if not given:
        return _installed(home / "venv")
    executable = Path(given).expanduser().absolute()
    if not executable.is_file() or not os.access(executable, os.X_OK):
        raise ServerUnavailableError(f"expected the program label-studio at {executable}, found none")
    return executable


def _installed(venv: Path) -> Path:
    executable, finished = venv / "bin" / "label-studio", venv / "installed"
    if executable.exists() and finished.exists() and finished.read_text("utf-8") == REQUIREMENT:
        return executable
    print(f"installing {REQUIREMENT} into {venv}; this takes minutes, once", file=sys.stderr)
    try:
        if venv.exists():
            shutil.rmtree(venv)
        venv.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(venv)], "python -m venv")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "install", "--progress-bar", "off", REQUIREMENT], "pip")
        finished.write_text(REQUIREMENT, "utf-8")
    except OSError as error:
        raise OutputError(f"could not install into {venv}: {error.strerror or error}") from error
    return executable


def _run(command: list[str], name: str) -> None:
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
