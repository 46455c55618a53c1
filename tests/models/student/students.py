"""Untrained students that behave a little as trained ones do."""

from __future__ import annotations

import torch

from models.student.network import Student


def calm_student(seed: int) -> Student:
    """A student with random weights whose boxes stay near their anchors."""
    torch.manual_seed(seed)
    student = Student()
    with torch.no_grad():
        for layer in (
            student.rpn.head.bbox_pred,
            student.rpn.head.cls_logits,
            student.tables.box_predictor.bbox_pred,
            student.tables.box_predictor.cls_score,
        ):
            layer.weight.mul_(0.01)
    return student
