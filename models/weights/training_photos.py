"""The photos that a network was trained on, as short hashes of their pixels, and the licences of its sources."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from surfaces.errors import DatasetError
from surfaces.licences import NOT_STATED, Licence, from_json, merged, to_json

HASHES_KEY = "training_photos"
COMPLETE_KEY = "training_photos_complete"
LICENCES_KEY = "licences"
KEYS = (HASHES_KEY, COMPLETE_KEY, LICENCES_KEY)
"""Names of the arrays in an .npz file of weights."""

_HASH_BYTES = 8
_HASH_TYPE = np.dtype("<u8")


def photo_hash(image: npt.NDArray[np.uint8]) -> int:
    """The first 64 bits of the SHA-256 of a photo's size and pixels (uint8 HxWx3 RGB).

    Copies without loss have the same hash, whatever file they are in; resized or compressed copies have another.
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return int.from_bytes(digest.digest()[:_HASH_BYTES], "little")


@dataclass(frozen=True, eq=False)
class TrainingPhotos:
    """The photos that a network was trained on.

    Attributes:
        hashes: uint64 (N,), ascending, as `photo_hash` gives them.
        complete: False where the network was trained on others too, which are not recorded.
        licences: of the datasets and the weights that it learned from, as far as they state them.
    """

    hashes: npt.NDArray[np.uint64]
    complete: bool
    licences: tuple[Licence, ...] = ()

    @classmethod
    def of(cls, hashes: Iterable[int], complete: bool = True, licences: Iterable[Licence] = ()) -> TrainingPhotos:
        """A record of the photos with these hashes, of datasets with these licences."""
        return cls(np.unique(np.fromiter(hashes, _HASH_TYPE)), complete, merged(licences))

    def union(self, other: TrainingPhotos) -> TrainingPhotos:
        """The photos and licences of both; complete where both are."""
        hashes, complete = np.union1d(self.hashes, other.hashes), self.complete and other.complete
        return TrainingPhotos(hashes, complete, merged(self.licences + other.licences))

    def count(self, hashes: Iterable[int]) -> int | None:
        """How many of the photos with these hashes are recorded; None where nothing at all is known."""
        if not self.complete and not len(self.hashes):
            return None
        return int(np.isin(np.fromiter(hashes, _HASH_TYPE), self.hashes).sum())

    def summary(self, hashes: Iterable[int]) -> str:
        """One line on how many of the photos with these hashes the network was trained on."""
        scored = list(hashes)
        count = self.count(scored)
        if count is None:
            return "unknown whether the network was trained on these photos: its weights do not record it"
        rest = "" if self.complete else "; the photos behind the weights that its training started from are unknown"
        return f"{count} of {len(scored)} photos were trained on{rest}"

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The record for an .npz file; empty where nothing is known."""
        if not self.complete and not len(self.hashes) and self.licences == UNKNOWN.licences:
            return {}
        return {
            HASHES_KEY: self.hashes.astype(_HASH_TYPE),
            COMPLETE_KEY: np.array(self.complete),
            LICENCES_KEY: np.array(to_json(self.licences)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> TrainingPhotos:
        """The record in an .npz file's arrays. Raises ValueError where it is damaged."""
        if HASHES_KEY not in arrays:
            return UNKNOWN
        hashes = arrays[HASHES_KEY]
        if hashes.ndim != 1 or hashes.dtype.kind != "u":
            raise ValueError(f"expected {HASHES_KEY} of shape (N,) and type uint64, got {hashes.shape} {hashes.dtype}")
        licences = _read_licences(str(arrays[LICENCES_KEY])) if LICENCES_KEY in arrays else UNKNOWN.licences
        return cls.of(hashes.tolist(), bool(arrays.get(COMPLETE_KEY, False)), licences)

    def to_text(self) -> str:
        """The record for an ONNX file's metadata."""
        packed = base64.b64encode(self.hashes.astype(_HASH_TYPE).tobytes()).decode("ascii")
        return json.dumps({"complete": self.complete, "hashes": packed, "licences": to_json(self.licences)})

    @classmethod
    def from_text(cls, text: str | None) -> TrainingPhotos:
        """The record in an ONNX file's metadata. Raises ValueError, KeyError or TypeError where it is damaged."""
        if not text:
            return UNKNOWN
        content = json.loads(text)
        hashes = np.frombuffer(base64.b64decode(content["hashes"], validate=True), _HASH_TYPE)
        licences = _read_licences(content["licences"]) if "licences" in content else UNKNOWN.licences
        return cls.of(hashes.tolist(), bool(content["complete"]), licences)


def _read_licences(text: str) -> tuple[Licence, ...]:
    try:
        return from_json(text)
    except DatasetError as error:
        raise ValueError(str(error)) from error


UNKNOWN = TrainingPhotos.of([], complete=False, licences=[NOT_STATED])
"""Of weights that record nothing."""
