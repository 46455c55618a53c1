"""What was pulled, beside the labels: each annotation and what became of it, and which review a photo's labels are of.

The log is told before labels are written, and once more after. Whoever is killed in between pulls the same task again
and knows that the labels it finds may be its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from surfaces.errors import DatasetError
from surfaces.store.database import Database

LOG_NAME = "reviews.sqlite"

_VERSION = 1
_TABLES = """
CREATE TABLE annotations (
    project    TEXT NOT NULL,
    task       INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    annotator  TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    seconds    REAL,
    iou        TEXT NOT NULL,               -- JSON: by class, where the class is there
    comment    TEXT NOT NULL,
    PRIMARY KEY (project, number)
) WITHOUT ROWID;
CREATE INDEX annotations_of_task ON annotations (project, task);
CREATE TABLE tasks (
    project    TEXT NOT NULL,
    task       INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    updated_at TEXT NOT NULL,               -- of the task, when it was read
    decided_at TEXT NOT NULL,               -- when the newest annotation that decides changed
    outcome    TEXT NOT NULL,
    agreement  TEXT NOT NULL,               -- JSON: mean IoU of two annotators, by class
    PRIMARY KEY (project, task)
) WITHOUT ROWID;
CREATE INDEX tasks_of_photo ON tasks (sha256);
CREATE TABLE pushed (
    project TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    PRIMARY KEY (project, sha256)
) WITHOUT ROWID;
"""


class Outcome(StrEnum):
    """What a person's work on a photo came to."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    """Newer labels of a person were there."""
    PENDING = "pending"
    """Labels are being written."""
    UNDONE = "undone"
    """`undo` put the automatic labels back."""


IN_LABELS = (Outcome.ACCEPTED, Outcome.CORRECTED, Outcome.REJECTED, Outcome.PENDING)
"""Outcomes that change the dataset's labels."""

_IN_LABELS = ", ".join(f"'{outcome}'" for outcome in IN_LABELS)


@dataclass(frozen=True)
class LoggedAnnotation:
    """One annotation as it was pulled.

    Attributes:
        number: its id on the server.
        annotator: whose it is.
        updated_at: when it last changed, UTC, in ISO 8601 with microseconds.
        outcome: against the prediction.
        seconds: that the person took; None where nobody knows.
        iou: of prediction and annotation by class, for classes that are in either.
        comment: what the person wrote.
    """

    number: int
    annotator: str
    updated_at: str
    outcome: Outcome
    seconds: float | None = None
    iou: Mapping[str, float] = field(default_factory=dict)
    comment: str = ""


@dataclass(frozen=True)
class LoggedTask:
    """One task as it was pulled.

    Attributes:
        project: its key.
        task: its number.
        sha256: of the photo.
        updated_at: of the task, when it was read.
        decided_at: when the newest annotation changed of those that decide.
        outcome: of the task.
        agreement: mean IoU of any two annotators by class; empty where there is one.
    """

    project: str
    task: int
    sha256: str
    updated_at: str
    decided_at: str
    outcome: Outcome
    agreement: Mapping[str, float] = field(default_factory=dict)


class _LogFile(Database):
    VERSION = _VERSION
    TABLES = _TABLES
    HOLDS = "reviews"
    IS = "a log of reviews"


class ReviewLog:
    """The log in a dataset's folder; a context manager."""

    def __init__(self, path: Path, create: bool = True) -> None:
        """Opens the log, or begins it.

        Args:
            path: the file.
            create: make it where there is none; else the log is empty, and what is recorded is forgotten.

        Raises:
            DatasetError: the file is no such log.
            OutputError: it cannot be read or written.
        """
        self._path = path
        absent = not create and not path.exists()
        self._file = _LogFile(path, create=create or absent, in_memory=absent)

    @classmethod
    def of(cls, dataset: Path, create: bool = True) -> ReviewLog:
        """The log of a label store's folder; made where absent if `create`."""
        return cls(dataset / LOG_NAME, create)

    def __enter__(self) -> ReviewLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def record(self, task: LoggedTask, annotations: Sequence[LoggedAnnotation]) -> None:
        """Notes what a task came to, in the place of what was known of it, in one transaction."""
        key = (task.project, task.task)
        with self._file.transaction():
            self._file.run("DELETE FROM annotations WHERE project = ? AND task = ?", *key)
            self._file.run(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(*key, task.sha256, task.updated_at, task.decided_at, task.outcome, json.dumps(dict(task.agreement))),
            )
            for known in annotations:
                self._file.run(
                    "INSERT OR REPLACE INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(*key, known.number, task.sha256, known.annotator, known.updated_at, known.outcome),
                    *(known.seconds, json.dumps(dict(known.iou)), known.comment),
                )

    def tasks(self, project: str) -> list[LoggedTask]:
        """All tasks of a project that were pulled, by number."""
        return self._tasks("WHERE project = ? ORDER BY task", project)

    def in_labels(self, sha256: str) -> LoggedTask | None:
        """The review that a photo's labels are of, in whatever project; None where none is known."""
        found = self._tasks(f"WHERE sha256 = ? AND outcome IN ({_IN_LABELS}) ORDER BY decided_at DESC LIMIT 1", sha256)
        return found[0] if found else None

    def note_undone(self, sha256: str) -> None:
        """Notes that the reviews of a photo, in whatever projects, are no longer in its labels."""
        with self._file.transaction():
            self._file.run(
                f"UPDATE tasks SET outcome = ? WHERE sha256 = ? AND outcome IN ({_IN_LABELS})", Outcome.UNDONE, sha256
            )

    def annotations(self, project: str) -> list[LoggedAnnotation]:
        """All annotations of a project that were pulled, by number."""
        rows = self._file.rows(
            "SELECT number, annotator, updated_at, outcome, seconds, iou, comment FROM annotations"
            " WHERE project = ? ORDER BY number",
            project,
        )
        with self._sound():
            return [
                LoggedAnnotation(number, annotator, updated_at, Outcome(outcome), seconds, _ious(iou), comment)
                for number, annotator, updated_at, outcome, seconds, iou, comment in rows
            ]

    def note_pushed(self, project: str, photos: Iterable[str]) -> None:
        """Notes that photos, named by their sha256, have tasks in a project."""
        with self._file.transaction():
            for sha256 in photos:
                self._file.run("INSERT OR IGNORE INTO pushed VALUES (?, ?)", project, sha256)

    def pushed(self, project: str) -> set[str]:
        """The photos that ever had a task in a project, as far as is known, by their sha256."""
        return {sha256 for (sha256,) in self._file.rows("SELECT sha256 FROM pushed WHERE project = ?", project)}

    def _tasks(self, where: str, value: str) -> list[LoggedTask]:
        rows = self._file.rows(
            f"SELECT project, task, sha256, updated_at, decided_at, outcome, agreement FROM tasks {where}", value
        )
        with self._sound():
            return [
                LoggedTask(project, task, sha256, updated_at, decided_at, Outcome(outcome), _ious(agreement))
                for project, task, sha256, updated_at, decided_at, outcome, agreement in rows
            ]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(f"expected a log of reviews in {self._path}, it is damaged: {error}") from error


def _ious(text: str) -> dict[str, float]:
    return {str(name): float(iou) for name, iou in json.loads(text).items()}
