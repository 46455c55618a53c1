"""Bootstrap intervals, and calibration of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_RESAMPLES = 1000
_CALIBRATION_BINS = 10  # of the score


def bootstrap_interval(photos: npt.NDArray[Any], statistic: Callable[[npt.NDArray[Any]], float]) -> tuple[float, float]:
    """95 % percentile bootstrap (Efron, 1979) of a statistic over photos drawn with replacement.

    Photos of one room are similar, so the true interval is wider where a dataset has several of a room. `photos`
    (N x …) are the counts of each photo. NaN where the statistic is never defined.
    """
    if len(photos) == 0:
        return float("nan"), float("nan")
    return percentile_interval(np.array([statistic(photos[drawn]) for drawn in _draws(len(photos))], np.float64))


def bootstrap_sums(photos: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Sums over photos drawn with replacement, float64 (1000, …): a quick base for statistics of sums.

    The draws are those of `bootstrap_interval`; `photos` (N x …) are the counts of each photo, N at least 1.
    """
    drawn = np.stack([np.bincount(draw, minlength=len(photos)) for draw in _draws(len(photos))])
    return np.tensordot(drawn.astype(np.float64), photos.astype(np.float64), axes=1)


def _draws(count: int) -> Iterator[npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, count, count) for _ in range(_RESAMPLES))


def percentile_interval(values: npt.NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The interval of the middle share `level` of a statistic's values; NaN where all of them are."""
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def calibration_error(scored: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015); NaN without predictions.

    `scored` are the score of each prediction, from 0 to 1, and whether it is correct.
    """
    if not scored:
        return float("nan")
    scores, right = np.array(scored, np.float64).T
    index = np.minimum((scores * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = np.bincount(index, weights=scores - right)
    return float(np.abs(gaps).sum() / len(scores))
