"""Many photos in one run: what is named becomes a list, and one bad photo doesn't stop the rest."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from surfaces.cli.progress import track, write_line
from surfaces.errors import DecodeError, FetchError
from surfaces.io.photo_lists import find_photos, list_lines, list_text, passed_over_lines
from surfaces.io.storage import local_path
from surfaces.messages import brief, printable, without_credentials
from surfaces.segmenting.pipeline import Outcome


@dataclass(frozen=True)
class Sources:
    """What the command line names, spelled out.

    Attributes:
        photos: addresses and files, in the order given.
        problems: what was named and cannot be read (a folder, a line of a list), a line each.
        notes: what was passed over, a line each.
    """

    photos: tuple[str, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_batch(sources: Sequence[str]) -> bool:
    """Whether sources ask for a batch: several, a folder, or `-`."""
    return len(sources) != 1 or sources[0] == "-" or _folder(sources[0]) is not None


def expand_sources(sources: Iterable[str], stdin: BinaryIO | None, output: Path) -> Sources:
    """Lists every single photo.

    Args:
        sources: addresses, files, folders (the photos in them and in their subfolders, by name), or `-`.
        stdin: what `-` stands for: one source a line, in UTF-8 or UTF-16; blank lines and those that start with `#` are
            passed over. None where it is closed.
        output: where pictures go; not searched for photos where a folder contains it.

    Raises:
        FetchError: there is no photo at all, or the list on stdin cannot be read.
    """
    photos: list[str] = []
    problems: list[str] = []
    passed_over: Counter[str] = Counter()
    left_out: list[str] = []
    for source in sources:
        for entry in _listed(stdin, problems) if source == "-" else (source,):
            folder = _folder(entry)
            if folder is None:
                photos.append(entry)
                continue
            found = find_photos(folder, [str(output)])
            photos += found.photos
            problems += [f"{printable(path)}: {reason}" for path, reason in found.unreadable]
            if not (found.photos or found.unreadable):
                problems.append(f"{printable(entry)}: expected photos in the folder, there are none")
            passed_over.update(found.passed_over)
            left_out += found.left_out
    notes = passed_over_lines(passed_over, left_out)
    if not photos:
        raise FetchError("; ".join([*problems, *notes]) or "expected a list of photos on stdin, got none")
    return Sources(tuple(photos), tuple(problems), tuple(notes))


def run_batch(sources: Sequence[str], segment: Callable[[str], Outcome], quiet: bool) -> int:
    """Segments photo after photo, with a progress bar on stderr.

    Args:
        sources: addresses and files.
        segment: makes the picture of one.
        quiet: neither progress bar nor notes.

    Returns:
        How many photos could not be fetched or decoded; each was named on stderr.

    Raises:
        SurfacesError: another error, which the next photo would meet as well.
    """
    failures = 0
    for source in track(sources, quiet=quiet):
        try:
            report(source, segment(source), quiet)
        except (FetchError, DecodeError) as error:
            failures += 1
            write_line(f"{shown(source)}: {error}")
    return failures


def shown(source: str) -> str:
    """A source as messages name it: without credentials, on one line."""
    return printable(without_credentials(source)) or "''"


def report(source: str, outcome: Outcome, quiet: bool) -> None:
    """Writes the picture's path to stdout and, unless `quiet`, a note to stderr where nothing was found."""
    write_line(str(outcome.picture), sys.stdout)
    sys.stdout.flush()
    if not (outcome.segments or quiet):
        write_line(f"{shown(source)}: nothing found, the picture shows the photo as it is")


def _listed(stdin: BinaryIO | None, problems: list[str]) -> list[str]:
    """The entries of the list on stdin; lines that are no text and name no file are added to the problems."""
    if stdin is None:
        raise FetchError("expected a list of photos on stdin, it is closed")
    try:
        lines = list(list_lines(list_text(stdin.read())))
    except (OSError, ValueError) as error:
        raise FetchError(f"expected a list of photos on stdin, got: {error}") from error
    broken = {number: line for number, line in lines if not (_is_text(line) or Path(line).exists())}
    problems += [f"stdin:{n}: expected a name in UTF-8 or UTF-16, got {brief(line)}" for n, line in broken.items()]
    return [line for number, line in lines if number not in broken]


def _is_text(line: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in line)


def _folder(source: str) -> str | None:
    """The path of a folder; None for any other source."""
    try:
        path = local_path(source)
        return path if path and Path(path).is_dir() else None
    except (FetchError, OSError, ValueError):
        return None
