"""Names and links in folders that others made: nothing that is read or written by them may leave the folder."""

from __future__ import annotations

import os
from pathlib import Path

from surfaces.errors import DatasetError
from surfaces.wording import brief, printable


def plain_name(name: object) -> str:
    """The name of a file without a folder, passed through.

    Raises:
        DatasetError: it is no text, is empty, `.` or `..`, holds a separator, a colon or a NUL, or is not Unicode.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0") or not is_unicode(name):
        raise DatasetError(f"expected a file's name without a folder, got {brief(name)}")
    return name


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, and so be a name."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_inside(folder: Path | str, path: Path | str) -> bool:
    """Whether a path is in a folder once all links are followed; neither has to exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def require_inside(folder: Path, path: Path, remedy: str = "") -> Path:
    """A path below a folder, passed through.

    Args:
        folder: its own path may hold links: whoever named it chose them.
        path: a path that begins with the folder's.
        remedy: what the user can do, for the end of the message.

    Raises:
        DatasetError: a link leads out of the folder; names it.
    """
    if is_inside(folder, path):
        return path
    ways = (folder.joinpath(*path.relative_to(folder).parts[:count]) for count in range(1, len(path.parts) + 1))
    link = next(way for way in ways if not is_inside(folder, way))
    raise DatasetError(
        f"expected {printable(str(link))} inside {printable(str(folder))}, got a link to "
        f"{printable(os.path.realpath(link))}" + (f": {remedy}" if remedy else "")
    )
