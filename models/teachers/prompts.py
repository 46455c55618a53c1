"""What a text-prompted detector is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from surfaces.classes import SurfaceClass


@dataclass(frozen=True)
class Prompt:
    """Words that a detector looks for.

    Attributes:
        text: lower case, without punctuation: "dining table".
        surface: the class that it finds; None for a negative prompt, whose regions keep the classes off.
    """

    text: str
    surface: SurfaceClass | None
