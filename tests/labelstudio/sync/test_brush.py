from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter import brush as converter

from labelstudio.errors import AnnotationError
from labelstudio.sync.brush import decode_brush, encode_brush

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans())

WIDTHS = (3, 4, 8, 16)
Group = tuple[str, int, list[int]]
"""`run` or `singles`, the index of a width, and the run's count and value, or all single values."""
STROKE_ALPHA = [[0, 0, 64, 127, 128, 255], [255, 255, 200, 96, 0, 0]]


def stream(values: int, groups: Iterable[Group], widths: tuple[int, ...] = WIDTHS, value_bits: int = 8) -> list[int]:
    """The bytes of a stream of rle-pack that states a number of values, whatever its groups hold."""
    bits = f"{values:032b}{value_bits - 1:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    for kind, index, numbers in groups:
        count, told = (numbers[0], numbers[1:]) if kind == "run" else (len(numbers), numbers)
        bits += f"{int(kind == 'run')}{index:02b}{count - 1:0{widths[index]}b}"
        bits += "".join(f"{value:0{value_bits}b}" for value in told)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]


def by_converter(mask: np.ndarray) -> list[int]:
    return converter.mask2rle((mask * 255).astype(np.uint8))


@given(masks)
def test_any_mask_survives_and_the_converter_writes_and_reads_the_same(mask: np.ndarray) -> None:
    decoded = decode_brush(encode_brush(mask), *mask.shape)
    assert decoded.dtype == np.bool_
    assert np.array_equal(decoded, mask)
    assert encode_brush(mask) == by_converter(mask)
    values = converter.decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)
    assert np.array_equal(values, np.repeat(mask[..., np.newaxis] * np.uint8(255), 4, axis=2))


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 64), (1, 65), (128, 128), (1, 16385), (127, 129), (300, 301), (1, 32768), (40_000, 1)]
)
@pytest.mark.parametrize("pixel", [None, 0, -1])
@pytest.mark.parametrize("full", [False, True])
def test_runs_of_all_lengths(shape: tuple[int, int], full: bool, pixel: int | None) -> None:
    mask = np.full(shape, full)
    if pixel is not None:
        mask.flat[pixel] = not full
    assert encode_brush(mask) == by_converter(mask)
    assert np.array_equal(decode_brush(encode_brush(mask), *shape), mask)


def test_holes_and_parts_survive() -> None:
    mask = np.zeros((479, 641), bool)
    mask[20:400, 30:500] = True
    mask[50:90, 60:120] = mask[200:201, 100:101] = False
    mask[70:80, 80:100] = mask[470:, 600:] = True
    assert encode_brush(mask) == by_converter(mask)
    assert np.array_equal(decode_brush(encode_brush(mask), 479, 641), mask)


def test_a_photo_of_12_megapixels() -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(756, 1008)), (0, 0), 6)
    mask = cv2.resize((blobs > 0).astype(np.uint8), (4032, 3024), interpolation=cv2.INTER_NEAREST).astype(bool)
    rle = encode_brush(mask)
    assert len(rle) < 600_000
    assert np.array_equal(decode_brush(rle, 3024, 4032), mask)


@pytest.mark.parametrize(
    "rle",
    [
        # What rle-pack in Label Studio 1.23.2's editor makes of the strokes: alpha in all channels, as it is sent,
        "00000030391bfce011a046ff1c05bff8f223609c00",
        # in alpha alone,
        "00000030391bfda00010220001fe200020220003fe20003fe20003fe200032220001827000",
        # and over other channels in which nothing repeats.
        "00000030391bfa2f0a141e000b151f000c1620400d17217f0e1822800f1923ff101a24ff111b25ff121c26c8131d2760"
        "141e2800151f2900",
    ],
)
def test_strokes_of_the_browser_are_cut_at_half_their_alpha(rle: str) -> None:
    assert np.array_equal(decode_brush(list(bytes.fromhex(rle)), 2, 6), np.array(STROKE_ALPHA) > 127)


def test_long_runs_of_the_browser_and_groups_across_the_blocks_in_which_a_stream_is_read() -> None:
    assert decode_brush([0, 5, 126, 64, 57, 27, *[255] * 17, 254, 252, 127, 254], 300, 300).all()
    assert decode_brush(stream(6 * 65_536, [("singles", 3, [255] * 65_536)] * 6), 1, 6 * 16_384).all()


@given(st.data())
def test_any_groups_are_read_as_by_the_converter(data: st.DataObject) -> None:
    widths = tuple(data.draw(st.lists(st.integers(1, 16), min_size=4, max_size=4)))
    groups, left = [], data.draw(st.integers(1, 60)) * 4
    values = left
    while left:
        index = data.draw(st.integers(0, 3))
        count = data.draw(st.integers(1, min(left, 1 << widths[index])))
        value = st.integers(0, 255)
        if data.draw(st.booleans()):
            groups.append(("run", index, [count, data.draw(value)]))
        else:
            groups.append(("singles", index, data.draw(st.lists(value, min_size=count, max_size=count))))
        left -= count
    rle = stream(values, groups, widths)
    alpha = converter.decode_rle(rle).reshape(-1, 4)[:, 3]
    assert np.array_equal(decode_brush(rle, 1, values // 4)[0], alpha > 127)


WHOLE = encode_brush(np.eye(16, dtype=bool))


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        (None, "as a list of bytes, got NoneType"),
        ("@AB", "as a list of bytes, got str"),
        ({"0": 1}, "as a list of bytes, got dict"),
        ([], "header of 53 bits, got 0"),
        (WHOLE[:6], "header of 53 bits, got 48"),
        ([*WHOLE[:9], 256, *WHOLE[10:]], "list of bytes: bytes must be in range"),
        ([*WHOLE[:9], -1, *WHOLE[10:]], "list of bytes: bytes must be in range"),
        ([*WHOLE[:9], 1.5, *WHOLE[10:]], "list of bytes: "),
        ([*WHOLE[:9], None, *WHOLE[10:]], "list of bytes: "),
        ([WHOLE], "list of bytes: "),
        (encode_brush(np.eye(17, dtype=bool)), "1024 values (16x16), got 1156"),
        (stream(0xFFFFFFFF, []), "1024 values (16x16), got 4294967295"),
        (stream(0, []), "1024 values (16x16), got 0"),
        (stream(1024, [("run", 3, [1024, 1])], value_bits=16), "values of 8 bits, got 16"),
        (WHOLE[:20], "1024 values, got groups of "),
        (WHOLE[:7], "1024 values, got groups of 0"),
        (stream(1024, [("run", 3, [1028, 255])]), "1024 values, got groups of 1028"),
        (stream(1024, [("singles", 3, [255] * 1024)])[:900], "1024 values, got groups of 0"),
    ],
)
def test_invalid_rle_is_rejected_in_one_line(rle: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(message)) as caught:
        decode_brush(rle, 16, 16)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(0, 255), max_size=60))
def test_any_bytes_are_a_mask_or_rejected(tail: list[int]) -> None:
    header = stream(64, [])
    with suppress(AnnotationError):
        assert decode_brush([*header[:6], *tail], 4, 4).shape == (4, 4)


@given(st.integers(0, len(WHOLE) - 3))
def test_a_cut_stream_is_rejected(length: int) -> None:
    with pytest.raises(AnnotationError):
        decode_brush(WHOLE[:length], 16, 16)
