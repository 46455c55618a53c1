"""Tables of networks' scores: the trial of encoders, the mirrored pass, the shipped student step by step."""

from __future__ import annotations

from pathlib import Path

from docs.made.evaluations import Evaluation, read_evaluation
from docs.made.formats import bold, markdown_table, share

_CLASSES = ("wall", "floor", "dining")


def encoders(results: Path) -> str:
    """Encoder and pre-training, and the intervals of the scores."""
    lite0 = read_evaluation(results, "trial-lite0-nyuv2-val.json")
    mosaic = read_evaluation(results, "trial-mosaic-nyuv2-val.json")
    header = ["encoder, pre-training", *_columns("IoU"), *_columns("BIoU"), "table AP50", "precision / recall"]
    rows = [_encoder_row("EfficientNet-Lite0, ImageNet", lite0), _encoder_row(bold("MOSAIC, ADE20K"), mosaic)]
    intervals = ", ".join(
        f"{name} {_interval(mosaic, index)} against {_interval(lite0, index)}" for index, name in enumerate(_CLASSES)
    )
    return f"{markdown_table(header, rows)}\n\nIntervals of the IoU: {intervals}."


def mirrored(results: Path) -> str:
    """One network exported with and without the mirrored pass; walls and floors only."""
    rows = []
    for name, file in (("once", "trial-mosaic-once"), ("once straight, once mirrored", "trial-mosaic")):
        scores = read_evaluation(results, f"{file}-nyuv2-val.json")
        rows.append([name, *map(share, (*scores.iou[:2], *scores.boundary_iou[:2]))])
    return markdown_table(["", "wall IoU", "floor", "wall BIoU", "floor"], rows)


SHIPPED_STEPS: dict[str, tuple[str, str]] = {
    "after step 1, once, first operating point (.3, .5, .4)": ("shipped-step1-rooms", "shipped-step1-nyuv2-val"),
    "after step 3, once, mask share .5": ("shipped-heads-rooms", "shipped-heads-nyuv2-val"),
    "the same, mask share .3 (step 4)": ("", "shipped-heads-tuned-nyuv2-val"),
    "mirrored too: **shipped first** (commit 3cb5a34)": ("shipped-first-rooms", "shipped-first-nyuv2-val"),
    "5. trained on with auto-labels, 392 steps": ("again-rooms", "again-nyuv2-val"),
    "... its branch averaged with ADE20K's, 70 : 30 (not taken)": ("again-ade-rooms", "again-ade-nyuv2-val"),
    "**... its branch averaged with the first shipped one, 50 : 50: shipped now**": (
        "shipped-rooms",
        "shipped-nyuv2-val",
    ),
}
"""Each network's results on the rooms (empty: not scored there) and on NYUv2's validation part."""


def shipped_files() -> tuple[str, ...]:
    """The result files of `shipped_steps`."""
    return tuple(f"{stem}.json" for stems in SHIPPED_STEPS.values() for stem in stems if stem)


def shipped_steps(results: Path) -> str:
    """IoU after each step, on rooms never seen and on photos that were trained on."""
    header = ["network", "rooms: wall IoU", "floor", "dining", "NYUv2 part (contaminated): wall IoU", "floor", "dining"]
    rows = []
    for name, (rooms, nyuv2) in SHIPPED_STEPS.items():
        on_rooms = list(map(share, read_evaluation(results, f"{rooms}.json").iou)) if rooms else [""] * 3
        on_nyuv2 = read_evaluation(results, f"{nyuv2}.json")
        rows.append([name, *on_rooms, *map(share, on_nyuv2.iou), on_nyuv2.precision_and_recall])
    return markdown_table([*header, "table precision / recall there"], rows)


def shipped_on_rooms(results: Path) -> str:
    """README's table: the shipped network on the rooms of tests/data."""
    scores = read_evaluation(results, "shipped-rooms.json")
    rows = [
        [f"IoU, {scores.photos} rendered rooms never trained on (`tests/data/rooms`)", *map(share, scores.iou)],
        ["Boundary IoU (2 % of the diagonal), the same", *map(share, scores.boundary_iou)],
    ]
    return markdown_table(["", "wall", "floor", "dining table"], rows)


def model_card(results: Path) -> str:
    """The model card's table, and how it finds tables as objects."""
    rooms = read_evaluation(results, "shipped-rooms.json")
    nyuv2 = read_evaluation(results, "shipped-nyuv2-val.json")
    told = {
        "rendered rooms of `tests/data`, never trained on": rooms,
        "NYUv2, validation part: **trained on**, shows only that nothing broke": nyuv2,
    }
    rows = [[name, str(s.photos), *map(share, (*s.iou, *s.boundary_iou))] for name, s in told.items()]
    columns = [f"{name} {score}" for score in ("IoU", "BIoU") for name in _CLASSES]
    return (
        f"{markdown_table(['data', 'photos', *columns], rows)}\n\n"
        f"Dining tables as objects (IoU above one half): rooms {_objects(rooms)}; NYUv2 part {_objects(nyuv2)} "
        "(tables of an unknown kind\nare not counted against it). Expected calibration error "
        f"{share(rooms.calibration_error, 2)} and {share(nyuv2.calibration_error, 2)}."
    )


def _columns(score: str) -> list[str]:
    return [f"wall {score}", "floor", "dining"]


def _encoder_row(name: str, scores: Evaluation) -> list[str]:
    numbers = [*scores.iou, *scores.boundary_iou, scores.tables["ap50"]]
    return [name, *map(share, numbers), scores.precision_and_recall]


def _interval(scores: Evaluation, index: int) -> str:
    return "-".join(map(share, scores.iou_intervals[index]))


def _objects(scores: Evaluation) -> str:
    precision, recall, ap = (share(scores.tables[name], 2) for name in ("precision", "recall", "ap"))
    return f"precision {precision}, recall {recall}, mask AP {ap}"
