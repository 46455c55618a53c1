"""Finds pictures that are put together of several photos."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from surfaces.detections import Image, Mask

Grey = npt.NDArray[np.uint8]

_STEP_LEAST = 15  # grey levels between two photos that meet
_SHARPNESS_LEAST = 3  # how many times the steps beside it
_BANDS, _BANDS_LEAST = 8, 6  # bands of the picture, and those a seam goes through: photos may look the same in some
_SHARE_LEAST = 0.56  # of a band's rows, in which a seam is such a step
_PLAIN_TOLERANCE = 8  # grey levels in a margin, after JPEG
_PLAIN_LEAST = 0.98  # share of a margin's column that is plain
_EDGE = 0.12  # share of the picture in which no seam is looked for, at each side: captions stand there


def count_seams(image: Image) -> int:
    """How many straight steps cut the picture from edge to edge: where photos meet, or a photo meets a gutter.

    Doors, corners of rooms and shelves are straight too, but neither as sharp nor from edge to edge. Margins around the
    whole are no seams.

    Args:
        image: uint8 HxWx3 RGB, best as it was put together, since scaling blurs seams.
    """
    grey = _trim(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))
    return sum(_count_upright(np.ascontiguousarray(turned)) for turned in (grey, grey.T))


def _trim(grey: Grey) -> Grey:
    """The picture without margins of one colour."""
    for _ in range(2):
        inside = np.flatnonzero(~_plain_columns(grey))
        if inside.size:
            grey = grey[:, inside[0] : inside[-1] + 1]
        grey = np.ascontiguousarray(grey.T)
    return grey


def _plain_columns(grey: Grey) -> Mask:
    usual = np.median(grey, axis=0).astype(np.uint8)
    plain = cv2.absdiff(grey, np.ascontiguousarray(np.broadcast_to(usual, grey.shape))) <= _PLAIN_TOLERANCE
    return np.asarray(plain.mean(axis=0) >= _PLAIN_LEAST, bool)


def _count_upright(grey: Grey) -> int:
    """Seams from top to bottom."""
    if len(grey) < _BANDS or grey.shape[1] < 2:
        return 0
    edge = round(_EDGE * grey.shape[1])
    steps = cv2.absdiff(grey[:, 1:], grey[:, :-1])[:, edge : max(edge, grey.shape[1] - 1 - edge)]
    if not steps.size:
        return 0
    padded = np.pad(steps, ((0, 0), (1, 1))).astype(np.int16)
    sharp = (steps >= _STEP_LEAST) & (steps > _SHARPNESS_LEAST * np.maximum(padded[:, :-2], padded[:, 2:]))
    bands = np.stack([band.mean(axis=0) for band in np.array_split(sharp, _BANDS)])
    return int((np.sort(bands, axis=0)[_BANDS - _BANDS_LEAST] >= _SHARE_LEAST).sum())
