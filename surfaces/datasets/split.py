"""Splits datasets into training and validation parts that share no room."""

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
    """Splits a dataset by blocks of photos with consecutive names, since neighbours often show one room.

    Photos, sorted by name, are added to a block until it has `block_size` of them and the numbers at the end of their
    names have a gap (nyu_0117, nyu_0119: another room); without a gap, a block ends at twice that size.

    Args:
        samples: a dataset.
        block_size: fewest photos of a block.
        every: one of this many blocks is for validation.
        offset: which of them, from 0, modulo `every`; another value gives another split.

    Returns:
        The training and the validation part, each sorted by name; one may be empty for fewer than `every` blocks.
    """
    train: list[NamedT] = []
    val: list[NamedT] = []
    for index, block in enumerate(_blocks(sorted(samples, key=lambda sample: sample.name), block_size)):
        (val if index % every == offset % every else train).extend(block)
    return train, val


def split_in_two(samples: Sequence[NamedT]) -> tuple[list[NamedT], list[NamedT]]:
    """As `split_blocks`, with smaller blocks where needed so that neither part is empty.

    Raises:
        DatasetError: all photos belong to one block of any size.
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
    """Whether two names end in consecutive numbers after the same text."""
    text_before, number_before = _split_number(before)
    text_after, number_after = _split_number(after)
    return text_before == text_after and number_after is not None and number_after - 1 == number_before


def _split_number(name: str) -> tuple[str, int | None]:
    text = re.sub(r"[0-9]*$", "", name)
    return text, int(name[len(text) :]) if len(text) < len(name) else None
