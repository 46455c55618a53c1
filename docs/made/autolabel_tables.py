"""Tables of auto-labels: what they are worth to a student, how good they are, what the rules are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from docs.made.evaluations import Evaluation, read_evaluation
from docs.made.formats import bold, change, markdown_table, read_result, share
from surfaces.classes import CLASSES

SEEDS = (0, 1, 2)


def arm_file(student: str, arm: str, seed: int) -> str:
    """The result file of a training with or without auto-labels.

    Args:
        student: empty for MOSAIC, `lite0`.
        arm: `with` or `without`.
        seed: of the training.
    """
    return "-".join(part for part in ("auto-labels", student, arm, str(seed), "nyuv2-val.json") if part)


def arm_files(student: str) -> tuple[str, ...]:
    """The result files of all trainings of a student."""
    return tuple(arm_file(student, arm, seed) for seed in SEEDS for arm in ("without", "with"))


def arms(results: Path, student: str) -> list[tuple[Evaluation, Evaluation]]:
    """For each seed the scores without and with auto-labels."""
    return [
        (
            read_evaluation(results, arm_file(student, "without", seed)),
            read_evaluation(results, arm_file(student, "with", seed)),
        )
        for seed in SEEDS
    ]


def auto_labels(results: Path) -> str:
    """MOSAIC from ADE20K, with and without auto-labels."""
    return _arms_table(arms(results, ""))


def auto_labels_lite0(results: Path) -> str:
    """EfficientNet-Lite0 from ImageNet, with and without auto-labels."""
    return _arms_table(arms(results, "lite0"))


def auto_label_rules(results: Path) -> str:
    """Auto-labels against human labels, with and without rules."""
    header = [""]
    for name in ("wall", "floor", "table"):
        header += [f"{name} precision", "recall", "IoU of sure pixels"]
    bare, ruled = (read_result(results, f"autolabel-nyuv2-{name}.json") for name in ("bare", "rules"))
    rows = [["without rules", *_quality(bare)], [bold("with rules"), *_quality(ruled)]]
    return markdown_table([*header, "sure pixels"], rows)


def auto_label_quality(results: Path) -> str:
    """Precision of segments by their quality, with the number of segments."""
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = read_result(results, "autolabel-nyuv2-rules.json")["groups"]
    edges = [group["least"] for group in next(iter(groups.values()))]
    kept = [index for index in range(len(edges)) if any(group[index]["segments"] for group in groups.values())]
    ends = [f"{share(edge, 1)}-{share(end, 1)}" for edge, end in zip(edges, [*edges[1:], 1.0], strict=True)]
    rows = [[surface.name, *(_group(groups[surface.name][index]) for index in kept)] for surface in CLASSES]
    return markdown_table(["quality", *(ends[index] for index in kept)], rows)


def _arms_table(pairs: Sequence[tuple[Evaluation, Evaluation]]) -> str:
    header = ["seed", "auto-labels", "wall IoU", "floor", "dining", "mean", "wall BIoU", "floor", "dining", "mean"]
    rows = []
    for seed, pair in zip(SEEDS, pairs, strict=True):
        for arm, one in zip(("no", "yes"), pair, strict=True):
            means = [share(one.mean_iou), share(one.mean_boundary_iou)]
            if arm == "yes":
                means = [bold(mean) for mean in means]
            ious, boundary_ious = map(share, one.iou), map(share, one.boundary_iou)
            first = "" if arm == "yes" else str(seed)
            rows.append([first, arm, *ious, means[0], *boundary_ious, means[1], one.precision_and_recall])
    gains = [after.mean_iou - before.mean_iou for before, after in pairs]
    boundary_gains = [after.mean_boundary_iou - before.mean_boundary_iou for before, after in pairs]
    return (
        f"{markdown_table([*header, 'table precision / recall'], rows)}\n\n"
        f"With auto-labels the mean IoU changes by {_listed(gains)} on seeds 0, 1 and 2, on average by "
        f"{change(float(np.mean(gains)))};\nthe mean Boundary IoU by {_listed(boundary_gains)}, on average by "
        f"{change(float(np.mean(boundary_gains)))}."
    )


def _listed(values: Sequence[float]) -> str:
    *first, last = map(change, values)
    return f"{', '.join(first)} and {last}"


def _quality(comparison: Mapping[str, Any]) -> list[str]:
    scores = [comparison["classes"][surface.name] for surface in CLASSES]
    numbers = [share(score[key]) for score in scores for key in ("precision", "recall", "iou_sure")]
    return [*numbers, share(comparison["sure_share"])]


def _group(group: Mapping[str, Any]) -> str:
    return f"{share(group['precision'], 2)} ({group['segments']})" if group["segments"] else ""
