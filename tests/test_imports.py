"""Imports point one way, `segment.py, autolabel, labelstudio, distill -> models -> surfaces`, and are light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.absent_packages import without

ROOT = Path(__file__).parents[1]
PACKAGES = ("surfaces", "models", "autolabel", "labelstudio", "distill", "segment")

# A package imports from those with a smaller number and from itself, never from its equals.
LEVELS = {
    "surfaces": 0,
    "models": 1,
    "segment": 2,
    "autolabel": 2,
    "labelstudio": 2,
    "distill": 2,
    "interior_surfaces": 3,
    "tools": 4,
    "tests": 4,
}
LIGHT = ("surfaces", "models.inference", "segment", "interior_surfaces")
HEAVY = [
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "segment_anything",
    "groundingdino",
    "sklearn",
    "tensorboard",
]
# Of other extras, which the light modules import in a function or not at all.
EXTRAS = [
    "onnx",
    "faster_coco_eval",
    "pyarrow",
    "fsspec",
    "imagehash",
    "label_studio_sdk",
    "httpx",
    "pillow_heif",
    "jinja2",
]
# Windows lacks them.
POSIX_ONLY = frozenset({"fcntl", "resource", "pwd", "grp", "termios"})


@dataclass(frozen=True)
class Import:
    """An import, wherever it is: at the top, in a function, for the type checker alone; `place` is `file:line`."""

    importer: str
    imported: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.importer} imports {self.imported}"


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
        for imported, line in imported_names(ast.parse(path.read_text("utf-8")), name, path, modules)
    ]


def imported_names(tree: ast.Module, module: str, path: Path, modules: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
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


def wrong_arrows(imports: Iterable[Import]) -> list[str]:
    """The imports between packages that don't point to a lower level."""
    pairs = [(found, found.importer.split(".")[0], found.imported.split(".")[0]) for found in imports]
    return [str(f) for f, a, b in pairs if a != b and b in LEVELS and LEVELS[b] >= LEVELS[a]]


def forbidden(imports: Iterable[Import], within: Iterable[str], names: Iterable[str]) -> list[str]:
    """The imports of certain modules, or modules below them, within certain packages."""

    def below(module: str, packages: Iterable[str]) -> bool:
        return any(module == package or module.startswith(f"{package}.") for package in packages)

    return [str(found) for found in imports if below(found.importer, within) and below(found.imported, names)]


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


def unguarded(tree: ast.AST) -> Iterator[str]:
    """The modules of POSIX_ONLY that are imported outside of any `try`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in POSIX_ONLY)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_ONLY:
            yield str(node.module)
        elif not isinstance(node, ast.Try):
            yield from unguarded(node)


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return read_imports(ROOT)


def test_imports_point_one_way(imports: list[Import]) -> None:
    importers = {found.importer for found in imports}
    assert {"segment", "autolabel.commands.run", "distill.commands.train", "labelstudio.commands.push"} <= importers
    assert wrong_arrows(imports) == []
    assert import_cycle(imports) == []


def test_segmenting_names_nothing_heavy_and_no_teacher(imports: list[Import]) -> None:
    assert forbidden(imports, LIGHT, [*HEAVY, "models.student", "models.teachers"]) == []


def test_no_module_needs_what_windows_lacks() -> None:
    modules = modules_of(ROOT)
    assert len(modules) > 150
    found = {name: list(unguarded(ast.parse(path.read_text("utf-8")))) for name, path in modules.items()}
    assert {name: names for name, names in found.items() if names} == {}


# In processes

IMPORT_LIGHT = """
import pkgutil
import models.inference, surfaces, segment
for package in (surfaces, models.inference):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        __import__(module.name)
own = [name for name in sys.modules if name.startswith(("models.student", "models.teachers", "autolabel", "distill"))]
print(*asked, *own, len([name for name in sys.modules if name.startswith(("surfaces.", "models.inference."))]))
"""

HELP = """
import runpy, sys
sys.argv = ["segment.py", "--help"]
try:
    runpy.run_path("segment.py", run_name="__main__")
except SystemExit as ended:
    loaded = {name.split(".")[0] for name in sys.modules} - sys.stdlib_module_names
    print(ended.code, *sorted(loaded), file=sys.stderr)
"""

# Absent for our modules alone: on this system Python's own, such as asyncio, need them.
WITHOUT_POSIX = f"""
import builtins, runpy, sys
imported = builtins.__import__

def without(name, globals=None, *rest, **named):
    importer = str((globals or {{}}).get("__name__")).split(".")[0]
    if name in {set(POSIX_ONLY)!r} and importer in {PACKAGES!r}:
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    return imported(name, globals, *rest, **named)

