"""Imports point one way, `segment.py, autolabel, labelstudio, distill -> models -> surfaces`; segmenting is light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.absent_packages import without
from tests.import_arrows import Import, forbidden, import_cycle, read_imports, wrong_arrows

ROOT = Path(__file__).parents[1]

# What users install and start in no time: `surfaces` and `models.inference` go without it.
HEAVY = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "segment_anything",
    "groundingdino",
    "sklearn",
    "tensorboard",
)
# Names of other extras, which the same modules import in a function or not at all.
EXTRAS = (
    "onnx",
    "faster_coco_eval",
    "pyarrow",
    "fsspec",
    "imagehash",
    "label_studio_sdk",
    "httpx",
    "pillow_heif",
    "jinja2",
)
LIGHT = ("surfaces", "models.inference", "segment")

IMPORT_ALL = """
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


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Those of the product and of `docs`."""
    return read_imports(ROOT)


def test_imports_point_one_way(imports: list[Import]) -> None:
    assert {"segment", "autolabel.commands.run", "distill.commands.train", "labelstudio.commands.push"} <= {
        found.importer for found in imports
    }
    assert wrong_arrows(imports) == []


def test_what_segments_names_nothing_heavy_and_no_teacher(imports: list[Import]) -> None:
    assert forbidden(imports, LIGHT, (*HEAVY, "models.student", "models.teachers")) == []


def test_no_modules_import_each_other_in_a_circle(imports: list[Import]) -> None:
    assert import_cycle(imports) == []


def test_what_segments_is_imported_where_no_extra_is_installed() -> None:
    *heavy, count = _run(without((*HEAVY, *EXTRAS), IMPORT_ALL)).stdout.split()
    assert heavy == []
    assert int(count) > 40


def test_help_of_segment_loads_the_standard_library_and_surfaces_alone() -> None:
    bare = set(_run("import sys; print(*{name.split('.')[0] for name in sys.modules})").stdout.split())
    code, *loaded = _run(HELP).stderr.split()
    assert code == "0"
    assert set(loaded) - bare == {"surfaces"}


def _run(program: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran


# The reading of imports, on a small tree


def _tree(root: Path, files: dict[str, str]) -> list[Import]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return read_imports(root)


@pytest.mark.parametrize(
    ("file", "text", "imported"),
    [
        ("surfaces/masks/rle.py", "import models", "models"),
        ("surfaces/masks/rle.py", "import numpy, models.inference", "models.inference"),
        ("surfaces/masks/rle.py", "from models.inference.postprocess import best", "models.inference.postprocess"),
        ("surfaces/deep/masks.py", "def f():\n    from segment import main", "segment"),
        (
            "models/student.py",
            "class A:\n    if True:\n        import distill.commands.train as t",
            "distill.commands.train",
        ),
        ("models/__init__.py", "if TYPE_CHECKING:\n    from autolabel import run", "autolabel.commands.run"),
        ("autolabel/commands/run.py", "from labelstudio.commands.push import push", "labelstudio.commands.push"),
        ("autolabel/commands/run.py", "importlib.import_module('distill.training.data')", "distill.training.data"),
        ("autolabel/commands/run.py", "__import__('segment')", "segment"),
        ("distill/commands/train.py", "try:\n    import autolabel\nexcept ImportError:\n    pass", "autolabel"),
        ("segment.py", "from distill.commands.train import run", "distill.commands.train"),
        ("segment.py", "from tests import corpora", "tests"),
        ("labelstudio/commands/push.py", "from docs.made import tables", "docs.made"),
    ],
)
def test_a_wrong_arrow_is_told(tmp_path: Path, file: str, text: str, imported: str) -> None:
    imports = _tree(tmp_path, {"autolabel/commands/run.py": "", file: text})
    line = 1 + next(n for n, words in enumerate(text.splitlines()) if imported.split(".")[0] in words)
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert wrong_arrows(imports) == [f"{file}:{line}: {module} imports {imported}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "surfaces/masks/rle.py",
            "import numpy\nfrom surfaces.io.atomic_files import replace_file\nfrom . import files",
        ),
        (
            "models/inference/postprocess.py",
            "from surfaces.masks.rle import encode\nfrom models.weights.registry import shipped",
        ),
        (
            "autolabel/commands/run.py",
            "from models import Segmenter\nimport surfaces.io.atomic_files\nfrom autolabel import corpus",
        ),
        ("docs/made/__init__.py", "from distill.scores import read\nfrom autolabel.commands.compare import read"),
        ("tests/surfaces/test_masks.py", "import autolabel"),
        ("segment.py", "'from distill import train'\nimport modelshop"),
    ],
)
def test_arrows_that_point_down_are_fine(tmp_path: Path, file: str, text: str) -> None:
    assert wrong_arrows(_tree(tmp_path, {file: text})) == []


def test_heavy_imports_are_told_where_they_are_forbidden(tmp_path: Path) -> None:
    files = {
        "surfaces/masks/rle.py": "def f():\n    import torch.nn\n    import torchless",
        "models/inference/session.py": "from models import teachers, registry",
        "models/inference_tools.py": "import torch",
        "models/teachers/__init__.py": "import torch",
    }
    assert forbidden(_tree(tmp_path, files), LIGHT, ("torch", "models.teachers")) == [
        "surfaces/masks/rle.py:2: surfaces.masks.rle imports torch.nn",
        "models/inference/session.py:1: models.inference.session imports models.teachers",
    ]


def test_a_circle_is_told(tmp_path: Path) -> None:
    files = {
        "surfaces/__init__.py": "",
        "surfaces/a.py": "from surfaces.b import b",
        "surfaces/b.py": "def f():\n    from . import c",
        "surfaces/c.py": "import surfaces.a",
        "surfaces/d.py": "from surfaces import a, b, c",
    }
    circle = import_cycle(_tree(tmp_path, files))
    assert circle[0] == circle[-1]
    assert set(circle) == {"surfaces.a", "surfaces.b", "surfaces.c"}
