"""Modules of Python that Windows lacks are imported only where their absence is provided for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.import_arrows import modules_of

ROOT = Path(__file__).parents[1]
POSIX_ONLY = frozenset({"fcntl", "resource", "pwd", "grp", "termios"})

# Absent for our modules alone: on this system Python's own, such as asyncio, need them.
RUN = """
import builtins, runpy, sys
imported = builtins.__import__

def without(name, globals=None, *rest, **named):
    importer = str((globals or {}).get("__name__")).split(".")[0]
    if name in NAMES and importer in ("surfaces", "models", "labelstudio", "autolabel", "distill", "segment"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imported(name, globals, *rest, **named)

builtins.__import__ = without
"""
IMPORT_ALL = """
import importlib, pkgutil
for package in ("surfaces", "models.inference", "labelstudio"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if module.name not in ("labelstudio.__main__", "labelstudio.backend.sam"):  # the latter brings torch
            importlib.import_module(module.name)
"""


def run_without(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = RUN.replace("NAMES", repr(set(POSIX_ONLY))) + program
    return subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, text=True, capture_output=True)


def unguarded(tree: ast.AST) -> Iterator[str]:
    """The modules that Windows lacks and that are imported outside of any `try`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in POSIX_ONLY)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_ONLY:
            yield str(node.module)
        elif not isinstance(node, ast.Try):
            yield from unguarded(node)


def test_no_module_needs_what_windows_lacks() -> None:
    modules = modules_of(ROOT)
    assert len(modules) > 200
    found = {name: list(unguarded(ast.parse(path.read_text("utf-8")))) for name, path in modules.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_modules_of_the_review_are_imported_without_them() -> None:
    ran = run_without(IMPORT_ALL)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("status", 15, "labelstudio: no Label Studio is configured, and none was started here; "),
        ("up", 15, "labelstudio: `up` starts a Label Studio on Linux and macOS only; start one yourself "),
    ],
    ids=["status", "up"],
)
def test_commands_of_the_review_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, told: str
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    dataset = [str(tmp_path / "labels")] if command == "status" else []
    program = "runpy.run_module('labelstudio', run_name='__main__', alter_sys=True)"
    ran = run_without(program, command, *dataset, "--home", str(tmp_path / "home"))
    assert (ran.returncode, ran.stderr[: len(told)], ran.stderr.count("\n")) == (code, told, 1)
    assert list(tmp_path.iterdir()) == []
