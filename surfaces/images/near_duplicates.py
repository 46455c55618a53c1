"""Finds copies of a photo (scaled, recompressed, brightened, cropped) by perceptual hashes."""

from __future__ import annotations

from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.detections import Image
from surfaces.drawing.labels import fitting_size
from surfaces.errors import DatasetError
from surfaces.messages import brief

Bytes = npt.NDArray[np.uint8]

_SIDE = 16
_BYTES = _SIDE * _SIDE // 8  # of one hash
_ROOM = 1024  # hashes for which a table has room at first
_CUT = 0.1  # of the width and the height
_CUT_SIDES = ((1, 1, 1, 1), (2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (0, 0, 0, 2))  # xyxy, each in halves of the cut
_CUT_LONGEST = 256  # pixels: cuts are hashed at less than the photo's size, since they are five


def near_hash(image: Image) -> str:
    """Returns perceptual hashes of a photo (uint8 HxWx3 RGB) and of five parts, each without a tenth of its sides.

    Hashes tolerate crops of 5 %; the parts find larger ones. Each has 128 hexadecimal digits: `phash`, the signs of the
    lowest frequencies (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), and `dhash`,
    the signs of gradients (Krawetz, 2013), of 256 bits each. With 64 bits, the default of ImageHash, the nearest two of
    1,718 different rooms are as near as copies that were cropped by 5 %.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, fitting_size(image.shape, _CUT_LONGEST, _CUT_LONGEST), interpolation=cv2.INTER_AREA)
    height, width = small.shape
    parts = [
        small[round(_CUT / 2 * top * height) : height - round(_CUT / 2 * bottom * height)][
            :, round(_CUT / 2 * left * width) : width - round(_CUT / 2 * right * width)
        ]
        for left, top, right, bottom in _CUT_SIDES
    ]
    return "".join(_both(np.asarray(part, np.uint8)) for part in (grey, *parts))


class NearDuplicateIndex:
    """Finds photos whose hashes differ in few bits, by comparing all: 1,000,000 take 384 MB and about 0.1 s.

    Args:
        distance_max: most bits, of 256, in which either hash of a copy may differ.
    """

    def __init__(self, distance_max: int) -> None:
        self._wholes, self._parts = _Table(distance_max), _Table(distance_max)

    def add(self, name: str, hashed: str) -> None:
        """Adds a photo by its `near_hash`; older databases have only the first 128 digits."""
        whole, *parts = _split(hashed)
        self._wholes.add(name, whole)
        for part in parts:
            self._parts.add(name, part)

    def find_all(self, hashed: str) -> list[tuple[str, int]]:
        """The near photos, nearest first, with the number of differing bits of the hash that differs more."""
        whole, *parts = _split(hashed)
        found = [self._wholes.near(whole), self._parts.near(whole), *map(self._wholes.near, parts)]
        nearest: dict[str, int] = {}
        for distance, name in sorted(chain.from_iterable(found), key=lambda pair: pair[0]):
            nearest.setdefault(name, distance)
        return list(nearest.items())

    def discard(self, name: str) -> None:
        """Removes a photo."""
        self._wholes.discard(name)
        self._parts.discard(name)


class _Table:
    """Pairs of hashes, each with the name of a photo."""

    def __init__(self, distance_max: int) -> None:
        self._distance_max = distance_max
        self._hashes: Bytes = np.empty((2, _ROOM, _BYTES), np.uint8)
        self._names: list[str] = []
        self._matcher = cv2.BFMatcher(cv2.NORM_HAMMING)

    def add(self, name: str, pair: Bytes) -> None:
        count = len(self._names)
        if count == self._hashes.shape[1]:
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)], axis=1)
        self._hashes[:, count] = pair
        self._names.append(name)

    def discard(self, name: str) -> None:
        for row in [row for row, known in enumerate(self._names) if known == name][::-1]:
            last = len(self._names) - 1
            self._hashes[:, row] = self._hashes[:, last]
            self._names[row] = self._names[last]
            self._names.pop()

    def near(self, pair: Bytes) -> list[tuple[int, str]]:
        if not self._names:
            return []
        first, second = pair
        matches = self._matcher.radiusMatch(first[None], self._hashes[0, : len(self._names)], self._distance_max)[0]
        near = []
        for match in matches:
            distance = int(cv2.norm(second, self._hashes[1, match.trainIdx], cv2.NORM_HAMMING))
            near.append((max(round(match.distance), distance), match.trainIdx))
        return [(distance, self._names[index]) for distance, index in sorted(near) if distance <= self._distance_max]


def _both(grey: Bytes) -> str:
    import imagehash  # brings SciPy along

    picture = Pillow.fromarray(np.ascontiguousarray(grey))
    return f"{imagehash.phash(picture, _SIDE)}{imagehash.dhash(picture, _SIDE)}"


def _split(hashed: str) -> Bytes:
    try:
        return np.frombuffer(bytes.fromhex(hashed or "none"), np.uint8).reshape(-1, 2, _BYTES)
    except ValueError as error:  # of a crawl's database that others made
        raise DatasetError(f"expected pairs of hashes of {_BYTES} bytes each, got {brief(hashed)}") from error
