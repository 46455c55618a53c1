"""Tables of trainings: by their steps, by reviewed photos, by settings, and of the commercial recipe."""

from __future__ import annotations

from collections.abc import Sequence

from surfaces.classes import CLASSES, DINING_TABLE
from tools.build_docs.results import Results, lookup, markdown_table, per_class, share, table

STEPS: dict[int, tuple[str, ...]] = {
    25: ("learning-steps-25-0-nyuv2-val.json", "learning-steps-25-1-nyuv2-val.json"),
    50: ("learning-steps-50-0-nyuv2-val.json", "learning-steps-50-1-nyuv2-val.json"),
    100: ("learning-steps-100-0-nyuv2-val.json",),
    200: tuple(f"auto-labels-without-{seed}-nyuv2-val.json" for seed in range(3)),
}
"""Reports on NYUv2's validation part by the training's steps, a file per seed."""

REVIEWED_PHOTOS = {
    "0": "0",
    "112": "112",
    "445": "445",
    "1,332": "1332",
}
REVIEWED_SETS = ("scenes-val", "tables-val", "rooms")
"""Reports of trainings with so many reviewed photos, by the names of their files, and the datasets of each."""


_CHOICES = {
    "0": "no reviewed photos",
    "1332": "1,332 reviewed photos",
    "1332-copy-paste": "the same, `--copy-paste 0.3`",
    "1332-edge-weight": "the same, with weight .5 for a second loss of pixels near edges (removed since)",
    "1332-late": "the same, at equal cost the last 14 steps at 512 pixels",
    "1332-again": "1,332 reviewed photos again, seed 0, on the machine of the rows below",
    "1332-normalised": "the same, semantic loss normalised after interpolation (the default since)",
    "1332-wide": "the same, twice the decoder's channels at stride 8 (removed since)",
    "1332-skip": "the same, the decoder decides once more at stride 4 (removed since)",
    "1332-lite2": "the same from ImageNet's EfficientNet-Lite2, after 100 steps with soft labels of 1,044 other photos",
}
_CHOICE_SCORES = (
    *(("scenes", "scenes-val", surface.name) for surface in CLASSES),
    ("tables", "tables-val", DINING_TABLE.name),
    *(("rooms", "rooms", surface.name) for surface in CLASSES),
)


def learning_steps(results: Results) -> str:
    """Scores by the steps of training, means over the seeds."""
    rows = []
    for steps, names in STEPS.items():
        reports = [results.read(name) for name in names]
        means = [lookup(report, "classes/*/iou") for report in reports]
        rows.append({"steps": steps, "seeds": len(names), "reports": reports, "means": means})
    columns = [
        *(("steps", "{steps}"), ("seeds", "{seeds}"), ("wall IoU", "{reports/*/classes/wall/iou}")),
        *(("floor", "{reports/*/classes/floor/iou}"), ("dining", "{reports/*/classes/dining table/iou}")),
        ("mean", "{means/*}"),
    ]
    return table(columns, rows)


def reviewed_photos(results: Results) -> str:
    """Scores by the number of reviewed photos, of trainings of equal length."""
    rows = [
        {"photos": title} | {data: results.read(f"reviewed-photos-{name}-{data}.json") for data in REVIEWED_SETS}
        for title, name in REVIEWED_PHOTOS.items()
    ]
    columns = [
        ("reviewed photos", "{photos}"),
        *per_class("scenes: CLASS IoU", "{scenes-val/classes/CLASS/iou}"),
        *(("table precision", "{scenes-val/tables/precision}"), ("recall", "{scenes-val/tables/recall}")),
        ("tables: dining IoU", "{tables-val/classes/dining table/iou}"),
        *(("precision", "{tables-val/tables/precision}"), ("recall", "{tables-val/tables/recall}")),
        *per_class("rooms: CLASS IoU", "{rooms/classes/CLASS/iou}"),
    ]
    return table(columns, rows)


def choices(results: Results) -> str:
    """What settings of a training change: mean and range over its seeds."""
    trials = [trial for name in ("choices.json", "architectures.json") for trial in results.read(name)["trials"]]
    header = ["training", "seeds", *(f"{of}: {name.removesuffix(' table')} IoU" for of, _, name in _CHOICE_SCORES)]
    rows = []
    for choice, title in _CHOICES.items():
        found = [trial["sets"] for trial in trials if trial["choice"] == choice]
        scores = [[sets[data]["iou"][name] for sets in found] for _, data, name in _CHOICE_SCORES]
        cells = [_mean_and_range(of) for of in scores]
        rows.append([title, str(len(found)), *cells])
    return markdown_table(header, rows)


def _mean_and_range(scores: Sequence[float]) -> str:
    mean = share(sum(scores) / len(scores))
    return mean if len(scores) == 1 else f"{mean} ({share(min(scores))} to {share(max(scores))})"


def commercial(results: Results) -> str:
    """The network of the recipe for commercial use beside the one that ships, on the rooms."""
    rows = []
    for title, name in (("ships", "shipped-rooms.json"), ("`commercial.toml`, renders alone", "commercial-rooms.json")):
        rows.append(results.read(name) | {"title": title})
    columns = [("network", "{title}"), *per_class("CLASS IoU", "{classes/CLASS/iou}")]
    return table([*columns, ("table precision", "{tables/precision}"), ("recall", "{tables/recall}")], rows)
