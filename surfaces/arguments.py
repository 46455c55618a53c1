"""Values of command-line arguments that several commands take; argparse tells what was expected and what came."""

from __future__ import annotations

import argparse
from pathlib import Path

from surfaces.places import is_remote


def positive(text: str) -> int:
    """A whole number from 1.

    Raises:
        ArgumentTypeError: the text is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return int(text)


def local_path(text: str) -> Path:
    """A path on this machine.

    Raises:
        ArgumentTypeError: the text is an address, of which `Path` would drop a slash.
    """
    if is_remote(text):
        raise argparse.ArgumentTypeError(f"expected a path on this machine, got the address {text}")
    return Path(text)


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
