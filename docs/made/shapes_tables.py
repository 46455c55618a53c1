"""What masks of a given size could draw of the truth at best."""

from __future__ import annotations

from pathlib import Path

from docs.made.formats import markdown_table, read_result, share
from surfaces.classes import CLASSES

FILES = ("shapes-nyuv2-val.json", "shapes-rooms.json")


def shapes(results: Path) -> str:
    """Boundary IoU of the truth, redrawn in every form, on real photos and on renders."""
    nyuv2, rooms = (read_result(results, name)["forms"] for name in FILES)
    rows = [
        [form, *(share(found[form][surface.name]["boundary_iou"]) for found in (nyuv2, rooms) for surface in CLASSES)]
        for form in nyuv2
    ]
    names = [surface.name for surface in CLASSES]
    return markdown_table(["truth drawn as", *(f"NYUv2: {n}" for n in names), *(f"rooms: {n}" for n in names)], rows)
