"""The locked versions: each is one that pyproject.toml allows, and each has its hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from labelstudio.server.installation import REQUIREMENT

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def locked(path: Path) -> dict[str, list[str]]:
    """The versions of each package: more than one where they differ between systems."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", path.read_text("utf-8"), re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def direct_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [Requirement(line) for line in lines if not line.startswith(project["name"])]


def test_what_the_project_asks_for_is_locked_at_a_version_that_it_allows() -> None:
    versions = locked(ROOT / "requirements" / "develop.txt")
    jupyter = {"jupyterlab"}  # shows the notebook, and no test needs it
    for requirement in direct_requirements():
        name = requirement.name.lower().replace("_", "-")
        if name not in jupyter:
            assert versions.get(name), f"{name} is not locked; run make lock"
            assert all(version in requirement.specifier for version in versions[name]), f"{requirement}; run make lock"


def test_the_locked_label_studio_is_the_one_that_up_installs() -> None:
    assert [f"label-studio=={v}" for v in locked(ROOT / "requirements" / "labelstudio.txt")["label-studio"]] == [
        REQUIREMENT
    ]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_locked_package_has_hashes(path: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9.-]+==)", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
