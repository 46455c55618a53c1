"""Near-duplicates: copies are found, other photos are not, however many are known."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.filters.image_filter import FilterSettings
from surfaces.detections import Image
from surfaces.images.load import load_image
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash
from tests.autolabel.crawling.drawn_pictures import jpeg, scaled
from tests.conftest import ROOMS

NEAR_MAX = FilterSettings.near_max
ROOM_PATHS = sorted((ROOMS / "images").iterdir())
SHARED = Path(__file__).parents[4] / "shared" / "data"


def recompressed(image: Image, quality: int) -> Image:
    return cv2.imdecode(np.frombuffer(jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR_RGB)


def brightened(image: Image, factor: float) -> Image:
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def cropped(image: Image, share: float) -> Image:
    """Cuts half of a share of the sides off at each edge."""
    top, left = (round(side * share / 2) for side in image.shape[:2])
    return image[top : image.shape[0] - top, left : image.shape[1] - left]


COPIES = {
    "half the size": lambda image: scaled(image, 0.5),
    "twice the size": lambda image: scaled(image, 2.0),
    "JPEG quality 30": lambda image: recompressed(image, 30),
    "brighter by 30 %": lambda image: brightened(image, 1.3),
    "darker by 30 %": lambda image: brightened(image, 0.7),
    "cropped by 2 %": lambda image: cropped(image, 0.02),
    "cropped by 5 %": lambda image: cropped(image, 0.05),
    "cropped by 10 %": lambda image: cropped(image, 0.1),
    "cropped by 12 %": lambda image: cropped(image, 0.12),
    "10 % cut off below": lambda image: image[: round(0.9 * len(image))],
    "10 % cut off on the left": lambda image: image[:, round(0.1 * image.shape[1]) :],
    "squeezed by 10 %": lambda image: cv2.resize(image, (round(0.9 * image.shape[1]), image.shape[0])),
    "half, JPEG 50, brighter by 15 %, cropped by 2 %": lambda image: recompressed(
        brightened(cropped(scaled(image, 0.5), 0.02), 1.15), 50
    ),
    "half, JPEG 50, cropped by 10 %": lambda image: recompressed(cropped(scaled(image, 0.5), 0.1), 50),
}


def bits(hashed: str) -> np.ndarray:
    """Of the hashes of the whole photo."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(hashed[:128]), np.uint8)).reshape(2, 256)


def flipped(hashed: str, first: int, second: int) -> str:
    """Another hash: so many bits of the first half differ, and so many of the second."""
    changed = bits(hashed).copy()
    changed[0, :first] ^= 1
    changed[1, 256 - second :] ^= 1
    return np.packbits(changed).tobytes().hex()


def random_hashes(count: int, seed: int = 0) -> list[str]:
    return [row.tobytes().hex() for row in np.random.default_rng(seed).integers(0, 256, (count, 64), dtype=np.uint8)]


@pytest.fixture(scope="module")
def rooms() -> dict[str, Image]:
    return {path.stem: load_image(str(path)) for path in ROOM_PATHS}


@pytest.fixture(scope="module")
def hashes(rooms: dict[str, Image]) -> dict[str, str]:
    return {name: near_hash(image) for name, image in rooms.items()}


def indexed(hashes: Mapping[str, str], distance_max: int = NEAR_MAX) -> NearDuplicateIndex:
    index = NearDuplicateIndex(distance_max)
    for name, hashed in hashes.items():
        index.add(name, hashed)
    return index


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found(rooms: dict[str, Image], hashes: dict[str, str], copy: str) -> None:
    index = indexed(hashes)
    for name, image in rooms.items():
        assert index.find_all(near_hash(COPIES[copy](image)))[0][0] == name


@pytest.mark.parametrize("copy", ["cropped by 10 %", "10 % cut off below", "10 % cut off on the left"])
def test_a_cropped_copy_may_come_first(rooms: dict[str, Image], hashes: dict[str, str], copy: str) -> None:
    index = indexed({name: near_hash(COPIES[copy](image)) for name, image in rooms.items()})
    for name, hashed in hashes.items():
        assert index.find_all(hashed)[0][0] == name


def test_older_databases_have_hashes_of_the_whole_photo_only(rooms: dict[str, Image], hashes: dict[str, str]) -> None:
    name, image = next(iter(rooms.items()))
    crop = near_hash(cropped(image, 0.1))
    index = indexed({name: hashes[name][:128]})
    assert index.find_all(hashes[name]) == [(name, 0)]
    assert index.find_all(crop) == []
    assert indexed({name: crop[:128]}).find_all(hashes[name]), "the new photo has parts"


