"""Folders in transformers' format among the files that users name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from models.weights.pretrained import find_pretrained, require_kinds, sha256_of_weights
from surfaces.errors import WeightsError


def folder(path: Path, content: object) -> Path:
    path.mkdir()
    (path / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_first_folder_of_the_kind_is_found(tmp_path: Path) -> None:
    sam2, video = folder(tmp_path / "a", {"model_type": "sam2"}), folder(tmp_path / "b", {"model_type": "sam2_video"})
    others = [folder(tmp_path / "c", "not JSON"), folder(tmp_path / "d", [1]), folder(tmp_path / "e", {})]
    given = [tmp_path, tmp_path / "absent", *others, video, sam2]
    assert find_pretrained(given, ("sam2", "sam2_video")) == video
    assert find_pretrained(given, ("sam2",)) == sam2
    assert find_pretrained(given, ("grounding-dino",)) is None


def test_parts_of_other_kinds_are_refused(tmp_path: Path) -> None:
    config = {"model_type": "a", "part": {"inner": {"model_type": "b"}}}
    path = folder(tmp_path / "net", config)
    assert require_kinds(path, "Net", {"": ("a",), "part.inner": ("b",), "absent": ("c",)}) == config
    with pytest.raises(WeightsError, match=r"\Aexpected settings of Net in .*config\.json, got \['b'\]\Z"):
        require_kinds(path, "Net", {"": ("a",), "part.inner": ("c",)})


def test_the_hash_of_a_folder_is_over_names_and_bytes(tmp_path: Path) -> None:
    path = folder(tmp_path / "net", {})
    assert sha256_of_weights(path / "config.json") == hashlib.sha256(b"{}").hexdigest()
    before = sha256_of_weights(path)
    (path / "config.json").rename(path / "other.json")
    assert sha256_of_weights(path) != before
