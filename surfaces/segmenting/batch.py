"""Segments many photos in one run; photos that cannot be read do not stop the others."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from surfaces.cli.progress import track, write_line
from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError, SurfacesError
from surfaces.io.local_files import is_unicode
from surfaces.io.photo_lists import (
    RESULTS,
    find_photos,
    is_photo_file,
    is_result,
    list_lines,
    list_text,
    passed_over_lines,
)
from surfaces.io.storage import local_path
from surfaces.messages import brief, printable, without_credentials
from surfaces.segmenting import pipeline
from surfaces.segmenting.pipeline import Outcome, Predictor, Segmented, Settings, found_line
from surfaces.segmenting.records import Records
from surfaces.threads import DaemonThreads, prefetch

PHOTOS_IN_MEMORY = 4
"""Of a batch: two loaded ahead, one at the network or waiting to be written, one being written."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class _Step(Generic[T]):
    """A photo after a step of a batch, or why the step failed."""

    source: str
    content: T | SurfacesError


@dataclass(frozen=True)
class Sources:
    """The photos that the command line names, a line for each unreadable place, and lines about skipped files.

    `folders` has for each photo the folder that was given in its place; None where the photo itself was.
    """

    photos: tuple[str, ...]
    folders: tuple[str | None, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_batch(sources: Sequence[str]) -> bool:
    """Whether sources are a batch: several, a folder, a pattern, or `-`."""
    return len(sources) != 1 or sources[0] == "-" or _folder(sources[0]) is not None or _matches(sources[0]) is not None


def expand_sources(sources: Iterable[str], stdin: BinaryIO | None, output: Path) -> Sources:
    """Expands folders (searched with their subfolders) and the list on stdin (`-`) to photos.

    Raises FetchError where there is no photo at all, or the list cannot be read.

    Args:
        sources: URLs, files, folders, patterns of file names (`*`, `?`, `[…]`, `**` for any folders), or `-`.
        stdin: a list, one source per line, in UTF-8 or UTF-16; blank lines and comments (`#`) are skipped. None where
            it is closed.
        output: the folder of the results, which is not searched.
    """
    photos: list[str] = []
    folders: list[str | None] = []
    problems: list[str] = []
    passed_over: Counter[str] = Counter()
    left_out: list[str] = []
    for source in sources:
        for entry in _read_list(stdin, problems) if source == "-" else (source,):
            folder = _folder(entry)
            if folder is None:
                matches = _matches(entry)
                photos += [entry] if matches is None else _photos_among(matches, output, passed_over)
                folders += [None] * (len(photos) - len(folders))
                continue
            found = find_photos(folder, [str(output)])
            photos += found.photos
            folders += [folder] * len(found.photos)
            problems += [f"{printable(path)}: {reason}" for path, reason in found.unreadable]
            if not (found.photos or found.unreadable):
                problems.append(f"{printable(entry)}: expected photos in the folder, there are none")
            passed_over.update(found.passed_over)
            left_out += found.left_out
    notes = passed_over_lines(passed_over, left_out)
    if not photos:
        raise FetchError("; ".join([*problems, *notes]) or "expected a list of photos on stdin, got none")
    return Sources(tuple(photos), tuple(folders), tuple(problems), tuple(notes))


def run_batch(
    sources: Sequence[str], predictor: Predictor, settings: Settings, quiet: bool, records: Records | None = None
) -> int:
    """Segments photos with a progress bar on stderr; `quiet` shows neither it nor notes. Fills the records.

    The network has this thread; others load the next photos and draw and write the one before. At most
    PHOTOS_IN_MEMORY are decoded at a time. Results come in the order of the sources.

    Returns the number of photos that could not be fetched or decoded; each is reported on stderr. Other errors, which
    would occur for all photos, are raised.
    """

    def load(source: str) -> _Step[Image]:
        return _after(_Step(source, source), lambda name: pipeline.load_photo(name, settings))

    wanted = settings.classes, settings.min_score

    def predict(step: _Step[Image]) -> _Step[Segmented]:
        return _after(step, lambda image: pipeline.find_segments(image, predictor, *wanted))

    def save(step: _Step[Segmented]) -> _Step[Outcome]:
        return _after(step, lambda found: pipeline.draw_and_save(step.source, found, predictor, settings))

    failures, records = 0, records or Records()
    writer = ThreadPoolExecutor(1)
    try:
        loaded = prefetch(load, sources, DaemonThreads(), PHOTOS_IN_MEMORY - 2)
        saved = prefetch(save, map(predict, loaded), writer, 1)
        for step in track(saved, quiet=quiet, total=len(sources)):
            if isinstance(step.content, FetchError | DecodeError):
                failures += 1
                write_line(f"{shown(step.source)}: {step.content}")
                records.add_failure(step.source, step.content)
            elif isinstance(step.content, SurfacesError):
                raise step.content
            else:
                report(step.source, step.content, quiet)
                records.add(step.source, step.content)
    finally:
        writer.shutdown(cancel_futures=True)
    return failures


def _after(step: _Step[T], work: Callable[[T], R]) -> _Step[R]:
    """The next step; an error of ours takes its place, so that the photos before it are reported first."""
    if isinstance(step.content, SurfacesError):
        return _Step(step.source, step.content)
    try:
        return _Step(step.source, work(step.content))
    except SurfacesError as error:
        return _Step(step.source, error)


def shown(source: str) -> str:
    """A source for messages: without credentials, on one line."""
    return printable(without_credentials(source)) or "''"


def report(source: str, outcome: Outcome, quiet: bool) -> None:
    """Writes the path of the result to stdout and, unless `quiet`, a line on what was found to stderr."""
    if outcome.path:
        write_line(str(outcome.path), sys.stdout)
        sys.stdout.flush()
    if not quiet:
        write_line(f"{shown(source)}: {found_line(outcome)}")


def _read_list(stdin: BinaryIO | None, problems: list[str]) -> list[str]:
    """The entries of the list on stdin; lines that are no text and name no file become problems."""
    if stdin is None:
        raise FetchError("expected a list of photos on stdin, it is closed")
    try:
        lines = list(list_lines(list_text(stdin.read())))
    except (OSError, ValueError) as error:
        raise FetchError(f"expected a list of photos on stdin, got: {error}") from error
    entries = []
    for number, line in lines:
        if is_unicode(line) or Path(line).exists():
            entries.append(line)
        else:
            problems.append(f"stdin:{number}: expected a name in UTF-8 or UTF-16, got {brief(line)}")
    return entries


def _matches(source: str) -> list[str] | None:
    """The files that a pattern of file names matches, sorted; None where it is none, is a file, or matches nothing."""
    try:
        if "://" in source or not glob.has_magic(source) or Path(source).exists():
            return None
        found = glob.glob(source, recursive=True)  # noqa: PTH207, since Path.glob has no patterns with a root
        return sorted(path for path in found if Path(path).is_file()) or None
    except (OSError, ValueError):
        return None


def _photos_among(files: list[str], output: Path, passed_over: Counter[str]) -> list[str]:
    """The photos among files; others, and earlier results, are counted by suffix."""
    photos = []
    for file in files:
        path = Path(file)
        if is_result(path.name) or output.resolve() in path.resolve().parents:
            passed_over[RESULTS] += 1
        elif not is_photo_file(path.name):
            passed_over[path.suffix.lower()] += 1
        else:
            photos.append(file)
    return photos


def _folder(source: str) -> str | None:
    """The path of a folder; None for other sources."""
    try:
        path = local_path(source)
        return path if path and Path(path).is_dir() else None
    except (FetchError, OSError, ValueError):
        return None
