"""Data files beside the modules are installed with them."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("surfaces", "models", "autolabel", "labelstudio", "distill")
NOT_INSTALLED = {Path("distill/configs")}  # settings of the trainings that the documents report


def test_every_data_file_of_a_package_is_installed() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    patterns = [f"{package.replace('.', '/')}/{pattern}" for package, names in declared.items() for pattern in names]
    files = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    data = [path for path in files if path.suffix not in (".py", ".pyc") and path.parent not in NOT_INSTALLED]
    assert Path("models/weights/surfaces.onnx") in data
    assert [str(path) for path in data if not any(fnmatch(str(path), pattern) for pattern in patterns)] == []
