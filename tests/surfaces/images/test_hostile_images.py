"""Damaged photos and photos built to exhaust whoever decodes them: refused quickly, with little memory."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from surfaces.errors import DecodeError
from surfaces.images.guards import FORMATS, format_of
from surfaces.images.load import ImageLimits
from tests.surfaces.images.image_mutations import SECONDS_MAX, mutant, peak_megabytes, sound_photos
from tests.surfaces.images.photo_files import PNG_SIGNATURE, decoded, png, png_chunk, refused, saved, tiff

pytestmark = [
    pytest.mark.security,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # Pillow tells of each oddity
]

MUTANTS = 6000
SAMPLE = 160
PEAK_MB = 1024
HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}


def run_mutants(first: int, stop: int, step: int) -> tuple[float, int]:
    """Decodes in a process of its own and checks each outcome; returns the longest seconds and the peak megabytes."""
    program = HERE / "image_mutations.py"
    process = subprocess.run(
        [sys.executable, program, str(first), str(stop), str(step)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert process.returncode == 0, f"died ({process.returncode}) of {lines[-1:]}: {process.stderr[-2000:]}"
    ends = [(before["begins"], after) for before, after in zip(lines[:-1:2], lines[1:-1:2], strict=True)]
    assert len(ends) == len(range(first, stop, step))
    assert [end for end in ends if end[1]["outcome"] not in ("decoded", "refused")] == []
    slowest = max(ends, key=lambda end: end[1]["seconds"])
    outcomes = Counter(end[1]["outcome"] for end in ends)
    assert len(outcomes) == 2, "mutants that are all alike test nothing"
    print(f"{len(ends)} mutants: {dict(outcomes)}; slowest {slowest}; peak {lines[-1]['peak_mb']:.0f} MB")
    return slowest[1]["seconds"], lines[-1]["peak_mb"]


def test_a_sample_of_mutants() -> None:
    run_mutants(0, MUTANTS, MUTANTS // SAMPLE + 1)


@pytest.mark.slow
def test_all_mutants() -> None:
    seconds, megabytes = run_mutants(0, MUTANTS, 1)
    assert seconds < SECONDS_MAX
    assert megabytes < PEAK_MB


def test_mutants_are_deterministic() -> None:
    program = "from tests.surfaces.images.image_mutations import sound_photos; print(sound_photos())"
    time.sleep(1)  # files that hold the time would differ
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert process.stdout == f"{sound_photos()}\n"
    assert [mutant(number) for number in range(50)] == [mutant(number) for number in range(50)]


def test_mutants_are_of_all_formats() -> None:
    assert {format_of(data) for data in sound_photos().values()} >= set(FORMATS) - {"HEIC"}


@pytest.mark.parametrize("name", sound_photos())
def test_sources_of_mutants_are_valid(name: str) -> None:
    assert decoded(sound_photos()[name]).shape == (48, 48, 3)


EDITS = st.lists(
    st.tuples(st.integers(0, 2**14), st.one_of(st.binary(min_size=1, max_size=8), st.integers(1, 64))), max_size=12
)
"""At a place: bytes to write there, or how many to take out."""


def decode_edited(name: str, edits: list[tuple[int, bytes | int]], keep: int) -> None:
    data = bytearray(sound_photos()[name])
    for place, edit in edits:
        start = place % max(1, len(data))
        if isinstance(edit, int):
            del data[start : start + edit]
        else:
            data[start : start + len(edit)] = edit
    with suppress(DecodeError):
        image = decoded(bytes(data[:keep]))
        assert image.shape[0] * image.shape[1] <= ImageLimits().pixels_max


INPUTS = {"name": st.sampled_from(sorted(sound_photos())), "edits": EDITS, "keep": st.integers(0, 2**14)}
FUZZING = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(FUZZING, max_examples=300)
@given(**INPUTS)
def test_any_edit(name: str, edits: list[tuple[int, bytes | int]], keep: int) -> None:
    decode_edited(name, edits, keep)


@pytest.mark.slow
@settings(FUZZING, max_examples=12_000)
@given(**INPUTS)
def test_any_edit_at_length(name: str, edits: list[tuple[int, bytes | int]], keep: int) -> None:
    before = peak_megabytes()
    decode_edited(name, edits, keep)
    assert peak_megabytes() - before < PEAK_MB


@settings(FUZZING, max_examples=300)
@given(head=st.sampled_from(sorted({data[:12] for data in sound_photos().values()})), tail=st.binary(max_size=300))
def test_any_bytes_after_a_signature(head: bytes, tail: bytes) -> None:
    with suppress(DecodeError):
        decoded(head + tail)


def png_with(*chunks: bytes) -> bytes:
    sound = png(64, 64, 8, 0, (b"\0" + bytes(64)) * 64)
    header = len(PNG_SIGNATURE) + 25
    return sound[:header] + b"".join(chunks) + sound[header:]


MEGABYTE = zlib.compress(bytes(2**20 - 1))
BOMB = zlib.compress(bytes(2**24))
TOO_MANY_TEXTS, TOO_MANY_BLOCKS = "at most 100 texts and profiles", "blocks before a GIF's image"
TOO_MANY_SEGMENTS = "at most 4096 segments"
JPEG, GIF = saved(Pillow.new("L", (64, 64)), "JPEG"), saved(Pillow.new("P", (64, 64)), "GIF")
SMALL_BMP = struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 1078, 40, 6000, 6000, 1, 8, 1, 0, 0, 0, 256, 0)


def jpeg_with(header: bytes) -> bytes:
    return JPEG[:2] + b"\xff\xfe\0\2" + header + JPEG[2:]


def gif_with(blocks: bytes) -> bytes:
    start = GIF.index(b",")
    return GIF[:start] + blocks + GIF[start:]


ATTACKS = {
    "PNG profiles": (png_with(*[png_chunk(b"iCCP", b"a\0\0" + MEGABYTE)] * 2000), TOO_MANY_TEXTS),
    "PNG texts cut off": (png_with(*[png_chunk(b"zTXt", b"a\0\0" + MEGABYTE[:-1] + b"?")] * 2000), TOO_MANY_TEXTS),
    "PNG texts": (png_with(*[png_chunk(b"zTXt", b"a\0\0" + MEGABYTE)] * 90), "MAX_TEXT_MEMORY"),
    "PNG international texts": (png_with(*[png_chunk(b"iTXt", b"a\0\1\0\0\0" + MEGABYTE)] * 90), "MAX_TEXT_MEMORY"),
    "PNG large profile": (png_with(png_chunk(b"iCCP", b"a\0\0" + BOMB)), "too large"),
    "PNG large text": (png_with(png_chunk(b"zTXt", b"a\0\0" + BOMB)), "too large"),
    "PNG private chunks": (png_with(*[png_chunk(b"prIv", b"")] * 100_000), "at most 65536 chunks"),
    "PNG empty chunks": (png_with(*[png_chunk(b"IDAT", b"")] * 100_000), "at most 65536 chunks"),
    "JPEG comments": (jpeg_with(b"\xff\xfe\0\2" * 100_000), TOO_MANY_SEGMENTS),
    "JPEG starts": (jpeg_with(b"\xff\xd8" * 100_000), TOO_MANY_SEGMENTS),
    "JPEG comments after an end": (jpeg_with(b"\xff\xd9" + b"\xff\xfe\0\2" * 100_000), TOO_MANY_SEGMENTS),
    "JPEG zeros": (jpeg_with(bytes(1_000_000)), "stray bytes"),
    "JPEG padding": (jpeg_with(b"\xff" * 1_000_000), "stray bytes"),
    "GIF empty comments": (gif_with(b"!\xfe\0" * 100_000), TOO_MANY_BLOCKS),
    "GIF comment": (gif_with(b"!\xfe" + b"\1a" * 100_000), TOO_MANY_BLOCKS),
    "GIF application": (gif_with(b"!\xff" + b"\1a" * 100_000), TOO_MANY_BLOCKS),
    "GIF control": (gif_with(b"!\xf9\0" + b"\1a" * 100_000), TOO_MANY_BLOCKS),
    "GIF stray bytes": (gif_with(b"?" * 100_000), TOO_MANY_BLOCKS),
    "BMP run lengths": (b"BM" + SMALL_BMP + bytes(1024) + b"\0\2\0\xff" * 99, "run lengths"),
}


@pytest.mark.parametrize(("data", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_costly_structures_are_refused(data: bytes, reason: str) -> None:
    assert reason in refused(data)


def test_png_with_common_chunks_is_accepted() -> None:
    chunks = [png_chunk(b"iCCP", b"a\0\0" + MEGABYTE), *[png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b"))] * 50]
    assert decoded(png_with(*chunks)).shape == (64, 64, 3)


def test_jpeg_of_many_scans() -> None:
    data = saved(Pillow.new("L", (64, 64)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert decoded(data[:-2] + last * 20 + data[-2:]).shape == (64, 64, 3)
    assert "at most 50 scans" in refused(data[:-2] + last * 1000 + data[-2:])
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 400) + b"\xff\xda\0\2" * 100
    assert decoded(data[:2] + thumbnail + data[2:]).shape == (64, 64, 3)


def test_gif_screens_and_frames() -> None:
    screen = struct.pack("<HH", 60_000, 60_000)
    for place, size in ((6, screen), (GIF.index(b",") + 5, screen), (6, struct.pack("<HH", 9000, 9000))):
        assert "megapixels" in refused(GIF[:place] + size + GIF[place + 4 :])


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({322: (4, [30_000]), 323: (4, [30_000]), 324: (4, [8]), 325: (4, [99])}, "pixels in a TIFF's tile"),
        ({273: (4, [8] * 300_000), 279: (4, [1] * 300_000)}, "values of a TIFF's tag"),
        ({258: (3, [8] * 300_000)}, "values of a TIFF's tag"),
        ({256: (4, [60_000]), 257: (4, [60_000])}, "megapixels"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_tags(tags: dict[int, tuple[int, list[int]]], reason: str, order: str) -> None:
    assert reason in refused(tiff(64, 64, [8] * 3, 2, bytes(64 * 64 * 3), tags, order))


@pytest.mark.parametrize("pointer", [34665, 34853, 40965])
def test_tiff_directories_inside(pointer: int) -> None:
    """Fractions take a hundred times their size once read, and Pillow reads those of the Exif directory at once."""
    sound = tiff(64, 64, [8], 1, bytes(64 * 64), {pointer: (4, [1])})
    inside = struct.pack("<HHHIII", 1, 0x829A, 5, 500_000, 0, 0)
    entry = re.search(re.escape(struct.pack("<HHI", pointer, 4, 1)), sound)
    assert entry
    data = sound[: entry.end()] + struct.pack("<I", len(sound)) + sound[entry.end() + 4 :] + inside + bytes(4_000_000)
    assert "values of a TIFF's tag" in refused(data)


def test_tiff_of_many_pages_costs_one() -> None:
    page = Pillow.new("L", (64, 64), 9)
    data = saved(page, "TIFF", save_all=True, append_images=[Pillow.new("L", (64, 64))] * 1000)
    assert decoded(data)[3, 3].tolist() == [9, 9, 9]


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "GIF", "PNG"])
def test_animations_cost_one_frame(kind: str) -> None:
    frames = [Pillow.new("RGB", (64, 64), (shade, 0, 0)) for shade in range(1, 100)]
    options = {"speed": 10} if kind == "AVIF" else {}
    data = saved(Pillow.new("RGB", (64, 64)), kind, save_all=True, append_images=frames, **options)
    assert decoded(data)[3, 3].max() <= 2


def test_webp_canvas() -> None:
    frames = [Pillow.new("RGB", (64, 64), "red")]
    data = bytearray(saved(Pillow.new("RGB", (64, 64)), "WEBP", save_all=True, append_images=frames))
    for side in (16_383, 7100):
        data[24:30] = struct.pack("<I", side - 1)[:3] * 2
        assert "megapixels" in refused(bytes(data))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_containers_with_a_wrong_size(kind: str) -> None:
    data = bytearray(saved(Pillow.new("RGB", (64, 64)), kind))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 30_000, 30_000)
    refused(bytes(data))


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX", "SGI", "JPEG2000", "ICNS", "EPS", "PDF"])
def test_unsupported_formats(kind: str) -> None:
    came = refused(saved(Pillow.new("RGB", (64, 64)), kind))
    assert came.endswith("got a PDF" if kind == "PDF" else "got bytes of another kind")


def test_limit_of_bytes() -> None:
    data = saved(Pillow.new("L", (64, 64)), "PNG") + bytes(1000)
    assert refused(data, ImageLimits(bytes_max=900)) == "expected at most 900 bytes, the photo has more"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options", "most_mb"),
    [
        ("JPEG", {}, 450),
        ("JPEG", {"progressive": True, "subsampling": 0}, 600),
        ("PNG", {"compress_level": 1}, 600),
        ("WEBP", {"method": 0}, 850),
        ("TIFF", {"compression": "tiff_lzw"}, 650),
        ("BMP", {}, 550),
        ("AVIF", {"speed": 10, "subsampling": "4:4:4"}, 700),
    ],
)
def test_memory_of_the_largest_photo(tmp_path: Path, kind: str, options: dict[str, object], most_mb: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 800, 3), np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    photo = Pillow.fromarray(noise).resize((8600, 5800), Pillow.Resampling.BICUBIC)
    photo.save(tmp_path / "photo", kind, exif=exif, **options)
    program = (
        "import sys; from surfaces.images.load import load_image;"
        "from tests.surfaces.images.image_mutations import peak_megabytes;"
        "load_image(sys.argv[1]); before = peak_megabytes();"
        "print(load_image(sys.argv[2]).size, round(peak_megabytes() - before))"
    )
    photo.resize((32, 32)).save(tmp_path / "small", kind)  # loads the decoder's libraries
    process = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "small", tmp_path / "photo"],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    size, peak = map(int, process.stdout.split())
    assert size == 8600 * 5800 * 3
    print(f"{kind}: {peak} MB")
    assert peak < most_mb
