"""Damages sound photos of every format in reproducible ways, and decodes them in a process that may die of it.

Run as a program it decodes mutants and says after each what came of it, so that whoever started it knows which hung,
crashed or ate the memory:

    python image_mutations.py FIRST STOP STEP
"""

from __future__ import annotations

import io
import json
import random
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from surfaces.errors import DecodeError
from surfaces.images.load import decode_image
from tests.surfaces.images.photo_files import PNG_SIGNATURE, cmyk_profile, png, png_chunk, saved, tiff, unfiltered

SECONDS_MAX = 5
_SIDE = 48
_TIMES = re.compile(rb"((?:mvhd|tkhd|mdhd)\x01...).{16}", re.DOTALL)
"""When an AVIF animation was made; mutants are the same at any time."""
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def sound_photos() -> dict[str, bytes]:
    """Small files of every format and of what may be in them, by name."""
    pixels = np.frombuffer(random.Random(1).randbytes(_SIDE * _SIDE * 4), np.uint8).reshape(_SIDE, _SIDE, 4)
    smooth = np.stack([np.add.outer(np.arange(_SIDE), np.arange(_SIDE) * k) * 2 for k in (1, 2, 0, 1)], -1)
    rgba = Pillow.fromarray((smooth + pixels % 16).clip(0, 255).astype(np.uint8))
    rgb, grey, palette = rgba.convert("RGB"), rgba.convert("L"), rgba.convert("RGB").quantize(32)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"s\0R\0G\0B", b"x\0R\0G\0B")
    profile = profile[:24] + bytes(12) + profile[36:]  # when it was made
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = 6, "a dining room", {0x9000: b"0232", 0x829A: 0.01}
    extras = {"exif": exif.tobytes(), "icc_profile": profile}
    frames = [rgb.rotate(90 * turn) for turn in range(3)]
    deep = pixels[..., :2].copy().view("<u2")[..., 0]
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    lab.info.clear()  # of a profile with the time

    def animated(kind: str, **options: object) -> bytes:
        return saved(rgb, kind, save_all=True, append_images=[frame.copy() for frame in frames], **options)

    texts = [
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(999))),
        (b"iTXt", b"b\0\1\0en\0b\0" + zlib.compress(b"c" * 99)),
        (b"tEXt", b"Raw profile type exif\0\nexif\n 8\n4d4d002a00000008\n"),
        (b"gAMA", struct.pack(">I", 45455)),
    ]
    photos = {
        "JPEG": saved(rgb, "JPEG", **extras),
        "JPEG progressive": saved(rgb, "JPEG", progressive=True, subsampling=0, comment="table"),
        "JPEG grey": saved(grey, "JPEG", restart_marker_blocks=2),
        "JPEG CMYK": saved(rgb.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        "JPEG of several": animated("MPO"),
        "PNG": saved(rgb, "PNG", **extras),
        "PNG opacity": saved(rgba, "PNG"),
        "PNG palette": saved(palette, "PNG", transparency=bytes(range(32))),
        "PNG 16 bits": png(_SIDE, _SIDE, 16, 0, unfiltered(deep.tobytes(), _SIDE), (b"tRNS", b"\1\2")),
        "PNG colour 16 bits": png(_SIDE, _SIDE, 16, 2, unfiltered(pixels[..., :3].tobytes() * 2, _SIDE)),
        "PNG texts": png(_SIDE, _SIDE, 8, 0, unfiltered(bytes(_SIDE * _SIDE), _SIDE), *texts),
        "PNG animated": animated("PNG"),
        "GIF": saved(palette, "GIF", transparency=3, comment=b"chair"),
        "GIF animated": animated("GIF", loop=0, duration=40, disposal=2),
        "BMP": saved(rgb, "BMP"),
        "BMP palette": saved(palette, "BMP"),
        "TIFF": saved(rgb, "TIFF", **extras),
        "TIFF LZW": saved(rgb, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
        "TIFF deflate": saved(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": saved(rgb, "TIFF", compression="jpeg"),
        "TIFF fax": saved(grey.convert("1"), "TIFF", compression="group4"),
        "TIFF packed": saved(palette, "TIFF", compression="packbits"),
        "TIFF Zstandard": saved(rgb, "TIFF", compression="zstd"),
        "TIFF LZMA": saved(rgb, "TIFF", compression="lzma"),
        "TIFF pages": animated("TIFF"),
        "TIFF 16 bits": saved(Pillow.fromarray(deep), "TIFF"),
        "TIFF float": saved(grey.convert("F"), "TIFF", compression="tiff_deflate"),
        "TIFF CMYK": saved(rgb.convert("CMYK"), "TIFF", icc_profile=cmyk_profile()),
        "TIFF LAB": saved(lab, "TIFF"),
        "TIFF big endian": tiff(_SIDE, _SIDE, [8] * 3, 2, pixels[..., :3].tobytes(), order=">"),
        "WEBP": saved(rgb, "WEBP", **extras),
        "WEBP lossless": saved(rgba, "WEBP", lossless=True),
        "WEBP animated": animated("WEBP"),
        "AVIF": saved(rgb, "AVIF", speed=10, **extras),
        "AVIF opacity": saved(rgba, "AVIF", speed=10),
        "AVIF animated": _TIMES.sub(rb"\1" + bytes(16), animated("AVIF", speed=10)),
    }
    if find_spec("pillow_heif"):
        for name, photo in (("HEIC", rgb), ("HEIC opacity", rgba), ("HEIC grey", grey)):
            photos[name] = saved(photo, "HEIF", exif=exif.tobytes())
    return photos


def mutant(number: int) -> tuple[str, bytes]:
    """How a number's photo was damaged, and what came of it; the same in every run."""
    photos = sound_photos()
    generator = random.Random(number)
    name = list(photos)[number % len(photos)]
    data = photos[name]
    hurts = [hurt for hurt in _HURTS if hurt is not _shuffle_chunks or name.startswith("PNG")]
    chosen = generator.choices(hurts, k=generator.choice((1, 1, 1, 2, 3)))
    for hurt in chosen:
        data = hurt(data, generator)
    return f"{number}: {name}, {', '.join(hurt.__name__.strip('_') for hurt in chosen)}", data


def _flip_bits(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice((1, 2, 8, 64))):
        changed[_place(data, generator)] ^= 1 << generator.randrange(8)
    return bytes(changed)


def _truncate(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randrange(1, len(data))]


def _put_extremes(data: bytes, generator: random.Random) -> bytes:
    """Overwrites what may be a length, a size or an offset."""
    changed = bytearray(data)
    for _ in range(generator.choice((1, 2, 4))):
        width = generator.choice((1, 2, 4))
        value = generator.choice(_EXTREMES) % 256**width
        start = max(0, _place(data, generator) - width)
        changed[start : start + width] = value.to_bytes(width, generator.choice(("big", "little")))
    return bytes(changed)


def _swap_parts(data: bytes, generator: random.Random) -> bytes:
    first, second, third, fourth = sorted(generator.randrange(len(data)) for _ in range(4))
    return data[:first] + data[third:fourth] + data[second:third] + data[first:second] + data[fourth:]


def _remove_part(data: bytes, generator: random.Random) -> bytes:
    start = _place(data, generator)
    return data[:start] + data[start + generator.choice((1, 2, 4, 100)) :] or b"\0"


def _repeat_part(data: bytes, generator: random.Random) -> bytes:
    start = _place(data, generator)
    stop = start + generator.choice((1, 4, 64, 1024))
    return data[:stop] + data[start:stop] * generator.choice((1, 2, 100)) + data[stop:]


def _join(data: bytes, generator: random.Random) -> bytes:
    """Continues as another photo, which may be of another format."""
    other = generator.choice(list(sound_photos().values()))
    stop = generator.randrange(1, len(data) + 1)
    return data[:stop] + other[generator.choice((0, generator.randrange(len(other)))) :]


def _shuffle_chunks(data: bytes, generator: random.Random) -> bytes:
    """Damages inside a PNG's chunks and their order; the checksums stay right, else nothing of it would be read."""
    chunks = []
    position = len(PNG_SIGNATURE)
    while len(data) - position >= 12:
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    if not chunks:
        return data
    for _ in range(generator.choice((1, 2, 4))):
        place = generator.randrange(len(chunks))
        kind, content = chunks[place]
        match generator.randrange(4):
            case 0:
                chunks[place] = kind, _put_extremes(content, generator) if content else b"\xff" * 8
            case 1:
                chunks[place] = kind, _flip_bits(content, generator) if content else b"\0"
            case 2:
                chunks.insert(generator.randrange(len(chunks)), chunks[place])
            case _:
                chunks[place] = generator.choice(chunks)[0], content
    return PNG_SIGNATURE + b"".join(png_chunk(kind, content) for kind, content in chunks)


def _place(data: bytes, generator: random.Random) -> int:
    """Anywhere in a file, and often in its head, where the decisions are."""
    return generator.randrange(min(len(data), generator.choice((32, 256, len(data)))))


_HURTS: list[Callable[[bytes, random.Random], bytes]] = [_flip_bits, _flip_bits, _truncate, _put_extremes]
_HURTS += [_put_extremes, _swap_parts, _remove_part, _repeat_part, _join, _shuffle_chunks, _shuffle_chunks]


def peak_megabytes() -> int:
    """Most memory this process has held. Not `ru_maxrss`: a process inherits that of the one that starts it."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def main() -> None:
    """Decodes mutants, one line of JSON before and one after each, and the peak of memory at the end."""
    sound_photos()
    for number in range(*map(int, sys.argv[1:4])):
        name, data = mutant(number)
        print(json.dumps({"begins": name}), flush=True)
        start = time.perf_counter()
        try:
            outcome = "decoded" if decode_image(io.BytesIO(data)).size else "empty"
        except DecodeError as error:
            outcome = "refused" if "\n" not in str(error) else f"several lines: {error}"
        except BaseException as error:
            outcome = repr(error)
        print(json.dumps({"outcome": outcome, "seconds": time.perf_counter() - start}), flush=True)
    print(json.dumps({"peak_mb": peak_megabytes()}))


if __name__ == "__main__":
    main()
