"""Labels built to exhaust whoever reads them, and any bytes in their place: a value or one of the project's errors."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfaces.classes import NUM_CHANNELS
from surfaces.datasets import ReadOptions, open_dataset
from surfaces.datasets.codec import decode_map, decode_soft_labels, encode_soft_labels, read_bytes
from surfaces.errors import DatasetError, SurfacesError
from surfaces.images.encode import encode_png
from surfaces.masks.rle import decode_segmentation, draws_nothing, encode
from tests.coco_files import SIZE_HW, TABLE, annotation, coco_content, polygon, room, runs, write_coco_file, write_room
from tests.surfaces.images.photo_files import PNG_SIGNATURE, png, png_chunk, unfiltered

pytestmark = pytest.mark.security

_FUZZING = settings(max_examples=200, deadline=None)


def test_long_polygons_are_refused() -> None:
    zigzag = [[0.0, 0.0, 7000.0, 7000.0] * 50_000]
    with pytest.raises(DatasetError, match="an outline of at most 1000000 pixels, got 7"):
        decode_segmentation(zigzag, 7000, 7000)
    with pytest.raises(DatasetError, match="an outline of at most 10000 pixels, got 19600"):
        decode_segmentation([[0.0, 0.0, 49.0, 49.0] * 200], 49, 49)


def test_many_polygons() -> None:
    squares = [[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for x in range(0, 200, 4) for y in range(0, 200, 4)]
    mask = decode_segmentation(squares, 200, 200)
    expected = np.zeros((200, 200), bool)
    for row in (0, 1):
        for column in (0, 1):
            expected[row::4, column::4] = True
    np.testing.assert_array_equal(mask, expected)


def test_too_many_annotations(tmp_path: Path) -> None:
    walls = [annotation(100 + n, 1, polygon(TABLE)) for n in range(2049)]
    with pytest.raises(DatasetError, match=r"image 1 \('room1.jpg'\): expected at most 2048 annotations, got 2049"):
        open_dataset(write_room(tmp_path, walls))


_NO_COCO = {
    "empty": ("", "COCO file"),
    "list": ("[]", "COCO file"),
    "no annotations": ('{"images": []}', "COCO file"),
    "other categories": (
        '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}',
        "categories wall, floor",
    ),
    "no text": ("\udcff" * 1000, "COCO file .*invalid start byte"),
    "lists without end": ("[" * 200_000, "COCO file"),
    "objects without end": ('{"images": ' * 100_000, "COCO file"),
    "a number without end": ('{"images": [], "annotations": [], "categories": [' + "9" * 5000 + "]}", "COCO file"),
}


@pytest.mark.parametrize(("content", "message"), _NO_COCO.values(), ids=_NO_COCO)
def test_files_that_are_not_coco(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "annotations.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DatasetError, match=f"expected .*{message}") as error:
        open_dataset(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert len(str(error.value)) < 400


def test_too_large_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no space
    with pytest.raises(DatasetError, match=r"got: [0-9]+ bytes, more than 67108864"):
        read_bytes(path, 2**26)
    with pytest.raises(DatasetError, match=r"expected a COCO file of at most 1 GB"):
        open_dataset(path.rename(tmp_path / "annotations.json"))


def test_devices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(DatasetError, match="got: no regular file"):
        read_bytes(tmp_path / "link")


def _colour_png(bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    return png(8, 8, bits, 6, unfiltered(bytes(8 * 8 * bits // 2), 8), *chunks)


_BOMB = zlib.compress(bytes(2**21))


@pytest.mark.parametrize(
    "chunk",
    [(b"iCCP", b"a\0\0" + _BOMB), (b"zTXt", b"a\0\0" + _BOMB), (b"iTXt", b"a\0\1\0\0\0" + _BOMB)],
    ids=["profile", "text", "international text"],
)
def test_compressed_texts_of_label_maps(chunk: tuple[bytes, bytes]) -> None:
    with pytest.raises(DatasetError, match="too large"):
        decode_soft_labels(_colour_png(8, chunk), "a belief")
    with pytest.raises(DatasetError, match="too large"):
        decode_map(png(8, 8, 8, 0, unfiltered(bytes(64), 8), chunk), "a map")


def test_soft_labels_of_16_bits() -> None:
    header = png_chunk(b"IHDR", b"\0\0\x1b\0\0\0\x1b\0\x10\6\0\0\0")
    with pytest.raises(DatasetError, match="samples of 16 bits"):
        decode_soft_labels(PNG_SIGNATURE + header, "a belief")


def test_soft_labels_keep_their_order() -> None:
    soft_labels = np.arange(NUM_CHANNELS * 6, dtype=np.uint8).reshape(NUM_CHANNELS, 2, 3)
    np.testing.assert_array_equal(decode_soft_labels(encode_soft_labels(soft_labels), "a belief"), soft_labels)


_MAP = encode_png(np.arange(48, dtype=np.uint8).reshape(6, 8) % 5)
_BELIEF = encode_soft_labels(np.arange(NUM_CHANNELS * 48, dtype=np.uint8).reshape(NUM_CHANNELS, 6, 8))
_EDITS = st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=4)), max_size=5)


def _edited(data: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    changed = bytearray(data)
    for place, written in edits:
        changed[place : place + len(written)] = written
    return bytes(changed)


@_FUZZING
@given(st.one_of(st.binary(max_size=200), *(_EDITS.map(lambda e, d=d: _edited(d, e)) for d in (_MAP, _BELIEF))))
def test_any_bytes_as_label_maps(data: bytes) -> None:
    for decode in (decode_map, decode_soft_labels):
        with suppress(DatasetError):
            assert decode(data, "a map").dtype == np.uint8


_NUMBERS = st.one_of(
    st.integers(-50, 200), st.integers(), st.floats(), st.sampled_from([1e308, 10**400, -(2**63), 2**64, 0.5])
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(st.one_of(st.sampled_from(["id", "size", "counts", "name"]), st.text(max_size=4)), inner),
    ),
    max_leaves=12,
)


@_FUZZING
@given(
    st.one_of(
        st.builds(
            lambda counts, size: {"size": size, "counts": counts},
            st.one_of(st.text(max_size=40), st.text("0123o?PQ_`" + "Zn", max_size=40), st.lists(_NUMBERS, max_size=8)),
            st.one_of(st.just([40, 60]), _JSON),
        ),
        st.lists(st.lists(_NUMBERS, max_size=12), max_size=4),
        _JSON,
    )
)
def test_any_segmentation(segmentation: Any) -> None:
    with suppress(DatasetError):
        mask = decode_segmentation(segmentation, *SIZE_HW)
        assert mask.shape == SIZE_HW
        assert draws_nothing(segmentation, *SIZE_HW) == (not mask.any())


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Each container and key of a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [pair for key in keys for pair in ((value, key), *_nodes(value[key]))]


@settings(_FUZZING, max_examples=150)
@given(changes=st.lists(st.tuples(st.integers(0, 500), _JSON), min_size=1, max_size=3), skip=st.booleans())
def test_any_json_at_any_node_of_a_coco_file(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, Any]], skip: bool
) -> None:
    packed = encode(np.pad(np.ones((10, 10), bool), ((5, 25), (5, 45))))
    content = coco_content([*room(), annotation(21, 1, runs(TABLE), iscrowd=1), annotation(22, 2, packed, ignore=0)])
    for place, value in changes:
        nodes = _nodes(content)
        holder, key = nodes[place % len(nodes)]
        holder[key] = value
        content = json.loads(json.dumps(content))
    folder = write_room(tmp_path_factory.mktemp("coco"))
    write_coco_file(folder / "annotations.json", content)
    with suppress(SurfacesError):
        for sample in open_dataset(folder, ReadOptions(skip_invalid=skip)):
            assert sample.labels().semantic.shape == sample.image().shape[:2]
