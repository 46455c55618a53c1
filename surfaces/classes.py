"""The surface classes with their ids and colours, and the values of semantic label maps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from surfaces.errors import SurfacesError


@dataclass(frozen=True)
class SurfaceClass:
    """A class that is segmented.

    Attributes:
        name: as in prompts, output and COCO files.
        coco_id: the category id in COCO files: the position in CLASSES, from 1.
        is_thing: True for countable objects (one instance each), False for stuff (one region per photo).
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
"""Channels of class probabilities: "other", then CLASSES, so that a class's channel is its COCO id."""

BY_NAME: dict[str, SurfaceClass] = {c.name: c for c in CLASSES}
BY_ID: dict[int, SurfaceClass] = {c.coco_id: c for c in CLASSES}


def parse_classes(text: str) -> tuple[SurfaceClass, ...]:
    """Classes by their names, separated by commas, in any case, with hyphens or spaces. Raises SurfacesError."""
    names = [name.strip().lower().replace("-", " ") for name in text.split(",")]
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise SurfacesError(f"expected some of {', '.join(BY_NAME)}; got {', '.join(map(repr, unknown))}")
    return tuple(BY_NAME[name] for name in names)


def class_named(name: str) -> SurfaceClass | None:
    """The class that another tool's name means, ignoring case, spaces, `_` and `-`; None for another one's."""
    return _BY_PLAIN_NAME.get(plain_class_name(name))


def plain_class_name(name: str) -> str:
    """A class's name in lower case without spaces, `_` and `-`, to compare it with others."""
    return re.sub(r"[\s_-]+", "", name.casefold())


_BY_PLAIN_NAME = {plain_class_name(name): surface for name, surface in BY_NAME.items()}

# Values of a semantic label map besides the COCO ids.
OTHER = 0  # none of the classes
OTHER_TABLE = len(CLASSES) + 1  # not a dining table, or not known to be one; predicting a dining table is no error
IGNORE = 255  # unlabelled
