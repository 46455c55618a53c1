"""One list says which files of a folder are photos."""

from __future__ import annotations

import pytest

from surfaces.photo_files import is_photo_file


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "b.jpe", "b.jfif", "b.mpo", "IMG_1.HEIC", "c.heif", "d.avif"])
def test_photos(name: str) -> None:
    assert is_photo_file(name)


@pytest.mark.parametrize("name", ["._a.jpg", ".hidden.png", "a.txt", "a.jpg.json", "jpg", "a.svg"])
def test_other_files(name: str) -> None:
    assert not is_photo_file(name)
