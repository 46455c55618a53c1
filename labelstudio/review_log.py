"""What was pulled, beside the labels: each annotation and what became of it, and which review a photo's labels are of.

The log is told before labels are written, and once more after. Whoever is killed in between pulls the same task again
and knows that the labels it finds may be its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from surfaces.errors import DatasetError, OutputError

LOG_NAME = "reviews.sqlite"

_VERSION = 1
_BUSY_SECONDS = 60.0
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


IN_LABELS = (Outcome.ACCEPTED, Outcome.CORRECTED, Outcome.REJECTED, Outcome.PENDING)
"""Outcomes that change the dataset's labels."""


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


class ReviewLog:
    """The log in a dataset's folder; a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens the log, or begins it.

        Raises:
            DatasetError: the file is no such log.
            OutputError: it cannot be read or written.
        """
        self._path = path
        with self._errors_told():
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, dataset: Path) -> ReviewLog:
        """The log of a label store's folder."""
        return cls(dataset / LOG_NAME)

    def __enter__(self) -> ReviewLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    def record(self, task: LoggedTask, annotations: Sequence[LoggedAnnotation]) -> None:
        """Notes what a task came to, in the place of what was known of it, in one transaction."""
        with self._transaction() as connection:
            key = (task.project, task.task)
            connection.execute("DELETE FROM annotations WHERE project = ? AND task = ?", key)
            connection.execute(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, task.sha256, task.updated_at, task.decided_at, task.outcome, json.dumps(dict(task.agreement))),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(*key, known.number, task.sha256, known.annotator, known.updated_at, known.outcome),
                        *(known.seconds, json.dumps(dict(known.iou)), known.comment),
                    )
                    for known in annotations
                ],
            )

    def tasks(self, project: str) -> list[LoggedTask]:
        """All tasks of a project that were pulled, by number."""
        return self._tasks("WHERE project = ? ORDER BY task", project)

    def in_labels(self, sha256: str) -> LoggedTask | None:
        """The review that a photo's labels are of, in whatever project; None where none is known."""
        kept = ", ".join(f"'{outcome}'" for outcome in IN_LABELS)
        found = self._tasks(f"WHERE sha256 = ? AND outcome IN ({kept}) ORDER BY decided_at DESC LIMIT 1", sha256)
        return found[0] if found else None

    def annotations(self, project: str) -> list[LoggedAnnotation]:
        """All annotations of a project that were pulled, by number."""
        rows = self._rows(
            "SELECT number, annotator, updated_at, outcome, seconds, iou, comment FROM annotations"
            " WHERE project = ? ORDER BY number",
            project,
        )
        return [
            LoggedAnnotation(number, annotator, updated_at, Outcome(outcome), seconds, json.loads(iou), comment)
            for number, annotator, updated_at, outcome, seconds, iou, comment in rows
        ]

    def note_pushed(self, project: str, photos: Iterable[str]) -> None:
        """Notes that photos, named by their sha256, have tasks in a project."""
        with self._transaction() as connection:
            rows = [(project, sha256) for sha256 in photos]
            connection.executemany("INSERT OR IGNORE INTO pushed VALUES (?, ?)", rows)

    def pushed(self, project: str) -> set[str]:
        """The photos that ever had a task in a project, as far as is known, by their sha256."""
        return {sha256 for (sha256,) in self._rows("SELECT sha256 FROM pushed WHERE project = ?", project)}

    def _tasks(self, where: str, value: str) -> list[LoggedTask]:
        rows = self._rows(
            f"SELECT project, task, sha256, updated_at, decided_at, outcome, agreement FROM tasks {where}", value
        )
        return [
            LoggedTask(project, task, sha256, updated_at, decided_at, Outcome(outcome), json.loads(agreement))
            for project, task, sha256, updated_at, decided_at, outcome, agreement in rows
        ]

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._errors_told():
            return self._connection.execute(sql, values).fetchall()

    def _prepare(self) -> None:
        with self._errors_told():
            self._connection.execute("PRAGMA synchronous = FULL")
        with self._transaction() as connection:
            [(version,)] = connection.execute("PRAGMA user_version").fetchall()
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                for statement in filter(str.strip, _TABLES.split(";\n")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise DatasetError(f"expected reviews of version {_VERSION} in {self._path}, got {version}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors_told():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield self._connection

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise DatasetError(f"expected a log of reviews in {self._path}, got: {error}") from error
            raise OutputError(f"could not use {self._path}: {error}") from error
