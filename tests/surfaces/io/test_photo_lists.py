"""One list says which files of a folder are photos."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image as Pillow

from surfaces.images.load import load_image
from surfaces.io.photo_lists import (
    CRAWL_NAME,
    LINK_OUTSIDE,
    PHOTO_SUFFIXES,
    find_photos,
    is_photo_file,
    passed_over_lines,
)
from surfaces.segmenting.naming import Signature, stems
from tests.surfaces.images.seeded_photos import saved

KINDS = {
    ".mpo": "MPO",
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".avif": "AVIF",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
}


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "b.jpe", "b.jfif", "b.mpo", "IMG_1.HEIC", "c.heif", "d.avif"])
def test_photos(name: str) -> None:
    assert is_photo_file(name)


@pytest.mark.parametrize("name", ["._a.jpg", ".hidden.png", "a.txt", "a.jpg.json", "jpg", "a.svg"])
def test_other_files(name: str) -> None:
    assert not is_photo_file(name)


def test_readme_lists_every_suffix() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    assert [suffix for suffix in PHOTO_SUFFIXES if suffix not in readme.replace("`", " ").split()] == []


@pytest.mark.parametrize("suffix", sorted(PHOTO_SUFFIXES))
def test_every_suffix_is_decoded(tmp_path: Path, suffix: str) -> None:
    photo = Pillow.new("RGB", (32, 24), "red")
    options = {"save_all": True, "append_images": [Pillow.new("RGB", (32, 24))]} if suffix == ".mpo" else {}
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(saved(photo, KINDS[suffix], **options))
    assert find_photos(str(tmp_path)).photos == (str(path),)
    image = load_image(str(path))
    assert image.shape == (24, 32, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() < 6


def test_results_of_segmenting_are_skipped(tmp_path: Path) -> None:
    stem = next(stems(Signature("A", "B-c"), datetime(2026, 11, 28, 1, 2, 3)))
    for name in (f"{stem}.jpg", f"{stem}_wall.png", "kitchen__2026-11-28.jpg"):
        (tmp_path / name).write_bytes(b"")
    found = find_photos(str(tmp_path))
    assert [PurePath(path).name for path in found.photos] == ["kitchen__2026-11-28.jpg"]
    assert passed_over_lines(found.passed_over, []) == ["2 files passed over: 2 of segment.py"]


@pytest.mark.parametrize("base", ["", "corpus", "corpus/photos"], ids=["above", "corpus", "photos"])
def test_links_out_of_a_crawled_corpus_are_not_followed(tmp_path: Path, base: str) -> None:
    photos = tmp_path / "in" / "corpus" / "photos"
    (tmp_path / "home").mkdir()
    photos.mkdir(parents=True)
    for path in (photos / "a.jpg", tmp_path / "home" / "private.jpg"):
        path.write_bytes(b"")
    (photos / "b.jpg").symlink_to(tmp_path / "home" / "private.jpg")
    (photos / "c").symlink_to(tmp_path / "home")
    (photos / "d.jpg").symlink_to("a.jpg")
    folder = str(tmp_path / "in" / base)
    assert len(find_photos(folder).photos) == 4
    (photos.parent / CRAWL_NAME).write_bytes(b"")
    found = find_photos(folder)
    assert [PurePath(path).name for path in found.photos] == ["a.jpg", "d.jpg"]
    assert found.unreadable == tuple((str(photos / name), LINK_OUTSIDE) for name in ("b.jpg", "c/private.jpg"))
