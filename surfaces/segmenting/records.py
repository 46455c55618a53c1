"""What a run leaves about all its photos together: a table, a COCO file, a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from surfaces.cli.progress import write_line
from surfaces.drawing.web_page import PAGE_NAME
from surfaces.errors import MissingExtraError, OutputError, SurfacesError
from surfaces.io.atomic_files import make_folder, replace_file, replacing
from surfaces.messages import encodable, without_credentials
from surfaces.segmenting.naming import RESULT_ENDING
from surfaces.segmenting.pipeline import Outcome, found_line

REPORT_NAME = "report"
"""The folder of the page."""

COCO_RESULTS = "surfaces.coco.json"
_THUMBNAIL = re.compile(r"(\d{1,9})-\d{6,}\.surfaces_thumbnail\.jpg")  # no result of a photo has such a name
_OURS = '<meta name="generator" content="interior-surfaces segment">'


class Record(Protocol):
    """Collects what was found, photo by photo."""

    def add(self, source: str, outcome: Outcome) -> None:
        """Adds a photo that was segmented."""

    def add_failure(self, source: str, error: SurfacesError) -> None:
        """Adds a photo that could not be used."""

    def add_problem(self, line: str) -> None:
        """Adds what could not be searched for photos."""

    def write(self) -> None:
        """Writes the files. Raises OutputError."""


class Records:
    """Several records as one."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self._records = records
        self._empty = True

    def add(self, source: str, outcome: Outcome) -> None:
        """Adds a photo that was segmented."""
        self._empty = False
        for record in self._records:
            record.add(source, outcome)

    def add_failure(self, source: str, error: SurfacesError) -> None:
        """Adds a photo that could not be used."""
        self._empty = False
        for record in self._records:
            record.add_failure(source, error)

    def add_problem(self, line: str) -> None:
        """Adds what could not be searched for photos; this alone is not worth replacing an earlier run's files."""
        for record in self._records:
            record.add_problem(line)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Writes all when the block ends; also, unless they are empty, when it ends by an error, which goes on.

        Raises OutputError.
        """
        try:
            yield
        except BaseException:
            for error in () if self._empty else self._write():
                write_line(str(error))
            raise
        for error in self._write():
            raise error

    def _write(self) -> list[OutputError]:
        """Writes all; returns why some could not be written."""
        errors = []
        for record in self._records:
            try:
                record.write()
            except OutputError as error:
                errors.append(error)
        return errors


class CocoRecord:
    """All segments in one COCO file, `surfaces.coco.json` in a folder; `file_name` is the photo as it was given.

    Raises:
        OutputError: no temporary file can be made.
    """

    def __init__(self, folder: Path) -> None:
        from surfaces.datasets.coco_writer import CocoWriter  # most runs need nothing of datasets

        self._path = folder / COCO_RESULTS
        self._writer = CocoWriter()

    def add(self, source: str, outcome: Outcome) -> None:
        """Adds a photo's segments."""
        name = encodable(without_credentials(source))
        image_id = self._writer.add_image(name, (outcome.height, outcome.width))
        for annotation in outcome.annotations:
            self._writer.add_annotation(image_id, annotation)

    def add_failure(self, source: str, error: SurfacesError) -> None:
        """Nothing: a photo that could not be read has no size."""

    def add_problem(self, line: str) -> None:
        """Nothing."""

    def write(self) -> None:
        """Writes the file; one that is there is replaced. Raises OutputError."""
        with replacing(self._path) as file:
            self._writer.write(file)


class ReportPage:
    """A page with a thumbnail and a line a photo, `report/index.html` in a folder; failures come first.

    The page of an earlier run and its thumbnails stay until the new ones are complete.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        OutputError: there is a page that is none of ours, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import jinja2  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtraError("expected Jinja2 for a page, install interior-surfaces[web]") from error
        self._page = folder / REPORT_NAME / PAGE_NAME
        if self._page.exists() and not _is_ours(self._page):
            raise OutputError(f"expected no {self._page}, or one of an earlier run, got another page")
        make_folder(self._page.parent)
        numbers = [int(match[1]) for name in self._thumbnails() if (match := _THUMBNAIL.fullmatch(name))]
        self._run = max(numbers, default=0) + 1
        self._figures: list[tuple[str, str]] = []
        self._failures: list[str] = []

    def add(self, source: str, outcome: Outcome) -> None:
        """Writes a photo's thumbnail."""
        picture = f"{self._run}-{len(self._figures) + 1:06d}{RESULT_ENDING}_thumbnail.jpg"
        replace_file(self._page.parent / picture, outcome.thumbnail or b"")
        self._figures.append((picture, f"{without_credentials(source)}: {found_line(outcome)}"))

    def add_failure(self, source: str, error: SurfacesError) -> None:
        """Adds why a photo failed."""
        self._failures.append(f"{without_credentials(source)}: {error}")

    def add_problem(self, line: str) -> None:
        """Adds what could not be searched."""
        self._failures.append(line)

    def write(self) -> None:
        """Writes the page, then removes the thumbnails of earlier runs. Raises OutputError."""
        from surfaces.drawing.web_page import render_page

        page = render_page(
            "surfaces/segmented.html", "Walls, floors and dining tables", figures=self._figures, failures=self._failures
        )
        replace_file(self._page, page.encode())
        shown = {picture for picture, _ in self._figures}
        for name in self._thumbnails():
            if name not in shown:
                with suppress(OSError):  # one that cannot be removed is on no page
                    (self._page.parent / name).unlink()

    def _thumbnails(self) -> list[str]:
        """The names of thumbnails that are there, of all runs."""
        try:
            names = [path.name for path in self._page.parent.iterdir() if path.is_file()]
        except OSError as error:
            raise OutputError(f"could not read {self._page.parent}: {error.strerror or error}") from error
        return [name for name in names if _THUMBNAIL.fullmatch(name)]


def _is_ours(page: Path) -> bool:
    """Whether an earlier run wrote the page."""
    try:
        return _OURS in page.read_text("utf-8", errors="replace")
    except OSError:  # a folder, or unreadable
        return False
