"""The wheel and the source distribution, built and installed into an empty environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from surfaces.version import VERSION

ROOT = Path(__file__).parents[1]
ROOM = ROOT / "tests" / "data" / "rooms" / "images" / "room_01.jpg"
BYTES_MAX = 25_000_000
CONTENTS = [
    "autolabel/labelling/classes.toml",
    "distill/configs/shipped.toml",
    "interior_surfaces/py.typed",
    "interior_surfaces/web/static/masks.js",
    "interior_surfaces/web/static/page.css",
    "interior_surfaces/web/static/page.js",
    "interior_surfaces/web/templates/page.html",
    "models/weights/surfaces.onnx",
    "segment.py",
    "surfaces/templates/",
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths of a POSIX environment")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both distributions; the wheel is built from the source distribution."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    build("sdist", source, out)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        archive.extractall(unpacked, filter="data")
    build("wheel", next(unpacked.iterdir()), out)
    return out


def build(kind: str, source: Path, out: Path) -> None:
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, capture_output=True, check=True)


def test_contents_and_sizes(built: Path) -> None:
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    assert wheel.name == f"interior_surfaces-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for expected in CONTENTS:
        assert [name for name in names if name.startswith(expected)], expected
    assert not [name for name in names if name.startswith(("tests/", "tools/", "docs/"))]
    assert wheel.stat().st_size < BYTES_MAX
    assert source.stat().st_size < BYTES_MAX


def test_the_wheel_runs_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    """Its dependencies are those of this environment, which the repository's own packages are kept out of."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    wheel = str(next(built.glob("*.whl")))
    install = [sys.executable, "-m", "uv", "pip", "install", "--python", str(python), "--no-deps", "--no-index", wheel]
    subprocess.run(install, capture_output=True, check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [str(environment / "bin" / "interior-surfaces"), "segment", str(ROOM), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "out" / "room_01.surfaces.jpg"
    where = subprocess.run(
        [python, "-c", "import interior_surfaces; print(interior_surfaces.__file__)"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(packages)


def test_the_citation_names_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == VERSION
