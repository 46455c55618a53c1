"""Reads from the source which module imports which, and tells the imports that point the wrong way."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# A package imports from those with a smaller number and from itself, never from its equals.
LEVELS = {
    "surfaces": 0,
    "models": 1,
    "segment": 2,
    "autolabel": 2,
    "labelstudio": 2,
    "distill": 2,
    "tools": 3,
    "tests": 3,
}


@dataclass(frozen=True)
class Import:
    """An import, wherever it stands: at the top, in a function, for the type checker alone.

    Attributes:
        importer: the module that imports.
        imported: the module that is imported; of another distribution's, the name as it is written.
        place: `file:line`.
    """

    importer: str
    imported: str
    place: str


def modules_of(root: Path) -> dict[str, Path]:
    """The product's modules and those of `tools` by name, with their files."""
    found = {}
    for package in (name for name in LEVELS if name != "tests"):
        for path in sorted([*root.glob(f"{package}.py"), *root.glob(f"{package}/**/*.py")]):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def read_imports(root: Path) -> list[Import]:
    """Every import of the modules below a folder, `import_module("as.a.string")` included."""
    modules = modules_of(root)
    return [
        Import(name, imported, f"{path.relative_to(root)}:{line}")
        for name, path in modules.items()
        for imported, line in _imports(ast.parse(path.read_text("utf-8")), name, path, modules)
    ]


def wrong_arrows(imports: Iterable[Import], levels: Mapping[str, int] = LEVELS) -> list[str]:
    """The imports between packages that don't point to a lower level."""
    return [
        _told(found)
        for found in imports
        if (importer := _package(found.importer)) != (imported := _package(found.imported))
        and imported in levels
        and levels[imported] >= levels[importer]
    ]


def forbidden(imports: Iterable[Import], within: Iterable[str], names: Iterable[str]) -> list[str]:
    """The imports of certain modules, or what lies below them, within certain packages."""
    within, names = tuple(within), tuple(names)
    return [_told(found) for found in imports if _below(found.importer, within) and _below(found.imported, names)]


def import_cycle(imports: Iterable[Import]) -> list[str]:
    """The modules of one cycle, the first again at the end; none where there is no cycle."""
    graph = graphlib.TopologicalSorter[str]()
    for found in imports:
        graph.add(found.importer, found.imported)
    try:
        graph.prepare()
    except graphlib.CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def _imports(tree: ast.Module, module: str, path: Path, modules: Mapping[str, Path]) -> Iterable[tuple[str, int]]:
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=base, names=names, level=level):
                above = package[: len(package) - level + 1] if level else []
                start = ".".join([*above, *([base] if base else [])])
                for alias in names:
                    full = f"{start}.{alias.name}"
                    yield (full if full in modules or not base else start), node.lineno
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(text)), *_]):
                if name in ("import_module", "__import__"):
                    yield text, node.lineno


def _package(module: str) -> str:
    return module.split(".")[0]


def _below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _told(found: Import) -> str:
    return f"{found.place}: {found.importer} imports {found.imported}"
