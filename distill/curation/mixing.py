"""Mixes datasets: so many photos of each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from surfaces.datasets import Sample
from surfaces.errors import DatasetError


def mix(datasets: Sequence[Sequence[Sample]], shares: Sequence[float], photos: int | None) -> list[Sample]:
    """Takes photos of each dataset at even distances, so that the mix has these shares.

    Args:
        datasets: at least one.
        shares: one a dataset, in any unit; none: all photos of each.
        photos: of the mix; None: as many as the dataset allows that is used up first.

    Raises:
        DatasetError: another number of shares, a share that is not positive, or a dataset with too few photos.
    """
    if not shares and photos is None:
        return [sample for samples in datasets for sample in samples]
    shares = shares or [float(len(samples)) for samples in datasets]
    if len(shares) != len(datasets) or not all(0 < share < math.inf for share in shares):
        raise DatasetError(f"expected a positive share for each of {len(datasets)} datasets, got {list(shares)}")
    total = sum(shares)
    if photos is None:
        photos = int(min(len(samples) * total / share for samples, share in zip(datasets, shares, strict=True)))
    wanted = _apportioned(photos, [share / total for share in shares])
    for samples, count in zip(datasets, wanted, strict=True):
        if count > len(samples):
            raise DatasetError(f"expected {count} photos for a share of a mix of {photos}, got {len(samples)}")
    return [
        samples[index * len(samples) // count]
        for samples, count in zip(datasets, wanted, strict=True)
        for index in range(count)
    ]


def _apportioned(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these shares that sum to the count (by largest remainder)."""
    exact = [count * share for share in shares]
    whole = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: whole[index] - exact[index])
    for index in by_remainder[: count - sum(whole)]:
        whole[index] += 1
    return whole
