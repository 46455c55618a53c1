"""Why photos go wrong, as a person who looked at them says, and how much each cause costs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.evaluation.error_analysis import LostIou
from surfaces.classes import BY_NAME, CLASSES
from surfaces.errors import SurfacesError
from surfaces.io.local_files import read_text

CAUSES = {
    "label": "the label is wrong, coarse or missing, and the prediction is as good or better",
    "definition": "labellers may differ: half-walls, columns, partitions, boards, the wall inside a niche",
    "low contrast": "two surfaces of nearly one colour and no visible edge between them, such as white on white",
    "light": "too dark, burnt out or out of focus to tell",
    "mirror or glass": "a reflection, a glossy floor, a glass top, or what is seen through a pane",
    "cabinet or door": "doors and casings, cabinets, wardrobes, shelves, appliances and wall confused",
    "hanging": "pictures, boards, curtains, blinds and wall confused",
    "pattern": "a mural, wallpaper, panelling or a floor's inlay takes a surface apart",
    "ceiling": "ceiling, beams or a sloping roof and wall confused",
    "rug": "a rug and the floor confused",
    "furniture": "chairs, beds, sofas, counters or steps and wall, floor or table confused",
    "clutter": "many small things stand before the surface or lie on it",
    "thin": "legs, rails, slats, frames, and the gaps between them",
    "other table": "a desk, counter, coffee or other table is taken for a dining table",
    "missed table": "a dining table in plain view is not found",
    "table part": "a table is found, but a part of its top, cloth or legs goes to another class",
    "cut table": "a dining table at the photo's edge, far away or mostly hidden is not found, or hardly",
    "odd view": "a close-up, or a place such as a shop or corridor, where little tells what stands where",
    "outline": "the surface is found; what is lost lies along its edges",
}
"""What a photo's errors can be due to, and when it is."""

UNNAMED = "no cause given"


class CausesError(SurfacesError):
    """A file of causes is not as expected."""

    exit_code = 8


@dataclass(frozen=True)
class PhotoCauses:
    """What a person said of one photo.

    Attributes:
        by_class: a cause for each class, by the class's name; classes with little to explain are left out.
        note: what was seen.
    """

    by_class: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Causes:
    """The causes of one network's errors.

    Attributes:
        model: sha256 of the network whose errors they are; empty: not said.
        photos: by the sample's name.
    """

    model: str = ""
    photos: Mapping[str, PhotoCauses] = field(default_factory=dict)


@dataclass(frozen=True)
class CauseCost:
    """What a cause costs over the photos that were looked at.

    Attributes:
        cause: one of `CAUSES`, or `UNNAMED`.
        photos: in which it is the cause for one class at the least.
        main: in which it costs more than any other.
        lost: what it takes from each class's IoU over the whole dataset.
    """

    cause: str
    photos: int
    main: int
    lost: LostIou


def read_causes(path: Path) -> Causes:
    """Reads a TOML file of causes: `model`, and for each photo `[photos.NAME]` with `wall = "CAUSE"` and a `note`.

    Raises:
        CausesError: it cannot be read, or names a cause or class that does not exist.
    """
    try:
        document = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CausesError(f"expected a TOML file of causes at {path}: {error}") from error
    photos, model = document.get("photos", {}), document.get("model", "")
    if not isinstance(photos, dict) or not isinstance(model, str):
        raise CausesError(f"expected a text `model` and tables [photos.NAME] in {path}, got something else")
    return Causes(model, {name: _photo_causes(name, entry) for name, entry in photos.items()})


def cost_of_causes(
    names: Sequence[str], lost: Mapping[str, LostIou], causes: Mapping[str, PhotoCauses]
) -> list[CauseCost]:
    """What each cause costs, the dearest first.

    Args:
        names: of the photos that were looked at.
        lost: what each photo takes from the dataset's IoU.
        causes: what was said of each photo; what nothing was said of counts as `UNNAMED`.
    """
    shares = {name: _shares(lost[name], causes.get(name, PhotoCauses())) for name in names}
    main = [_dearest(share) for share in shares.values() if share]
    found = dict.fromkeys(cause for share in shares.values() for cause in share)
    costs = [
        CauseCost(
            cause,
            sum(cause in share for share in shares.values()),
            main.count(cause),
            LostIou(tuple(map(sum, zip(*(share[cause] for share in shares.values() if cause in share), strict=True)))),
        )
        for cause in found
    ]
    return sorted(costs, key=lambda cost: -cost.lost.mean)


def _shares(lost: LostIou, said: PhotoCauses) -> dict[str, tuple[float, ...]]:
    """One photo's lost IoU of each class, by cause; classes that lose nothing are left out."""
    shares: dict[str, tuple[float, ...]] = {}
    for index, (surface, amount) in enumerate(zip(CLASSES, lost.by_class, strict=True)):
        if amount:
            cause = said.by_class.get(surface.name, UNNAMED)
            before = shares.get(cause, (0.0,) * len(CLASSES))
            shares[cause] = (*before[:index], amount, *before[index + 1 :])
    return shares


def _dearest(share: Mapping[str, Sequence[float]]) -> str:
    return max(share, key=lambda cause: sum(share[cause]))


def _photo_causes(name: str, entry: Any) -> PhotoCauses:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise CausesError(f"expected texts in [photos.{name}], got something else")
    by_class = {key: value for key, value in entry.items() if key != "note"}
    for surface, cause in by_class.items():
        if surface not in BY_NAME:
            raise CausesError(f"expected a class out of {', '.join(BY_NAME)} in [photos.{name}], got {surface!r}")
        if cause not in CAUSES:
            raise CausesError(f"expected a cause out of {', '.join(CAUSES)} for {name}, got {cause!r}")
    return PhotoCauses(by_class, entry.get("note", ""))
