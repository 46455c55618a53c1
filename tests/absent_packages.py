"""Programs that run as if packages were not installed."""

from __future__ import annotations

from collections.abc import Iterable

_FINDER = """
import sys
asked = []

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def without(names: Iterable[str], program: str) -> str:
    """A program before which packages are made absent; `asked` lists what it tried to import of them."""
    return _FINDER.format(names=set(names)) + program


def command_without(names: Iterable[str], package: str) -> str:
    """`python -m PACKAGE` as a program, without some packages."""
    return without(names, f"import runpy\nrunpy.run_module({package!r}, run_name='__main__', alter_sys=True)\n")
