"""Rules for boxes, before masks are drawn.

A rule drops a box, or lowers its score to just below the class's `accept`: a mask is still drawn, and its pixels are
ignored. The pixels of a dropped box may become "other", which is a label too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autolabel.labelling.class_config import ClassConfig, ClassSettings
from autolabel.rules.candidates import is_stuff, is_thing
from models.teachers.base import ChosenBox, PromptedBoxes, box_area, box_iou

WHOLE_IMAGE_SHARE = 0.95
SAME_OBJECT_IOU = 0.6


@dataclass(frozen=True)
class Frame:
    """The photo's height and width in pixels, and the class config."""

    size_hw: tuple[int, int]
    class_config: ClassConfig

    def share(self, box: ChosenBox) -> float:
        """The share of the photo that a box covers."""
        return box_area(box.box_xyxy) / (self.size_hw[0] * self.size_hw[1])

    def settings(self, box: ChosenBox) -> ClassSettings:
        """Of the class of a box that has one."""
        assert box.prompt.surface is not None
        return self.class_config.classes[box.prompt.surface]


BoxRule = Callable[[list[ChosenBox], Frame], list[ChosenBox]]
"""(boxes with one class each, best first; frame) -> remaining boxes; a box may be there once per class."""


def merged_phrases(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """Gives a box with scores for several classes ("wall floor") to one of them.

    It belongs to the best class if this leads by the margin of the class config. Else the better of the classes (not of
    the negative prompts) has it at low confidence; stuff loses it if the class has accepted boxes.
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
    return _add_low_confidence(owned, contested, frame)


def whole_image_boxes(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """Drops boxes of stuff that span the whole photo if the class has accepted boxes, else demotes them."""
    whole = [box for box in boxes if is_stuff(box.prompt.surface) and frame.share(box) >= WHOLE_IMAGE_SHARE]
    return _add_low_confidence([box for box in boxes if box not in whole], whole, frame)


def negative_boxes(boxes: list[ChosenBox], _frame: Frame) -> list[ChosenBox]:
    """Drops the lower-scoring box where a thing and a negative prompt ("desk") have nearly the same box."""
    beaten: list[ChosenBox] = []
    for thing in (box for box in boxes if is_thing(box.prompt.surface)):
        for negative in (box for box in boxes if box.prompt.surface is None):
            if box_iou(thing.box_xyxy, negative.box_xyxy) >= SAME_OBJECT_IOU:
                beaten.append(thing if negative.score >= thing.score else negative)
    return [box for box in boxes if box not in beaten]


def same_class_boxes(boxes: list[ChosenBox], _frame: Frame) -> list[ChosenBox]:
    """Non-maximum suppression among a thing's boxes and among those of negative prompts; stuff keeps all its boxes."""
    kept: list[ChosenBox] = []
    for box in boxes:
        rivals = [other.box_xyxy for other in kept if other.prompt.surface == box.prompt.surface]
        if is_stuff(box.prompt.surface) or all(box_iou(box.box_xyxy, rival) < SAME_OBJECT_IOU for rival in rivals):
            kept.append(box)
    return kept


def tiny_boxes(boxes: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """Drops boxes that are smaller than the least share of their class."""
    return [box for box in boxes if not box.prompt.surface or frame.share(box) >= frame.settings(box).least_share]


BOX_RULES: Mapping[str, BoxRule] = {
    rule.__name__: rule for rule in (merged_phrases, whole_image_boxes, negative_boxes, same_class_boxes, tiny_boxes)
}
"""By name, in their order."""


def select_boxes(
    boxes: PromptedBoxes, size_hw: tuple[int, int], class_config: ClassConfig, without: frozenset[str] = frozenset()
) -> list[ChosenBox]:
    """Selects the boxes for which masks are drawn, best first, those of negative prompts included.

    `without` are names of rules that are left out; without `merged_phrases` a box may be there for several classes.
    """
    chosen = _sort(_above_thresholds(boxes, class_config))
    for name, rule in BOX_RULES.items():
        if name not in without:
            chosen = _sort(rule(chosen, Frame(size_hw, class_config)))
    return chosen


def _above_thresholds(boxes: PromptedBoxes, class_config: ClassConfig) -> list[ChosenBox]:
    """Each box once for every class (and for the negative prompts) whose best prompt reaches the threshold."""
    chosen = []
    for surface, settings in [*class_config.classes.items(), (None, class_config.other)]:
        columns = [index for index, prompt in enumerate(boxes.prompts) if prompt.surface == surface]
        for box_xyxy, scores in zip(boxes.boxes_xyxy, boxes.scores, strict=True):
            best = max(columns, key=lambda column: scores[column], default=None)
            if best is not None and scores[best] >= settings.detector_threshold:
                chosen.append(ChosenBox(boxes.prompts[best], float(scores[best]), box_xyxy))
    return chosen


def _add_low_confidence(accepted: list[ChosenBox], demoted: list[ChosenBox], frame: Frame) -> list[ChosenBox]:
    """Adds boxes with a score below `accept`; of stuff only where the class has no other accepted box."""
    stuff = (box for box in accepted if is_stuff(box.prompt.surface))
    located = {box.prompt.surface for box in stuff if box.score >= frame.settings(box).accept}
    added = []
    for box in demoted:
        if box.prompt.surface not in located:
            # The next lower float32: below the threshold in single precision too.
            below_accept = float(np.nextafter(np.float32(frame.settings(box).accept), np.float32(0)))
            added.append(replace(box, score=min(box.score, below_accept)))
    return [*accepted, *added]


def _sort(boxes: list[ChosenBox]) -> list[ChosenBox]:
    return sorted(boxes, key=lambda box: -box.score)
