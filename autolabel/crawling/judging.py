"""Decides which photos a corpus keeps, and says why it drops the others."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from autolabel.crawling.facts import Facts
from surfaces.detections import Image
from surfaces.errors import DecodeError
from surfaces.images import ImageLimits, decode_image


class Reason(StrEnum):
    """What becomes of a photo: `kept`, or the first of the others, in this order, that is true of it."""

    KEPT = "kept"
    UNREADABLE = "unreadable"
    TOO_SMALL = "too-small"
    DUPLICATE = "duplicate"
    TEXT = "text"
    COLLAGE = "collage"
    GREY = "grey"
    NOT_INTERIOR = "not-interior"
    NEAR_DUPLICATE = "near-duplicate"


@dataclass(frozen=True)
class JudgeSettings:
    """What a corpus keeps.

    Attributes:
        side_min: fewest pixels of the shorter side.
        any_picture: keep pictures whatever they show; the network is not asked.
        weights: an ONNX file for `models.Segmenter`; empty: the shipped one.
        threads: CPU threads for each look of the network.
        limits: of what is decoded.
    """

    side_min: int = 400
    any_picture: bool = False
    weights: str = ""
    threads: int = 1
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a photo.

    Attributes:
        reason: `Reason.KEPT`, or why it is dropped.
        detail: what was measured, a few words.
        duplicate_of: sha256 of the kept photo that it resembles; empty where it is none.
    """

    reason: Reason
    detail: str = ""
    duplicate_of: str = ""

    @property
    def kept(self) -> bool:
        """Whether the corpus keeps the photo."""
        return self.reason is Reason.KEPT


@dataclass(frozen=True)
class Shares:
    """Shares of a photo, 0 to 1, that a network believes to be wall, floor and dining table."""

    wall: float
    floor: float
    table: float


class Judge:
    """Judges photos. `look` is heavy and may run in many threads at once; `decide` is quick and is for one at a time.

    Args:
        settings: what is kept.
        known: sha256 and perceptual hash (`Facts.near_hash`) of each photo that the corpus already keeps.
        shares: asked what a photo (uint8 HxWx3 RGB) shows; None: the student that `settings` names.

    Raises:
        WeightsError: the student's file is missing or is not such a file.
    """

    def __init__(
        self,
        settings: JudgeSettings | None = None,
        known: Iterable[tuple[str, str]] = (),
        shares: Callable[[Image], Shares] | None = None,
    ) -> None:
        self._settings = settings or JudgeSettings()
        self._kept = dict(known)
        self._shares = shares

    def look(self, data: bytes) -> Facts:
        """Measures a photo; nothing is remembered, and no photo makes it raise."""
        facts = Facts(hashlib.sha256(data).hexdigest(), len(data))
        if facts.sha256 in self._kept:
            return facts
        try:
            image = decode_image(io.BytesIO(data), self._settings.limits)
        except DecodeError as error:
            return replace(facts, unreadable=str(error))
        return replace(facts, width=image.shape[1], height=image.shape[0])

    def decide(self, facts: Facts) -> Verdict:
        """What becomes of a photo; what is kept is remembered, so that the next copy of it is not."""
        if facts.unreadable:
            return Verdict(Reason.UNREADABLE, facts.unreadable)
        if facts.sha256 in self._kept:
            return Verdict(Reason.DUPLICATE, duplicate_of=facts.sha256)
        if min(facts.width, facts.height) < self._settings.side_min:
            return Verdict(Reason.TOO_SMALL, f"{facts.width}x{facts.height}")
        self._kept[facts.sha256] = facts.near_hash
        return Verdict(Reason.KEPT)
