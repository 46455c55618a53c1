"""Many photos in one run: what is named becomes a list, and one bad photo doesn't stop the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from surfaces.addresses import without_credentials
from surfaces.errors import DecodeError, FetchError
from surfaces.photo_files import is_photo_file
from surfaces.pipeline import Outcome


def is_batch(sources: Sequence[str]) -> bool:
    """Whether sources ask for a batch: several, a folder, or `-`."""
    return len(sources) != 1 or sources[0] == "-" or _is_folder(sources[0])


def expand_sources(sources: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Lists every single photo.

    Args:
        sources: addresses, files, folders (the photos directly in them, by name), or `-`.
        lines: what `-` stands for: one source a line; blank lines and those that start with `#` are passed over.

    Returns:
        Addresses and files, in the order given.

    Raises:
        FetchError: a folder can't be read or holds no photo.
    """
    expanded: list[str] = []
    for source in sources:
        if source == "-":
            named = [line.strip() for line in lines]
            expanded += expand_sources([line for line in named if line not in ("", "-") and line[0] != "#"], [])
        elif _is_folder(source):
            expanded += _photos_in(Path(source))
        else:
            expanded.append(source)
    return expanded


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
    for source in tqdm(sources, unit="photo", disable=quiet):
        try:
            report(source, segment(source), quiet)
        except (FetchError, DecodeError) as error:
            failures += 1
            tqdm.write(f"{without_credentials(source)}: {error}", file=sys.stderr)
    return failures


def report(source: str, outcome: Outcome, quiet: bool) -> None:
    """Writes the picture's path to stdout and, unless `quiet`, a note to stderr where nothing was found."""
    tqdm.write(str(outcome.picture), file=sys.stdout)
    sys.stdout.flush()
    if not (outcome.segments or quiet):
        tqdm.write(f"{source}: nothing found, the picture shows the photo as it is", file=sys.stderr)


def _is_folder(source: str) -> bool:
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):
        return False


def _photos_in(folder: Path) -> list[str]:
    try:
        names = sorted(path for path in folder.iterdir() if is_photo_file(path))
    except OSError as error:
        raise FetchError(f"{folder}: the folder could not be read: {error.strerror}") from error
    photos = [str(path) for path in names if path.is_file()]
    if not photos:
        raise FetchError(f"{folder}: expected photos in the folder, there are none")
    return photos
