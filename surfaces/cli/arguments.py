"""Values of command-line arguments that several commands take; argparse tells what was expected and what came."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from surfaces.errors import FetchError
from surfaces.io import storage as places

PIXELS_MOST = 178_000_000
"""The largest photo that Pillow decodes: twice its `MAX_IMAGE_PIXELS`, which is global."""


def positive(text: str) -> int:
    """A whole number from 1.

    Raises:
        ArgumentTypeError: the text is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return int(text)


def local_path(text: str) -> Path:
    """A path on this machine, also written as `file:///path`.

    Raises:
        ArgumentTypeError: the text is another address, of which `Path` would drop a slash.
    """
    try:
        path = places.local_path(text)
    except FetchError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if places.is_remote(path):
        raise argparse.ArgumentTypeError(f"expected a path on this machine, got the address {text}")
    return Path(path)


def share(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        ArgumentTypeError: the text is none.
    """
    return number(text, 0.0, 1.0)


def number(text: str, low: float, high: float) -> float:
    """A number from `low` to `high`.

    Raises:
        ArgumentTypeError: the text is none, or NaN.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text!r}")
    return value


def megapixels(text: str) -> int:
    """A number of megapixels, in pixels.

    Raises:
        ArgumentTypeError: the text is none, or more than Pillow decodes.
    """
    return round(number(text, 0.001, PIXELS_MOST / 1e6) * 1e6)


def megabytes(text: str) -> int:
    """A number of megabytes, in bytes.

    Raises:
        ArgumentTypeError: the text is none.
    """
    return round(number(text, 0.001, 4000) * 1e6)


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None, as keyword arguments: whoever is called has defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}