builtins.__import__ = without
"""

IMPORT_REVIEW = """
import importlib, pkgutil
for package in ("surfaces", "models.inference", "labelstudio"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if module.name not in ("labelstudio.__main__", "labelstudio.backend.sam"):  # the latter brings torch
            importlib.import_module(module.name)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_segmenting_is_imported_where_no_extra_is_installed() -> None:
    *heavy, count = run(without((*HEAVY, *EXTRAS), IMPORT_LIGHT)).stdout.split()
    assert heavy == []
    assert int(count) > 40


def test_help_of_segment_loads_the_standard_library_and_surfaces_alone() -> None:
    bare = set(run("import sys; print(*{name.split('.')[0] for name in sys.modules})").stdout.split())
    code, *loaded = run(HELP).stderr.split()
    assert code == "0"
    assert set(loaded) - bare == {"surfaces"}


def test_modules_of_the_review_are_imported_without_what_windows_lacks() -> None:
    ran = run(WITHOUT_POSIX + IMPORT_REVIEW)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("status", "labelstudio: no Label Studio is configured, and none was started here; "),
        ("up", "labelstudio: `up` starts a Label Studio on Linux and macOS only; start one yourself "),
    ],
)
def test_commands_of_the_review_without_what_windows_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    dataset = [str(tmp_path / "labels")] if command == "status" else []
    program = WITHOUT_POSIX + "runpy.run_module('labelstudio', run_name='__main__', alter_sys=True)"
    ran = run(program, command, *dataset, "--home", str(tmp_path / "home"))
    assert (ran.returncode, ran.stderr[: len(message)], ran.stderr.count("\n")) == (15, message, 1)
    assert list(tmp_path.iterdir()) == []


# The reading of imports, on a small tree


def imports_of(root: Path, files: dict[str, str]) -> list[Import]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return read_imports(root)


RUN, MASKS, TRAIN = "autolabel/commands/run.py", "surfaces/masks/rle.py", "distill/commands/train.py"


@pytest.mark.parametrize(
    ("file", "text", "imported"),
    [
        (MASKS, "import models", "models"),
        (MASKS, "import numpy, models.inference", "models.inference"),
        (MASKS, "from models.inference.postprocess import best", "models.inference.postprocess"),
        ("surfaces/deep/masks.py", "def f():\n    from segment import main", "segment"),
        (
            "models/student.py",
            "class A:\n    if True:\n        import distill.training.run as t",
            "distill.training.run",
        ),
        ("models/__init__.py", "if TYPE_CHECKING:\n    from autolabel.commands import run", "autolabel.commands.run"),
        (RUN, "from labelstudio.commands.push import push", "labelstudio.commands.push"),
        (RUN, "importlib.import_module('distill.training.data')", "distill.training.data"),
        (RUN, "__import__('segment')", "segment"),
        (TRAIN, "try:\n    import autolabel\nexcept ImportError:\n    pass", "autolabel"),
        ("segment.py", "from distill.commands.train import run", "distill.commands.train"),
        ("segment.py", "from tests import corpora", "tests"),
        ("labelstudio/commands/push.py", "from tools.build_docs import tables", "tools.build_docs"),
    ],
)
def test_a_wrong_arrow_is_reported(tmp_path: Path, file: str, text: str, imported: str) -> None:
    imports = imports_of(tmp_path, {RUN: "", file: text})
    line = 1 + next(n for n, words in enumerate(text.splitlines()) if imported.split(".")[0] in words)
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert wrong_arrows(imports) == [f"{file}:{line}: {module} imports {imported}"]


def test_arrows_that_point_down_are_fine(tmp_path: Path) -> None:
    files = {
        MASKS: "import numpy\nfrom surfaces.io.atomic_files import replace_file\nfrom . import files",
        "models/inference/postprocess.py": "from surfaces.masks.rle import encode\nfrom models.weights import registry",
        RUN: "from models import Segmenter\nimport surfaces.io.atomic_files\nfrom autolabel import corpus",
        "tools/rates.py": "from distill.evaluation.report import read\nfrom autolabel.commands.compare import read",
        "tests/surfaces/test_masks.py": "import autolabel",
        "segment.py": "'from distill import train'\nimport modelshop",
    }
    assert wrong_arrows(imports_of(tmp_path, files)) == []


def test_heavy_imports_are_reported_where_they_are_forbidden(tmp_path: Path) -> None:
    files = {
        MASKS: "def f():\n    import torch.nn\n    import torchless",
        "models/inference/session.py": "from models import teachers, registry",
        "models/inference_tools.py": "import torch",
        "models/teachers/__init__.py": "import torch",
    }
    assert forbidden(imports_of(tmp_path, files), LIGHT, ["torch", "models.teachers"]) == [
        "surfaces/masks/rle.py:2: surfaces.masks.rle imports torch.nn",
        "models/inference/session.py:1: models.inference.session imports models.teachers",
    ]


def test_a_cycle_is_reported(tmp_path: Path) -> None:
    files = {
        "surfaces/__init__.py": "",
        "surfaces/a.py": "from surfaces.b import b",
        "surfaces/b.py": "def f():\n    from . import c",
        "surfaces/c.py": "import surfaces.a",
        "surfaces/d.py": "from surfaces import a, b, c",
    }
    cycle = import_cycle(imports_of(tmp_path, files))
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"surfaces.a", "surfaces.b", "surfaces.c"}
