"""All generated tables and figures, by name.

A name is what documents write between the marks, or the SVG file's stem in docs/images.
"""

from __future__ import annotations

from docs.made import (
    autolabel_figures,
    autolabel_tables,
    command_tables,
    cost_tables,
    curve_figures,
    curve_tables,
    error_figures,
    error_tables,
    network_tables,
    reviews_figures,
    reviews_tables,
    runs_tables,
    score_figures,
    score_tables,
    shapes_tables,
    speed_figures,
    speed_tables,
    weights_tables,
)
from docs.made.entries import Figure, Table

_SHIPPED = ("shipped-rooms.json", "shipped-nyuv2-val.json")
_ONCE, _MOSAIC, _LITE0 = (f"trial-{name}-nyuv2-val.json" for name in ("mosaic-once", "mosaic", "lite0"))
_BARE, _RULES = "autolabel-nyuv2-bare.json", "autolabel-nyuv2-rules.json"

TABLES: dict[str, Table] = {
    "commands": Table(command_tables.commands, ()),
    "teacher-weights": Table(weights_tables.teacher_weights, ()),
    "runs": Table(runs_tables.runs_list, ("runs.toml",)),
    "encoders": Table(network_tables.encoders, (_LITE0, _MOSAIC)),
    "mirrored": Table(network_tables.mirrored, (_ONCE, _MOSAIC)),
    "shipped-steps": Table(network_tables.shipped_steps, network_tables.shipped_files()),
    "shipped-on-rooms": Table(network_tables.shipped_on_rooms, _SHIPPED[:1]),
    "model-card": Table(network_tables.model_card, _SHIPPED),
    "speed": Table(speed_tables.speed, ("benchmark.json",)),
    "auto-labels": Table(autolabel_tables.auto_labels, autolabel_tables.arm_files("")),
    "auto-labels-lite0": Table(autolabel_tables.auto_labels_lite0, autolabel_tables.arm_files("lite0")),
    "auto-label-rules": Table(autolabel_tables.auto_label_rules, (_BARE, _RULES)),
    "auto-label-quality": Table(autolabel_tables.auto_label_quality, (_RULES,)),
    "errors-nyuv2": Table(error_tables.causes_nyuv2, (error_tables.NYUV2,)),
    "errors-by-class": Table(error_tables.causes_by_class, (error_tables.WALLS, error_tables.FLOORS)),
    "errors-shipped": Table(error_tables.shipped_beside, (error_tables.NYUV2, error_tables.SHIPPED)),
    "errors-rooms": Table(error_tables.causes_rooms, (error_tables.ROOMS,)),
    "learning-seen": Table(curve_tables.seen_and_unseen, (curve_tables.TRAIN, curve_tables.VALIDATION)),
    "learning-steps": Table(curve_tables.scores_by_steps, curve_tables.score_files()),
    "rates": Table(cost_tables.rates_table, ("rates.json",)),
    "costs": Table(cost_tables.costs_table, ("rates.json",)),
    "review-seconds": Table(cost_tables.review_seconds, ("review-seconds.json",)),
    "shapes": Table(shapes_tables.shapes, shapes_tables.FILES),
    "reviews": Table(reviews_tables.reviews, (reviews_tables.EVENLY,)),
    "reviews-needed": Table(reviews_tables.reviews_needed, (reviews_tables.EVENLY,)),
    "reviews-tables": Table(reviews_tables.reviews_tables, (reviews_tables.TABLES_OFTEN,)),
    "reviews-tables-needed": Table(reviews_tables.reviews_tables_needed, (reviews_tables.TABLES_OFTEN,)),
    "scores-iou-nyuv2": Table(score_tables.iou("nyuv2"), (score_tables.SHEET,)),
    "scores-boundary-nyuv2": Table(score_tables.boundary_iou("nyuv2"), (score_tables.SHEET,)),
    "scores-objects-nyuv2": Table(score_tables.objects("nyuv2"), (score_tables.SHEET,)),
    "scores-differences-nyuv2": Table(score_tables.differences("nyuv2"), (score_tables.SHEET,)),
    "scores-iou-rooms": Table(score_tables.iou("rooms"), (score_tables.SHEET,)),
    "scores-boundary-rooms": Table(score_tables.boundary_iou("rooms"), (score_tables.SHEET,)),
    "scores-objects-rooms": Table(score_tables.objects("rooms"), (score_tables.SHEET,)),
    "scores-differences-rooms": Table(score_tables.differences("rooms"), (score_tables.SHEET,)),
    "scores-seeds": Table(score_tables.seeds, (score_tables.SHEET,)),
    "scores-pairs": Table(score_tables.pairs, (score_tables.SHEET,)),
    "scores-timed-on": Table(score_tables.timed_on, (score_tables.SHEET,)),
    "scores-speed": Table(score_tables.speed, (score_tables.SHEET,)),
    "scores-labels": Table(score_tables.labels, (score_tables.SHEET,)),
    "scores-labels-absent": Table(score_tables.labels_absent, (score_tables.SHEET,)),
    "scores-labels-belief": Table(score_tables.labels_by_belief, (score_tables.SHEET,)),
    "scores-labels-quality": Table(score_tables.labels_by_quality, (score_tables.SHEET,)),
}

FIGURES: dict[str, Figure] = {
    "auto-labels": Figure(
        autolabel_figures.auto_labels,
        (*autolabel_tables.arm_files(""), *autolabel_tables.arm_files("lite0")),
    ),
    "errors-causes": Figure(error_figures.error_causes, tuple(error_figures.FILES)),
    "learning-curves": Figure(
        curve_figures.learning_curves,
        (curve_tables.LOSSES, *curve_tables.score_files(), reviews_tables.TABLES_OFTEN),
    ),
    "reviews-nyuv2": Figure(reviews_figures.reviews_evenly, (reviews_tables.EVENLY,)),
    "reviews-nyuv2-tables": Figure(reviews_figures.reviews_tables_often, (reviews_tables.TABLES_OFTEN,)),
    "speed": Figure(speed_figures.speed, ("benchmark.json",)),
    "training-losses": Figure(curve_figures.training_losses, (curve_tables.LOSSES,)),
    "scores": Figure(score_figures.latency, (score_tables.SHEET,)),
    "label-reliability": Figure(score_figures.reliability, (score_tables.SHEET,)),
}
