"""The locked versions are allowed and hashed, data files are installed, and every process collects the same tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from labelstudio.server.installation import REQUIREMENT

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PACKAGES = ("surfaces", "models", "autolabel", "labelstudio", "distill")
NOT_INSTALLED = {Path("distill/configs")}  # settings of the trainings that the documents report
NOT_LOCKED = {"jupyterlab"}  # shows the notebook, and no test needs it


def locked(path: Path) -> dict[str, list[str]]:
    """The versions of each package: more than one where they differ between systems."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", path.read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def test_requirements_are_locked_at_allowed_versions() -> None:
    project, versions = PYPROJECT["project"], locked(ROOT / "requirements" / "develop.txt")
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for requirement in (Requirement(line) for line in lines if not line.startswith(project["name"])):
        name = requirement.name.lower().replace("_", "-")
        if name not in NOT_LOCKED:
            assert versions.get(name), f"{name} is not locked; run make lock"
            assert all(version in requirement.specifier for version in versions[name]), f"{requirement}; run make lock"


def test_the_locked_label_studio_is_the_one_that_up_installs() -> None:
    (version,) = locked(ROOT / "requirements" / "labelstudio.txt")["label-studio"]
    assert f"label-studio=={version}" == REQUIREMENT


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_locked_package_has_hashes(path: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9.-]+==)", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_every_data_file_of_a_package_is_installed() -> None:
    declared = PYPROJECT["tool"]["setuptools"]["package-data"]
    patterns = [f"{package.replace('.', '/')}/{pattern}" for package, names in declared.items() for pattern in names]
    files = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    data = [path for path in files if path.suffix not in (".py", ".pyc") and path.parent not in NOT_INSTALLED]
    assert Path("models/weights/surfaces.onnx") in data
    assert [str(path) for path in data if not any(fnmatch(str(path), pattern) for pattern in patterns)] == []


@pytest.mark.slow  # `make test` compares the ids of its processes, whose hash seeds differ
def test_test_ids_depend_on_neither_the_clock_nor_the_hash_seed() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "slow or not slow", "-p", "no:cacheprovider"]
    runs = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment))
        time.sleep(1.1)  # the time that `gzip.compress` and others write is in whole seconds
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs[0][-2000:]
    first, second = ([line for line in output.splitlines() if "::" in line] for output in outputs)
    assert len(first) > 1000
    assert first == second
