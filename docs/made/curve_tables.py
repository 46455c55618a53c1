"""Validation scores by steps of training, and how far training photos score above validation photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from docs.made.evaluations import Evaluation, read_evaluation
from docs.made.formats import markdown_table, share
from surfaces.classes import CLASSES

LOSSES = "curves-losses.json"
SCORED: dict[int, tuple[str, ...]] = {
    **{
        steps: tuple(f"learning-steps-{steps}-{seed}-nyuv2-val.json" for seed in seeds)
        for steps, seeds in {25: (0, 1), 50: (0, 1), 100: (0,)}.items()
    },
    200: tuple(f"auto-labels-without-{seed}-nyuv2-val.json" for seed in range(3)),
}
"""Reports on NYUv2's validation part by the steps of training, a file a seed."""

TRAIN, VALIDATION = "learning-steps-200-2-nyuv2-train.json", SCORED[200][2]


def score_files() -> tuple[str, ...]:
    """All files of `SCORED`."""
    return tuple(name for names in SCORED.values() for name in names)


def read_steps(results: Path) -> dict[int, list[Evaluation]]:
    """The scores of all seeds by the steps of training."""
    return {steps: [read_evaluation(results, name) for name in names] for steps, names in SCORED.items()}


def scores_by_steps(results: Path) -> str:
    """Means over the seeds."""
    rows = []
    for steps, scores in read_steps(results).items():
        means = [share(float(np.mean([one.iou[index] for one in scores]))) for index in range(len(CLASSES))]
        mean = [one.mean_iou for one in scores]
        spread = f"{share(min(mean))} to {share(max(mean))}" if len(mean) > 1 else ""
        boundary = share(float(np.mean([one.mean_boundary_iou for one in scores])))
        rows.append([str(steps), str(len(scores)), *means, share(float(np.mean(mean))), spread, boundary])
    return markdown_table(
        ["steps", "seeds", "wall IoU", "floor", "dining", "mean", "lowest to highest", "mean BIoU"], rows
    )


def seen_and_unseen(results: Path) -> str:
    """One network on photos that it learnt from and on others."""
    rows = [
        [name, str(one.photos), *map(share, one.iou), share(one.mean_iou), one.precision_and_recall]
        for name, one in (
            ("learnt from", read_evaluation(results, TRAIN)),
            ("validation part", read_evaluation(results, VALIDATION)),
        )
    ]
    return markdown_table(["photos", "", "wall IoU", "floor", "dining", "mean", "table precision / recall"], rows)
