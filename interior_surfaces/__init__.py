"""Finds walls, floors and dining tables in photographs of interiors: `Segmenter().predict("room.jpg").plot()`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1]

for _package in ("models", "surfaces"):
    _spec = importlib.util.find_spec(_package)
    _found = Path(_spec.origin).resolve() if _spec and _spec.origin else None
    if _found != _FOLDER / _package / "__init__.py":
        raise ImportError(f"expected the package {_package!r} in {_FOLDER}, got {_found}: another one hides it")

from interior_surfaces.result import Result  # noqa: E402
from interior_surfaces.segmenter import Segmenter  # noqa: E402
from surfaces.version import VERSION as __version__  # noqa: E402

__all__ = ["Result", "Segmenter", "__version__"]
