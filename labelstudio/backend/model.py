"""What Label Studio asks and what we propose: tasks and clicks in, predictions out."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelstudio.backend.prompts import hints_of
from labelstudio.backend.segmenters import Proposer, SeenPhoto
from labelstudio.backend.server import tell
from labelstudio.backend.task_photos import Recent, TaskPhotos, address_of
from labelstudio.errors import AnnotationError
from labelstudio.sync.regions import prediction_of
from surfaces.detections import Detection
from surfaces.errors import SurfacesError
from surfaces.images.load import decode_image
from surfaces.store.records import ScoredLabels, ScoredSegment

_KEPT_PHOTOS = 8
_TIME_MAX_S = 600.0


class InteractiveModel:
    """Predicts regions from clicks and boxes, and whole photos where nobody has drawn anything.

    Args:
        proposer: looks at photos, one at a time.
        photos: gets them.
        time_max_s: how long after its start a request may begin with another photo, seconds.

    Attributes:
        version: the proposer's name.
    """

    def __init__(self, proposer: Proposer, photos: TaskPhotos, time_max_s: float = _TIME_MAX_S) -> None:
        self.version = proposer.name
        self._proposer = proposer
        self._photos = photos
        self._time_max_s = time_max_s
        self._seen: Recent[SeenPhoto] = Recent(self._see, _KEPT_PHOTOS)
        self._computing = threading.Lock()

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        """Predictions, one entry a task.

        Args:
            tasks: as Label Studio serialises them; one, where something was drawn.
            context: `result` holds what was drawn.

        Returns:
            For each task a prediction; an empty list for one whose photo cannot be had, beside others that can.

        Raises:
            SurfacesError: none of the photos can be had, or the hints make no sense.
        """
        if context is None or "result" not in context:
            return self._predict_whole(tasks)
        if len(tasks) != 1:
            raise AnnotationError(f"expected one task with what was drawn on it, got {len(tasks)}")
        return [self._predict_drawn(tasks[0], context["result"])]

    def _predict_drawn(self, task: Mapping[str, Any], drawn: Any) -> dict[str, Any]:
        photo = self._seen.get(address_of(task))
        hints = hints_of(drawn, photo.size_hw)
        with self._computing:
            found = [photo.propose(hint) for hint in hints]
        prediction = self._prediction(photo, [region for region in found if region is not None])
        # The editor puts an accepted region in the place of one that has its id.
        fresh = [region | {"id": uuid.uuid4().hex[:10]} for region in prediction["result"]]
        return prediction | {"result": fresh}

    def _predict_whole(self, tasks: Sequence[Mapping[str, Any]]) -> list[Any]:
        predictions: list[Any] = []
        failures: list[SurfacesError] = []
        deadline = time.monotonic() + self._time_max_s
        for task in tasks:
            try:
                if time.monotonic() >= deadline:
                    raise AnnotationError(f"expected photos that take {self._time_max_s:g} s, these take longer")
                photo = self._seen.get(address_of(task))
                predictions.append(self._prediction(photo, photo.segments))
            except SurfacesError as error:
                failures.append(error)
                predictions.append([])
        if len(failures) == len(tasks):
            raise failures[0]
        for failure in failures:
            tell(str(failure))
        return predictions

    def _prediction(self, photo: SeenPhoto, regions: Sequence[Detection]) -> dict[str, Any]:
        labels = ScoredLabels(
            tuple(ScoredSegment(region) for region in regions),
            np.zeros(photo.size_hw, np.bool_),
            {"score": min((float(region.score) for region in regions), default=0.0)},
        )
        return prediction_of(labels, self.version)

    def _see(self, address: str) -> SeenPhoto:
        file = io.BytesIO(self._photos.download(address))
        with self._computing:  # one photo at a time is unpacked
            return self._proposer.see(decode_image(file))
