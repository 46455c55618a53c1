"""Copies of a photo, scaled, recompressed, brightened or cut a little, told by perceptual hashes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.detections import Image

_SIDE = 16
_BYTES = _SIDE * _SIDE // 8  # of one hash
_ROOM = 1024  # hashes for which an index has room at first

Bytes = npt.NDArray[np.uint8]


def near_hash(image: Image) -> str:
    """Two perceptual hashes of 256 bits each, one after the other.

    Of 64 bits each, as ImageHash has them by default, different photos of rooms come too close: of 1,718 the nearest
    two are as near as copies that were cropped by 5 %.

    Args:
        image: uint8 HxWx3 RGB.

    Returns:
        128 hexadecimal digits: `phash`, whose bits are the signs of the lowest frequencies (Zauner, Implementation and
        Benchmarking of Perceptual Image Hash Functions, 2010), then `dhash`, the signs of gradients (Krawetz, 2013).
    """
    import imagehash  # brings SciPy along

    grey = Pillow.fromarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return f"{imagehash.phash(grey, _SIDE)}{imagehash.dhash(grey, _SIDE)}"


class NearIndex:
    """Finds photos whose hashes differ in few bits, by comparing all: 1,000,000 take 64 MB and about 10 ms.

    Args:
        distance_max: most bits, of 256, in which either hash of a copy may differ.
    """

    def __init__(self, distance_max: int) -> None:
        self._distance_max = distance_max
        self._hashes: Bytes = np.empty((2, _ROOM, _BYTES), np.uint8)
        self._names: list[str] = []
        self._matcher = cv2.BFMatcher(cv2.NORM_HAMMING)

    def add(self, name: str, hashed: str) -> None:
        """Adds a photo; `hashed` is what `near_hash` returned."""
        count = len(self._names)
        if count == self._hashes.shape[1]:
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)], axis=1)
        self._hashes[:, count] = _split(hashed)
        self._names.append(name)

    def find(self, hashed: str) -> tuple[str, int] | None:
        """The nearest photo, and in how many bits the hash that differs more does; None where none is near."""
        if not self._names:
            return None
        first, second = _split(hashed)
        matches = self._matcher.radiusMatch(first[None], self._hashes[0, : len(self._names)], self._distance_max)[0]
        near = [
            (max(round(match.distance), _distance(second, self._hashes[1, match.trainIdx])), match.trainIdx)
            for match in matches
        ]
        distance, index = min(near, default=(self._distance_max + 1, 0))
        return (self._names[index], distance) if distance <= self._distance_max else None


def _split(hashed: str) -> Bytes:
    return np.frombuffer(bytes.fromhex(hashed), np.uint8).reshape(2, _BYTES)


def _distance(one: Bytes, other: Bytes) -> int:
    return int(cv2.norm(one, other, cv2.NORM_HAMMING))
