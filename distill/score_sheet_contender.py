"""A contender of a score sheet, whatever kind of network it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from surfaces.detections import Detection, Image

Predict = Callable[[Image], list[Detection]]


@dataclass(frozen=True, eq=False)
class OpenContender:
    """A contender that is ready to run.

    Attributes:
        predict: from a photo to its segments.
        doubtful: the same with the tables that `predict` drops as doubtful.
        fingerprint: changes whenever predictions may.
        parameters: how many numbers the networks have.
        file_bytes: of their files.
        scored: whether predictions mean anything; random weights are timed alone.
        note: what has to be said of it; may be empty.
    """

    predict: Predict
    doubtful: Predict
    fingerprint: str
    parameters: int
    file_bytes: int
    scored: bool = True
    note: str = ""
