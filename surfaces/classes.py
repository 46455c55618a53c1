"""The three classes, their numbers and their colours: one place for the whole project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SurfaceClass:
    """One class that is found in photographs.

    Attributes:
        name: as it is prompted, printed and written in COCO files.
        coco_id: the category id in COCO files: its place in CLASSES, from 1.
        is_thing: True for countable objects (one instance each), False for stuff (one region a photo).
        colour_rgb: the fixed colour it is drawn in.
    """

    name: str
    coco_id: int
    is_thing: bool
    colour_rgb: tuple[int, int, int]


WALL = SurfaceClass("wall", 1, False, (70, 130, 180))
FLOOR = SurfaceClass("floor", 2, False, (222, 160, 70))
DINING_TABLE = SurfaceClass("dining table", 3, True, (200, 70, 120))

CLASSES: tuple[SurfaceClass, ...] = (WALL, FLOOR, DINING_TABLE)
STUFF: tuple[SurfaceClass, ...] = tuple(c for c in CLASSES if not c.is_thing)
NUM_CHANNELS = 1 + len(CLASSES)
"""Of a belief: "other", then CLASSES, so that a class's channel is its COCO id."""

BY_NAME: dict[str, SurfaceClass] = {c.name: c for c in CLASSES}
BY_ID: dict[int, SurfaceClass] = {c.coco_id: c for c in CLASSES}

# Values of a semantic label map besides the COCO ids above.
OTHER = 0
OTHER_TABLE = len(CLASSES) + 1
IGNORE = 255
"""OTHER: none of the classes. OTHER_TABLE: a table that is not (known to be) a dining table; it is neither wall nor
floor, and calling it a dining table is not punished. IGNORE: nobody said what it is."""
