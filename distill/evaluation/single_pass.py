"""A network that runs once per photo, however often its segments are asked for."""

from __future__ import annotations

from dataclasses import replace

from models.inference.model_output import ModelOutput
from models.inference.postprocess import fuse
from models.inference.segmenter import Segmenter
from models.weights.training_photos import photo_hash
from surfaces.classes import SurfaceClass
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.masks.rle import Rle, decode, encode

DOUBTFUL_SCORE = 0.01
"""Tables from this score on count for average precision, which sums over all operating points."""


class SinglePass:
    """Runs a network once per photo and keeps its segments, but only the latest photo's raw output.

    Attributes:
        hashes: `photo_hash` of each photo that `predict` was called with, in order.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.hashes: list[int] = []
        self._segmenter = segmenter
        self._with_low_confidence = replace(segmenter.settings, table_score=DOUBTFUL_SCORE)
        # With run-length encoded masks, so that those of a whole dataset fit into memory.
        self._segments: dict[int, list[tuple[SurfaceClass, float, Rle]]] = {}
        self._latest: tuple[int, ModelOutput] | None = None

    def predict(self, image: Image) -> list[Detection]:
        """The segments of a photo (uint8 HxWx3 RGB) at the network's operating point."""
        key = photo_hash(image)
        self.hashes.append(key)
        if key in self._segments:
            decoded = [(surface, score, decode(rle)) for surface, score, rle in self._segments[key]]
            return [Detection(surface, score, box_of_mask(mask), mask) for surface, score, mask in decoded]
        found = fuse(self._infer(image, key), image.shape[0], image.shape[1], self._segmenter.settings)
        self._segments[key] = [(one.surface, one.score, encode(one.mask)) for one in found]
        return found

    def low_confidence(self, image: Image) -> list[Detection]:
        """The same with the tables that `predict` drops because of their low scores."""
        return fuse(self._infer(image, photo_hash(image)), image.shape[0], image.shape[1], self._with_low_confidence)

    def _infer(self, image: Image, key: int) -> ModelOutput:
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self._segmenter.infer(image)
        return self._latest[1]
