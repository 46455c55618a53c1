"""Bootstrap intervals, and calibration of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def bootstrap_interval(
    photos: npt.NDArray[Any],
    statistic: Callable[[npt.NDArray[Any]], float],
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap (Efron, 1979) of a statistic over photos drawn with replacement.

    Photos of one room are similar, so the true interval is wider where a dataset has several of a room.

    Args:
        photos: N x …, the counts of each photo.
        statistic: from such an array, of any N, to a number; NaN where it is undefined.
        level: share of resamples inside the interval.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        The lower and the upper end; NaN where the statistic is never defined.
    """
    if len(photos) == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    draws = (photos[rng.integers(0, len(photos), len(photos))] for _ in range(resamples))
    return percentile_interval(np.array([statistic(draw) for draw in draws], np.float64), level)


def bootstrap_sums(photos: npt.NDArray[Any], resamples: int = 1000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Sums over photos drawn with replacement, float64 (resamples, …): a quick base for statistics of sums.

    The draws are those of `bootstrap_interval`; `photos` (N x …) are the counts of each photo, N at least 1.
    """
    rng = np.random.default_rng(seed)
    count = len(photos)
    drawn = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(resamples)])
    return np.tensordot(drawn.astype(np.float64), photos.astype(np.float64), axes=1)


def percentile_interval(values: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The interval of the middle share `level` of a statistic's values; NaN where all of them are."""
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def calibration_error(scored: Sequence[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015); NaN without predictions.

    Args:
        scored: the score of each prediction, from 0 to 1, and whether it is correct.
        bins: number of equal bins of the score.
    """
    if not scored:
        return float("nan")
    scores, right = np.array(scored, np.float64).T
    index = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = np.bincount(index, weights=scores - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(scores))
