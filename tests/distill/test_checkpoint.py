"""Checkpoints of strangers: data or one line, and no code."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.training.checkpoint import NAME, load_checkpoint
from surfaces.errors import SurfacesError
from tests.distill.training import small_config

pytestmark = pytest.mark.security


def content(**changes: object) -> bytes:
    buffer = io.BytesIO()
    weights = {"w": torch.zeros(2)}
    config = dataclasses.asdict(small_config(Path("run")))
    state = {"step": 1, "elapsed": 1.0, "config": config, "student": weights, "average": weights, "optimizer": {}}
    torch.save(state | changes, buffer)
    return buffer.getvalue()


def refusal(folder: Path, data: bytes) -> str:
    """The words of the refusal; none where the bytes are a checkpoint."""
    (folder / NAME).write_bytes(data)
    try:
        assert load_checkpoint(folder)
    except SurfacesError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("step", "one", "its `step` is 'one'"),
        ("step", True, "its `step` is True"),
        ("elapsed", None, "its `elapsed` is None"),
        ("student", [], "its `student` is []"),
        ("optimizer", 5, "its `optimizer` is 5"),
        ("config", [], "expected a checkpoint at"),
        ("more", 1, "expected a checkpoint at"),
    ],
    ids=["word", "bool", "no time", "list", "number", "no settings", "unknown"],
)
def test_values_of_other_kinds(tmp_path: Path, name: str, value: object, words: str) -> None:
    told = refusal(tmp_path, content(**{name: value}))
    assert words in told
    assert "\n" not in told


def test_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(SurfacesError, match="no regular file"):
        load_checkpoint(tmp_path)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_bytes_are_a_checkpoint_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    changed = bytearray(content())
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(len(changed) // 2, len(changed)))
    assert "\n" not in refusal(tmp_path_factory.mktemp("fuzz"), bytes(changed[:end]))
