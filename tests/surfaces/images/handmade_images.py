"""PNG, TIFF and ICC files by hand: of kinds that Pillow doesn't write, and that lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_TYPES = {3: "H", 4: "I"}


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file.

    Args:
        width: of the photo.
        height: of the photo.
        depth: bits a sample.
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and opacity, 6 RGBA.
        pixels: rows, each led by its filter's number.
        chunks: that stand before the pixels.
    """
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    extra = b"".join(png_chunk(*each) for each in chunks)
    return PNG_SIGNATURE + header + extra + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")


def unfiltered(samples: bytes, height: int) -> bytes:
    """Rows of a PNG, each led by a 0: not filtered."""
    length = len(samples) // height
    return b"".join(b"\0" + samples[row * length : (row + 1) * length] for row in range(height))


def tiff(
    width: int,
    height: int,
    bits: Sequence[int],
    photometric: int,
    pixels: bytes,
    tags: dict[int, tuple[int, Sequence[int]]] | None = None,
    order: str = "<",
) -> bytes:
    """A TIFF file of one strip.

    Args:
        width: of the photo.
        height: of the photo.
        bits: a sample, for each channel.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK, 6 YCbCr, 8 LAB.
        pixels: as they are stored.
        tags: type (3 short, 4 long) and values by number; replace the usual ones, which no values remove.
        order: "<" little endian, ">" big endian.
    """

    def written(offset: int) -> bytes:
        entries: dict[int, tuple[int, Sequence[int]]] = {
            256: (4, [width]),
            257: (4, [height]),
            258: (3, bits),
            259: (3, [1]),
            262: (3, [photometric]),
            273: (4, [offset]),
            277: (3, [len(bits)]),
            278: (4, [height]),
            279: (4, [len(pixels)]),
            **(tags or {}),
        }
        entries = {tag: entry for tag, entry in entries.items() if entry[1]}
        directory, outside = b"", b""
        outside_start = 8 + 2 + 12 * len(entries) + 4
        for tag, (kind, values) in sorted(entries.items()):
            raw = struct.pack(f"{order}{len(values)}{_TIFF_TYPES[kind]}", *values)
            field = raw.ljust(4, b"\0")
            if len(raw) > 4:
                field = struct.pack(order + "I", outside_start + len(outside))
                outside += raw
            directory += struct.pack(order + "HHI", tag, kind, len(values)) + field
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
        return head + struct.pack(order + "H", len(entries)) + directory + bytes(4) + outside

    return written(len(written(0))) + pixels


def cmyk_profile() -> bytes:
    """A printer's ICC profile (ICC.1:2001) for which cyan ink alone is green, and any other paper is white."""
    white, green = b"\xff\x80\x80", b"\xa0\x30\xb0"  # CIELAB of 8 bits: L*, a* and b* with 128 for 0
    colours = b"".join(green if corner == 0b1000 else white for corner in range(16))
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (place % 4 == 0) for place in range(9)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + colours + identity * 3
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78)
    tags = [(b"desc", text), (b"wtpt", b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)), (b"A2B0", table)]
    position = 128 + 4 + 12 * len(tags)
    index, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        padded = data + bytes(-len(data) % 4)
        index += name + struct.pack(">II", position + len(body), len(data))
        body += padded
    head = bytearray(128)
    head[0:4] = struct.pack(">I", position + len(body))
    head[8:12] = b"\2\x40\0\0"
    head[12:24] = b"prtrCMYKLab "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + index + body