def test_other_photos_are_not_found(hashes: dict[str, str]) -> None:
    index = indexed({})
    for name, hashed in hashes.items():
        assert index.find_all(hashed) == [], name
        index.add(name, hashed)


def test_hashes_are_those_of_older_databases(hashes: dict[str, str]) -> None:
    """But for the differences of JPEG decoders; else a corpus would get its photos a second time."""
    golden = (
        "ad84a7a4696b1978a39c3ce75e0e181b30e75ce61b1b3d26f0f13b3c25a68e19"
        "3e5d3159b119b05bb65b1a5a1a5a315af936c996cd09a65cc765872d8a1d59ad"
    )
    assert (bits(hashes[ROOM_PATHS[0].stem]) != bits(golden)).sum(axis=1).max() <= 6


@given(st.integers(0, 80), st.integers(0, 80))
def test_both_hashes_have_to_be_near(first: int, second: int) -> None:
    hashed = random_hashes(1)[0]
    expected = [("kept", max(first, second))] if max(first, second) <= 64 else []
    assert indexed({"kept": hashed}, 64).find_all(flipped(hashed, first, second)) == expected


@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=12))
def test_near_ones_are_found_in_order(differences: list[tuple[int, int]]) -> None:
    wanted = random_hashes(1)[0]
    found = indexed({str(n): flipped(wanted, *pair) for n, pair in enumerate(differences)}, 64).find_all(wanted)
    assert [distance for _, distance in found] == sorted(max(pair) for pair in differences if max(pair) <= 64)
    assert all(max(differences[int(name)]) == distance for name, distance in found)


def test_what_is_discarded_is_not_found() -> None:
    wanted, *others = random_hashes(4)
    index = indexed({"a": wanted, "b": flipped(wanted, 5, 5)} | dict(zip("cde", others, strict=True)), 64)
    assert index.find_all(wanted) == [("a", 0), ("b", 5)]
    index.discard("a")
    assert index.find_all(wanted) == [("b", 5)]
    index.discard("b")
    assert index.find_all(wanted) == []
    assert [index.find_all(hashed) for hashed in others] == [[(name, 0)] for name in "cde"]


def test_an_index_grows() -> None:
    hashes = random_hashes(3000)
    index = indexed({str(number): hashed for number, hashed in enumerate(hashes)}, 64)
    for number in (0, 1023, 1024, 2999):
        assert index.find_all(flipped(hashes[number], 5, 7)) == [(str(number), 7)]


@pytest.mark.slow
def test_a_million_are_searched_in_milliseconds() -> None:
    """Each has the hashes of six pictures, which are random here; processor time, since others may work too."""
    hashes = [row.tobytes().hex() for row in np.random.default_rng(0).integers(0, 256, (1_000_000, 384), np.uint8)]
    index = indexed({str(number): hashed for number, hashed in enumerate(hashes)}, 64)
    asked = [flipped(hashed, 20, 30) + hashed[128:] for hashed in hashes[:: len(hashes) // 20]]
    started = time.process_time()
    assert all(index.find_all(hashed) for hashed in asked)
    milliseconds = 1000 * (time.process_time() - started) / len(asked)
    print(f"\n{milliseconds:.1f} ms a search among 1,000,000")
    assert milliseconds < 500


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are not here")
def test_copies_of_real_photos() -> None:
    """Prints the share of copies that are found, and the pairs of different photos that are taken for copies."""
    paths = [path for folder in ("houses", "ikea", "nyuv2/images") for path in sorted((SHARED / folder).iterdir())]
    started = time.process_time()
    images = [load_image(str(path)) for path in paths[::9]]
    loaded = time.process_time()
    for image in images:
        near_hash(image)
    milliseconds = 1000 * (time.process_time() - loaded) / len(images)
    print(f"\n{milliseconds:.1f} ms a photo for its hashes, {1000 * (loaded - started) / len(images):.1f} to decode it")
    hashes = {path.name: near_hash(load_image(str(path))) for path in paths}
    index, pairs = NearDuplicateIndex(NEAR_MAX), []
    for name, hashed in hashes.items():
        pairs += [(name, *found) for found in index.find_all(hashed)[:1]]
        index.add(name, hashed)
    print(f"{len(paths)} photos, {len(pairs)} of them near an earlier one:")
    print(*(f"  {one} = {other}, {bits} bits" for one, other, bits in pairs), sep="\n")
    shares = {}
    for copy, change in COPIES.items():
        shares[copy] = np.mean([bool(index.find_all(near_hash(change(image)))) for image in images])
        print(f"{copy:<50} {shares[copy]:7.1%} of {len(images)} found")
    assert len(pairs) <= 20
    assert all(share >= 0.98 for share in shares.values())
