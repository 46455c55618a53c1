"""Rules for boxes, before masks are drawn: which box is which class, and which boxes mislead.

A rule drops a box, or puts it in doubt: its score is lowered to just below what the ontology accepts, so that a mask is
still drawn and its pixels become unsure. To drop it would call them "other", and that is a label too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autolabel.labelling.class_config import ClassConfig, SoughtClass
from autolabel.rules.candidates import is_stuff, is_thing
from models.teachers.base import ChosenBox, PromptedBoxes, box_area, box_iou
from surfaces.classes import SurfaceClass

WHOLE_IMAGE_SHARE = 0.95
SAME_OBJECT_IOU = 0.6


@dataclass(frozen=True)
class Frame:
    """What a rule knows besides the boxes.

    Attributes:
        size_hw: the photo's height and width in pixels.
        ontology: classes and thresholds.
    """

    size_hw: tuple[int, int]
    class_config: ClassConfig

    def share(self, box: ChosenBox) -> float:
        """The share of the photo that a box covers."""
        return box_area(box.box_xyxy) / (self.size_hw[0] * self.size_hw[1])


BoxRule = Callable[[list[ChosenBox], Frame], list[ChosenBox]]
"""(boxes with one class each, best first; frame) -> those that are left; one box may come once a class."""


def merged_phrases(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """A box that scores for several classes ("wall floor") belongs to one.

    That is the best class where it leads by the ontology's margin. Where it does not, the better of the classes that
    are looked for has the box in doubt; for stuff it is dropped if the class has boxes that are sure.
    """
    rivals: dict[tuple[float, ...], list[ChosenBox]] = defaultdict(list)
    for box in boxes:
        rivals[tuple(box.box_xyxy.tolist())].append(box)
    owned, contested = [], []
    for best, *others in rivals.values():
        second = next((other for other in others if other.prompt.surface != best.prompt.surface), None)
        if second is None or best.score - second.score >= frame.class_config.phrase_margin:
            owned.append(best)
        else:
            contested.append(best if best.prompt.surface else second)
    return _with_doubtful(owned, contested, frame.class_config)


def whole_image_boxes(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """A box of wall or floor that is the whole photo does not say where.

    It is dropped if its class has boxes that are sure; else it is in doubt.
    """
    whole = [box for box in boxes if is_stuff(box.prompt.surface) and frame.share(box) >= WHOLE_IMAGE_SHARE]
    return _with_doubtful(_all_but(boxes, whole), whole, frame.class_config)


def negative_boxes(boxes: list[ChosenBox], _frame: Frame) -> list[ChosenBox]:
    """Of a thing and a negative prompt ("desk") with nearly the same box the one that scores higher keeps it."""
    beaten: list[ChosenBox] = []
    for thing in (box for box in boxes if is_thing(box.prompt.surface)):
        for negative in (box for box in boxes if box.prompt.surface is None):
            if box_iou(thing.box_xyxy, negative.box_xyxy) >= SAME_OBJECT_IOU:
                beaten.append(thing if negative.score >= thing.score else negative)
    return _all_but(boxes, beaten)


def same_class_boxes(boxes: list[ChosenBox], _frame: Frame) -> list[ChosenBox]:
    """Of nearly the same boxes of a thing, or of negative prompts, the best stays.

    This is non-maximum suppression, but never across classes, and walls and floors keep all their boxes.
    """
    kept: list[ChosenBox] = []
    for box in boxes:
        same_class = (other for other in kept if other.prompt.surface == box.prompt.surface)
        if is_stuff(box.prompt.surface) or all(
            box_iou(box.box_xyxy, other.box_xyxy) < SAME_OBJECT_IOU for other in same_class
        ):
            kept.append(box)
    return kept


def tiny_boxes(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """A box smaller than the least share of its class can't hold a segment of it."""
    tiny = [
        box for box in boxes if box.prompt.surface and frame.share(box) < _sought(box, frame.class_config).least_share
    ]
    return _all_but(boxes, tiny)


BOX_RULES: Mapping[str, BoxRule] = {
    rule.__name__: rule for rule in (merged_phrases, whole_image_boxes, negative_boxes, same_class_boxes, tiny_boxes)
}
"""By name, in the order in which they are applied."""


def select_boxes(
    boxes: PromptedBoxes, size_hw: tuple[int, int], class_config: ClassConfig, without: frozenset[str] = frozenset()
) -> list[ChosenBox]:
    """The boxes that masks are drawn for.

    Args:
        boxes: what the detector found for the ontology's prompts.
        size_hw: the photo's height and width.
        ontology: classes and thresholds.
        without: names of rules that are left out.

    Returns:
        Best first, those of negative prompts among them. A box comes for several classes only where `merged_phrases` is
        left out.
    """
    chosen = _by_score(_above_thresholds(boxes, class_config))
    for name, rule in BOX_RULES.items():
        if name not in without:
            chosen = _by_score(rule(chosen, Frame(size_hw, class_config)))
    return chosen


def _above_thresholds(boxes: PromptedBoxes, class_config: ClassConfig) -> list[ChosenBox]:
    """Each box once for every class (and for the negative prompts) whose best prompt reaches the threshold."""
    thresholds: dict[SurfaceClass | None, float] = {c.surface: c.detector_threshold for c in class_config.classes}
    thresholds[None] = class_config.other.detector_threshold
    chosen = []
    for surface, threshold in thresholds.items():
        columns = [index for index, prompt in enumerate(boxes.prompts) if prompt.surface == surface]
        for box_xyxy, scores in zip(boxes.boxes_xyxy, boxes.scores, strict=True):
            best = max(columns, key=lambda column: scores[column], default=None)
            if best is not None and scores[best] >= threshold:
                chosen.append(ChosenBox(boxes.prompts[best], float(scores[best]), box_xyxy))
    return chosen


def _with_doubtful(
    sure: list[ChosenBox], low_confidence: Sequence[ChosenBox], class_config: ClassConfig
) -> list[ChosenBox]:
    """Adds boxes in doubt; of stuff only where the class has no box that is accepted without them."""
    stuff = (box for box in sure if is_stuff(box.prompt.surface))
    located = {box.prompt.surface for box in stuff if box.score >= _sought(box, class_config).accept}
    added = [box for box in low_confidence if box.prompt.surface not in located]
    return [
        *sure,
        *(replace(box, score=min(box.score, _just_below(_sought(box, class_config).accept))) for box in added),
    ]


def _just_below(threshold: float) -> float:
    """The next lower float32: below the threshold also for who computes in single precision."""
    return float(np.nextafter(np.float32(threshold), np.float32(0)))


def _sought(box: ChosenBox, class_config: ClassConfig) -> SoughtClass:
    assert box.prompt.surface is not None
    return class_config.of(box.prompt.surface)


def _by_score(boxes: list[ChosenBox]) -> list[ChosenBox]:
    return sorted(boxes, key=lambda box: -box.score)


def _all_but(boxes: list[ChosenBox], dropped: Sequence[ChosenBox]) -> list[ChosenBox]:
    gone = {id(box) for box in dropped}
    return [box for box in boxes if id(box) not in gone]
