"""Decides which photos a corpus keeps, and says why it drops the others.

How often each rule errs, and on what it was measured, stands in docs/data.md.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from autolabel.crawling.facts import Facts
from autolabel.crawling.hashes import NearIndex, near_hash
from autolabel.crawling.records import Superseded
from autolabel.crawling.rooms import RoomFinder, Scene
from autolabel.crawling.seams import count_seams
from autolabel.crawling.text_lines import text_share
from autolabel.crawling.tones import colour_spread, lightness_entropy
from surfaces.detections import Image
from surfaces.drawing.labels import fitting_size
from surfaces.errors import DecodeError
from surfaces.images.load import ImageLimits, decode_image

_SEAM_SIDE, _SIDE = 1024, 640  # pixels of the longer side, for seams and for all other measures
_THUMBNAIL_QUALITY = 60


class Reason(StrEnum):
    """What becomes of a photo: `kept`, or the first of the others, in this order, that is true of it."""

    KEPT = "kept"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
    TOO_SMALL = "too-small"
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
        any_picture: keep pictures whatever they show, text and collages too; the network is not asked.
        text_max: largest share of lines of text; a watermark has less, a poster more.
        entropy_min: least bits of grey levels; drawings, plans and screenshots have less.
        colour_min: least spread of colours; black-and-white photos, toned or not, have less.
        room_min: least score of what looks like a room (`Scene.room`).
        near_max: most bits, of 256, in which a copy's perceptual hashes differ.
        weights: an ONNX file that `python -m distill export` wrote; None: the shipped one.
        clip: folder of a CLIP that tells rooms; None: a rule over the student's belief does.
        threads: CPU threads of the network for each look.
        thumbnail_side: pixels of the thumbnail's longer side.
        limits: of what is decoded.
    """

    side_min: int = 400
    any_picture: bool = False
    text_max: float = 0.04
    entropy_min: float = 4.0
    colour_min: float = 4.0
    room_min: float = 0.5
    near_max: int = 64
    weights: Path | None = None
    clip: Path | None = None
    threads: int = 1
    thumbnail_side: int = 160
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a photo.

    Attributes:
        reason: `Reason.KEPT`, or why it is dropped.
        detail: what was measured, a few words.
        duplicate_of: sha256 of the kept photo that it resembles; empty where it is none.
        supersedes: kept photos that it resembles and is better than; they are near-duplicates of it from now on.
    """

    reason: Reason
    detail: str = ""
    duplicate_of: str = ""
    supersedes: tuple[Superseded, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the corpus keeps the photo."""
        return self.reason is Reason.KEPT


class Judge:
    """Judges photos. `look` is heavy and may run in many threads at once; `decide` is quick and is for one at a time.

    Args:
        settings: what is kept.
        known: the facts of each photo that the corpus already keeps.
        scene_of: tells what a photo (uint8 HxWx3 RGB) shows; None: the student that the settings name.

    Raises:
        WeightsError: the student's file, or CLIP's, is missing or is not such a file.
    """

    def __init__(
        self,
        settings: JudgeSettings | None = None,
        known: Iterable[Facts] = (),
        scene_of: Callable[[Image], Scene] | None = None,
    ) -> None:
        self._settings = settings or JudgeSettings()
        self._kept: dict[str, tuple[int, int]] = {}
        self._near = NearIndex(self._settings.near_max)
        for facts in known:
            self._keep(facts)
        self._scene_of = scene_of
        if scene_of is None and not self._settings.any_picture:
            self._scene_of = RoomFinder(self._settings.weights, self._settings.threads, self._settings.clip)

    def look(self, data: bytes) -> Facts:
        """Measures a photo; nothing is remembered, and no photo makes it raise."""
        facts = Facts(hashlib.sha256(data).hexdigest(), len(data))
        if facts.sha256 in self._kept:
            return facts
        try:
            image = decode_image(io.BytesIO(data), self._settings.limits)
        except DecodeError as error:
            return replace(facts, unreadable=str(error))
        facts = replace(facts, width=image.shape[1], height=image.shape[0])
        image = _shrink(image, _SEAM_SIDE)
        facts = replace(facts, thumbnail=_jpeg(_shrink(image, self._settings.thumbnail_side)))
        if self._objection(facts):
            return facts
        facts = _measure(image, facts)
        if self._scene_of is None or self._objection(facts):
            return facts
        return replace(facts, **asdict(self._scene_of(image)))

    def decide(self, facts: Facts) -> Verdict:
        """What becomes of a photo; what is kept is remembered, so that the next copy of it is not, unless it is better.

        Of near-duplicates the best is kept (`Facts.worth`), of equal ones the first.
        """
        measured = facts.width or facts.unreadable  # else `look` knew it; a better copy may have come since
        if facts.sha256 in self._kept or not measured:
            return Verdict(Reason.DUPLICATE, duplicate_of=facts.sha256)
        if verdict := self._objection(facts):
            return verdict
        near = self._near.find_all(facts.near_hash)
        for sha256, distance in near:
            if self._kept[sha256] >= facts.worth:
                return Verdict(Reason.NEAR_DUPLICATE, f"{distance} of 256 bits differ", sha256)
        for sha256, _ in near:
            del self._kept[sha256]
            self._near.discard(sha256)
        self._keep(facts)
        better = f"superseded by a copy of {facts.width}x{facts.height} pixels, {facts.size} bytes"
        superseded = (
            Superseded(sha256, Reason.NEAR_DUPLICATE, f"{distance} of 256 bits differ; {better}")
            for sha256, distance in near
        )
        return Verdict(Reason.KEPT, supersedes=tuple(superseded))

    def _keep(self, facts: Facts) -> None:
        self._kept[facts.sha256] = facts.worth
        self._near.add(facts.sha256, facts.near_hash)

    def _objection(self, facts: Facts) -> Verdict | None:
        """Why a photo is dropped whatever else is kept, as far as is measured yet; None where nothing is against it."""
        settings = self._settings
        if facts.unreadable:
            return Verdict(Reason.UNREADABLE, facts.unreadable)
        if min(facts.width, facts.height) < settings.side_min:
            return Verdict(Reason.TOO_SMALL, f"a side of {min(facts.width, facts.height)} pixels")
        return None if settings.any_picture else self._objection_to_content(facts)

    def _objection_to_content(self, facts: Facts) -> Verdict | None:
        settings = self._settings
        if facts.text is not None and facts.text > settings.text_max:
            return Verdict(Reason.TEXT, f"{facts.text:.0%} text")
        if facts.entropy is not None and facts.entropy < settings.entropy_min:
            return Verdict(Reason.TEXT, f"drawn: {facts.entropy:.1f} bits of grey levels")
        if facts.seams:
            return Verdict(Reason.COLLAGE, f"{facts.seams} seams")
        if facts.colour is not None and facts.colour < settings.colour_min:
            return Verdict(Reason.GREY, f"colours spread by {facts.colour:.1f}")
        if facts.room is not None and facts.room < settings.room_min:
            return Verdict(Reason.NOT_INTERIOR, f"{facts.room:.0%} like a room")
        return None


def _measure(image: Image, facts: Facts) -> Facts:
    small = _shrink(image, _SIDE)
    return replace(
        facts,
        near_hash=near_hash(small),
        text=text_share(small),
        entropy=lightness_entropy(small),
        colour=colour_spread(small),
        seams=count_seams(image),
    )


def _shrink(image: Image, side: int) -> Image:
    """The photo with its longer side of at most so many pixels."""
    size = fitting_size(image.shape, side, side)
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(image: Image) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
