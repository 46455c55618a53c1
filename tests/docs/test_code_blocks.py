"""Blocks of the documents: Python runs, TOML and JSON parse; the README's commands from photos to labels run."""

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

from tests.docs.markdown import Block, blocks
from tools.build_docs.documents import documents

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


def run(words: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, with the repository's packages."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, *words]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_blocks_parse() -> None:
    assert [f"{path}: {fault}" for path, block in SHOWN for fault in faults(block)] == []


@pytest.mark.parametrize(
    "text", ["```json\n{'a': 1}\n```\n", "```toml\na = b\n```\n", "```yaml\na: 1\n```\n", '```json\n{"a": …}\n```\n']
)
def test_a_wrong_block_is_reported(text: str) -> None:
    (fault,) = faults(blocks("# A page\n" + text)[0])
    assert fault.startswith("line 3: ")


@pytest.mark.parametrize(("path", "block"), PYTHON, ids=[f"{path}:{block.line}" for path, block in PYTHON])
def test_python_runs(path: Path, block: Block) -> None:
    ran = run(["-c", block.text])
    assert ran.returncode == 0, f"{path}:{block.line}\n{ran.stderr}"


def test_python_that_does_not_run_is_reported() -> None:
    assert PYTHON
    assert run(["-c", "from models import Segmentor\n"]).returncode == 1


def test_the_readme_segments_and_labels(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(ROOT / "examples/pexels-3965508.jpg", tmp_path / "photos")
    readme = (ROOT / "README.md").read_text("utf-8")
    (section,) = re.findall(r"^## Label your own photos\n(.*?)^## ", readme, re.M | re.S)
    lines = ["python segment.py --url photos/pexels-3965508.jpg --json --masks", *blocks(section)[0].text.splitlines()]
    for line in lines:
        python, *arguments = shlex.split(line, comments=True)
        assert python == "python"
        ran = run([str(ROOT / word) if word == "segment.py" else word for word in arguments], tmp_path)
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    assert len(list((tmp_path / "output").glob("*.jpg"))) == 1
    labels = json.loads((tmp_path / "dataset/annotations.json").read_text("utf-8"))
    assert [category["name"] for category in labels["categories"]] == ["wall", "floor", "dining table"]
    assert len(labels["annotations"]) >= 2
    assert "pexels-3965508" in (tmp_path / "report/index.html").read_text("utf-8")
