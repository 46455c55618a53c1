"""Streams of bits in the format of thi.ng's rle-pack, written group by group, as no encoder of ours would."""

from __future__ import annotations

from collections.abc import Iterable

WIDTHS = (3, 4, 8, 16)

Group = tuple[str, int, list[int]]
"""`run` or `singles`, the index of a width, and the run's count and value, or all single values."""


def stream(values: int, groups: Iterable[Group], widths: tuple[int, ...] = WIDTHS, value_bits: int = 8) -> list[int]:
    """The bytes of a stream that states a number of values, whatever its groups hold."""
    bits = f"{values:032b}{value_bits - 1:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    for kind, index, numbers in groups:
        count, told = (numbers[0], numbers[1:]) if kind == "run" else (len(numbers), numbers)
        bits += f"{int(kind == 'run')}{index:02b}{count - 1:0{widths[index]}b}"
        bits += "".join(f"{value:0{value_bits}b}" for value in told)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
