"""Which rules concern what: things, stuff, or what negative prompts found."""

from __future__ import annotations

from surfaces.classes import SurfaceClass


def is_thing(surface: SurfaceClass | None) -> bool:
    """Whether regions of it are told apart; None is what a negative prompt found."""
    return surface is not None and surface.is_thing


def is_stuff(surface: SurfaceClass | None) -> bool:
    """Whether all of it in a photo is one region; None is what a negative prompt found."""
    return surface is not None and not surface.is_thing
