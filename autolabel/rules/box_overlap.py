"""How boxes lie to one another."""

from __future__ import annotations

import numpy as np

from models.teachers.teacher import Floats


def box_area(box_xyxy: Floats) -> float:
    """The area of a box (4,) in pixels; 0 where it is turned inside out."""
    return float(np.clip(box_xyxy[2:] - box_xyxy[:2], 0, None).prod())


def common_box(one_xyxy: Floats, other_xyxy: Floats) -> Floats:
    """The box that two boxes (4,) share; turned inside out where they share none."""
    return np.concatenate([np.maximum(one_xyxy[:2], other_xyxy[:2]), np.minimum(one_xyxy[2:], other_xyxy[2:])])


def box_iou(one_xyxy: Floats, other_xyxy: Floats) -> float:
    """Intersection over union of two boxes (4,); 0 where both are empty."""
    both = box_area(common_box(one_xyxy, other_xyxy))
    either = box_area(one_xyxy) + box_area(other_xyxy) - both
    return both / either if either > 0 else 0.0
