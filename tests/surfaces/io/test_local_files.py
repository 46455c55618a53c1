"""Names and links of folders that others made."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfaces.errors import DatasetError
from surfaces.io.local_files import plain_name, require_inside

pytestmark = pytest.mark.security

_NAMES = ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\\b", "C:a", "a\0b", "a\ud800", 3, None]


@pytest.mark.parametrize("name", _NAMES)
def test_plain_name_refuses(name: object) -> None:
    with pytest.raises(DatasetError, match="expected a file's name without a folder, got ") as told:
        plain_name(name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["part-000.zip", "..a", "Küche", "a b"])
def test_plain_name_accepts(name: str) -> None:
    assert plain_name(name) == name


def test_require_inside_names_the_link(tmp_path: Path) -> None:
    folder, outside = tmp_path / "set", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "images").symlink_to(outside)
    with pytest.raises(DatasetError, match=f"expected {folder}/images inside {folder}, got a link to {outside}: do it"):
        require_inside(folder, folder / "images" / "a.jpg", "do it")


def test_require_inside_follows_inner_links(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "all").mkdir(parents=True)
    (folder / "images").symlink_to("all")
    (tmp_path / "link").symlink_to(folder)
    assert require_inside(tmp_path / "link", tmp_path / "link" / "images" / "a.jpg") == tmp_path / "link/images/a.jpg"
