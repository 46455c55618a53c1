"""A network that runs once per photo, however often its segments are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.inference.model_output import ModelOutput
from models.inference.postprocess import fuse
from models.inference.segmenter import Segmenter
from models.weights.training_photos import photo_hash
from surfaces.classes import SurfaceClass
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.masks.rle import Rle, decode, encode

DOUBTFUL_SCORE = 0.01
"""Tables from this score on count for average precision, which sums over all operating points."""


@dataclass(frozen=True)
class _Segment:
    """A detection whose mask is run-length encoded, so that those of a whole dataset fit into memory."""

    surface: SurfaceClass
    score: float
    mask: Rle


class SinglePass:
    """Runs a network once per photo and remembers its segments, but the raw output of the latest photo alone.

    Args:
        segmenter: the network.

    Attributes:
        hashes: of the photos that `predict` was called with, in this order, as `photo_hash` gives them.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.hashes: list[int] = []
        self._segmenter = segmenter
        self._with_low_confidence = replace(segmenter.settings, table_score=DOUBTFUL_SCORE)
        self._segments: dict[int, tuple[_Segment, ...]] = {}
        self._latest: tuple[int, ModelOutput] | None = None

    def predict(self, image: Image) -> list[Detection]:
        """The segments of a photo (uint8 HxWx3 RGB) at the network's operating point."""
        key = photo_hash(image)
        self.hashes.append(key)
        if key in self._segments:
            masks = [(segment, decode(segment.mask)) for segment in self._segments[key]]
            return [Detection(segment.surface, segment.score, box_of_mask(mask), mask) for segment, mask in masks]
        found = fuse(self._raw(image, key), image.shape[0], image.shape[1], self._segmenter.settings)
        self._segments[key] = tuple(_Segment(one.surface, one.score, encode(one.mask)) for one in found)
        return found

    def low_confidence(self, image: Image) -> list[Detection]:
        """The same with the tables that `predict` drops because of their low scores."""
        return fuse(self._raw(image, photo_hash(image)), image.shape[0], image.shape[1], self._with_low_confidence)

    def _raw(self, image: Image, key: int) -> ModelOutput:
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._segmenter.infer(image)
        return self._latest[1]
