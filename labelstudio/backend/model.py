"""The model behind the ML backend: tasks and prompts in, predictions out."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelstudio.backend.prompts import parse_prompts
from labelstudio.backend.segmenters import InteractivePhoto, InteractiveSegmenter
from labelstudio.backend.server import report
from labelstudio.backend.task_photos import SingleFlightCache, TaskPhotos, photo_url
from labelstudio.errors import AnnotationError
from labelstudio.sync.regions import labels_to_prediction
from surfaces.detections import Detection
from surfaces.errors import SurfacesError
from surfaces.images.load import decode_image
from surfaces.store.records import ScoredLabels, ScoredSegment

_CACHED_PHOTOS = 8


class InteractiveModel:
    """Predicts regions from clicks and boxes, or all regions of a photo if nothing was drawn.

    A request starts no further photo after `time_max_s` seconds.
    """

    def __init__(self, segmenter: InteractiveSegmenter, photos: TaskPhotos, time_max_s: float = 600.0) -> None:
        self.version = segmenter.name
        self._segmenter, self._photos, self._time_max_s = segmenter, photos, time_max_s
        self._encoded: SingleFlightCache[InteractivePhoto] = SingleFlightCache(self._encode, _CACHED_PHOTOS)
        self._computing = threading.Lock()

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        """A prediction per task, or an empty list for one whose photo cannot be read, if others can.

        Args:
            tasks: as Label Studio serialises them; one if something was drawn.
            context: `result` holds the prompts, see `parse_prompts`.
        """
        if context is None or "result" not in context:
            return self._predict_photos(tasks)
        if len(tasks) != 1:
            raise AnnotationError(f"expected one task with what was drawn on it, got {len(tasks)}")
        photo = self._encoded.get(photo_url(tasks[0]))
        prompts = parse_prompts(context["result"], photo.size_hw)
        with self._computing:
            found = [photo.predict(prompt) for prompt in prompts]
        prediction = self._prediction(photo, [region for region in found if region is not None])
        # The editor replaces a region of the same id by an accepted one.
        return [prediction | {"result": [region | {"id": uuid.uuid4().hex[:10]} for region in prediction["result"]]}]

    def _predict_photos(self, tasks: Sequence[Mapping[str, Any]]) -> list[Any]:
        predictions: list[Any] = []
        failures: list[SurfacesError] = []
        deadline = time.monotonic() + self._time_max_s
        for task in tasks:
            try:
                if time.monotonic() >= deadline:
                    raise AnnotationError(f"expected photos that take {self._time_max_s:g} s, these take longer")
                photo = self._encoded.get(photo_url(task))
                predictions.append(self._prediction(photo, photo.segments))
            except SurfacesError as error:
                failures.append(error)
                predictions.append([])
        if len(failures) == len(tasks):
            raise failures[0]
        for failure in failures:
            report(str(failure))
        return predictions

    def _prediction(self, photo: InteractivePhoto, regions: Sequence[Detection]) -> dict[str, Any]:
        segments = tuple(ScoredSegment(region) for region in regions)
        score = min((float(region.score) for region in regions), default=0.0)
        labels = ScoredLabels(segments, np.zeros(photo.size_hw, np.bool_), {"score": score})
        return labels_to_prediction(labels, self.version)

    def _encode(self, url: str) -> InteractivePhoto:
        file = io.BytesIO(self._photos.download(url))
        with self._computing:  # decoded photos need the most memory
            return self._segmenter.encode(decode_image(file))
