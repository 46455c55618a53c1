"""Blocks of the documents: Python runs, TOML and JSON parse; the README's way from photos to labels is walked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.made.documents import documents
from tests.docs.markdown import Block, blocks

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"", "diff", "json", "python", "text", "toml"}
SHOWN = [(path.relative_to(ROOT), block) for path in documents(ROOT) for block in blocks(path.read_text("utf-8"))]
PYTHON = [(path, block) for path, block in SHOWN if block.language == "python"]


def faults(block: Block) -> Iterator[str]:
    """What is wrong with a block of data, or with its language."""
    try:
        match block.language:
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case language if language not in LANGUAGES:
                yield f"line {block.line}: nothing checks blocks of {language!r}"
    except ValueError as error:
        yield f"line {block.line}: {error}"


def run_python(text: str) -> subprocess.CompletedProcess[str]:
    """Runs a block from the repository's root, as a reader would."""
    return subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)


def test_blocks_are_what_they_say() -> None:
    assert [f"{path}: {fault}" for path, block in SHOWN for fault in faults(block)] == []


@pytest.mark.parametrize(
    "text", ["```json\n{'a': 1}\n```\n", "```toml\na = b\n```\n", "```yaml\na: 1\n```\n", '```json\n{"a": …}\n```\n']
)
def test_a_wrong_block_is_told(text: str) -> None:
    (fault,) = faults(blocks("# A page\n" + text)[0])
    assert fault.startswith("line 3: ")


@pytest.mark.parametrize(("path", "block"), PYTHON, ids=[f"{path}:{block.line}" for path, block in PYTHON])
def test_python_runs(path: Path, block: Block) -> None:
    ran = run_python(block.text)
    assert ran.returncode == 0, f"{path}:{block.line}\n{ran.stderr}"


def test_python_that_does_not_run_is_told() -> None:
    assert PYTHON
    assert run_python("from models import Segmentor\n").returncode == 1


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos/`, where a reader types."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "photos").mkdir()
    shutil.copy(ROOT / "examples/pexels-3965508.jpg", folder / "photos")
    return folder


def test_the_readme_segments_and_labels(desk: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    (section,) = re.findall(r"^## Label your own photos\n(.*?)^## ", readme, re.M | re.S)
    lines = ["python segment.py --url photos/pexels-3965508.jpg --json --masks", *blocks(section)[0].text.splitlines()]
    for line in lines:
        ran = typed(line, desk)
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    assert len(list((desk / "output").glob("*.jpg"))) == 1
    labels = json.loads((desk / "dataset/annotations.json").read_text("utf-8"))
    assert [category["name"] for category in labels["categories"]] == ["wall", "floor", "dining table"]
    assert len(labels["annotations"]) >= 2
    assert "pexels-3965508" in (desk / "report/index.html").read_text("utf-8")


def typed(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of a document in a folder of its own."""
    python, *arguments = shlex.split(line, comments=True)
    assert python == "python"
    arguments = [str(ROOT / word) if word == "segment.py" else word for word in arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
