"""Training and validation parts that share no room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from surfaces.errors import DatasetError

_SMALLER_BLOCKS = ((15, 5, 3), (7, 5, 3), (3, 5, 3), (1, 5, 3), (1, 2, 1))


class Named(Protocol):
    """A photo of a dataset."""

    @property
    def name(self) -> str:
        """Unique within its dataset."""


NamedT = TypeVar("NamedT", bound=Named)


def split_blocks(
    samples: Sequence[NamedT], block_size: int = 15, every: int = 5, offset: int = 3
) -> tuple[list[NamedT], list[NamedT]]:
    """Splits a dataset by blocks of photos whose names follow each other, since neighbours often show one room.

    Sorted by name, photos fill a block until it holds `block_size` of them and the numbers that end their names leave
    a gap (nyu_0117, nyu_0119: another room); where there is no gap a block ends at twice that size.

    Args:
        samples: a dataset.
        block_size: photos that a block holds at the least.
        every: one block of so many goes to the validation part.
        offset: which of them, counted from 0 and taken modulo `every`: another value is another split.

    Returns:
        The training part and the validation part, each sorted by name. With fewer than `every` blocks one of them may
        be empty.
    """
    train: list[NamedT] = []
    val: list[NamedT] = []
    for index, block in enumerate(_blocks(sorted(samples, key=lambda sample: sample.name), block_size)):
        (val if index % every == offset % every else train).extend(block)
    return train, val


def split_in_two(samples: Sequence[NamedT]) -> tuple[list[NamedT], list[NamedT]]:
    """`split_blocks`, with smaller blocks where there are too few photos for its defaults to fill both parts.

    Args:
        samples: a dataset.

    Returns:
        The training part and the validation part, each sorted by name, none of them empty.

    Raises:
        DatasetError: all photos belong to one block, however small blocks are.
    """
    for size, every, offset in _SMALLER_BLOCKS:
        train, val = split_blocks(samples, size, every, offset)
        if train and val:
            return train, val
    raise DatasetError(f"expected photos of several rooms to split, got {len(samples)} with consecutive names")


def _blocks(samples: Sequence[NamedT], size: int) -> list[list[NamedT]]:
    blocks: list[list[NamedT]] = []
    for sample in samples:
        block = blocks[-1] if blocks else []
        full = len(block) >= 2 * size or (len(block) >= size and not _follows(block[-1].name, sample.name))
        if not block or full:
            blocks.append([sample])
        else:
            block.append(sample)
    return blocks


def _follows(before: str, after: str) -> bool:
    """Whether two names end in consecutive numbers after the same words."""
    words_before, number_before = _parts(before)
    words_after, number_after = _parts(after)
    return words_before == words_after and number_after is not None and number_after - 1 == number_before


def _parts(name: str) -> tuple[str, int | None]:
    digits = re.search(r"[0-9]*$", name)
    end = digits.group() if digits else ""
    return name[: len(name) - len(end)], int(end) if end else None
