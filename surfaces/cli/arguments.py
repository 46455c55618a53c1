"""Types of command-line arguments; each raises ArgumentTypeError with the expected and the given value."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from surfaces.errors import FetchError
from surfaces.io import storage
from surfaces.version import VERSION

_PIXELS_MAX = 178_000_000  # that Pillow decodes: twice its `MAX_IMAGE_PIXELS`, which is global


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds `--version`."""
    parser.add_argument("--version", action="version", version=f"interior-surfaces {VERSION}")


def positive(text: str) -> int:
    """An integer from 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return int(text)


def local_path(text: str) -> Path:
    """A path, or a URL `file:///path`; other URLs are refused, since `Path` would drop one of their slashes."""
    try:
        path = storage.local_path(text)
    except FetchError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if storage.is_remote(path):
        raise argparse.ArgumentTypeError(f"expected a path on this machine, got the address {text}")
    return Path(path)


def number(text: str, low: float, high: float) -> float:
    """A number from `low` to `high`; NaN is refused."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text!r}")
    return value


def resources(text: str) -> float:
    """CPUs or GPUs of a worker as Ray takes them: a fraction up to 1 in steps of 0.01, or a whole number."""
    value = round(number(text, 0.0, 1024.0), 2)
    if value > 1 and not value.is_integer():
        raise argparse.ArgumentTypeError(f"expected a fraction up to 1, or a whole number, got {text!r}")
    return value


def positive_resources(text: str) -> float:
    """As `resources`, but more than none."""
    number(text, 0.01, 1024.0)
    return resources(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    return number(text, 0.0, 1.0)


def megapixels(text: str) -> int:
    """Megapixels, as pixels; at most as many as Pillow decodes."""
    return round(number(text, 0.001, _PIXELS_MAX / 1e6) * 1e6)


def megabytes(text: str) -> int:
    """Megabytes, as bytes."""
    return round(number(text, 0.001, 4000) * 1e6)


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None, as keyword arguments for a function with defaults."""
    return {name: value for name, value in options.items() if value is not None}
