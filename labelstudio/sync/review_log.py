"""The log of pulled reviews: each annotation with its outcome, and which review a photo's labels are from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from surfaces.errors import DatasetError
from surfaces.store.database import Database
from surfaces.store.forgetting import LOG_NAME as LOG_NAME


class Outcome(StrEnum):
    """The result of a person's work on a photo; the values are in users' logs."""

    ACCEPTED = "accepted"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    """Newer labels of a person existed."""
    PENDING = "pending"
    """Labels are being written."""
    UNDONE = "undone"
    """`undo` restored the automatic labels."""


IN_LABELS = (Outcome.ACCEPTED, Outcome.CORRECTED, Outcome.REJECTED, Outcome.PENDING)
"""Outcomes that change the dataset's labels."""
_IN_LABELS = ", ".join(f"'{outcome}'" for outcome in IN_LABELS)


@dataclass(frozen=True)
class LoggedAnnotation:
    """A pulled annotation.

    Attributes:
        annotator: e-mail address or number.
        updated_at: UTC, in ISO 8601 with microseconds.
        seconds: that the person took, if known.
        iou: of prediction and annotation, by class.
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
    """A pulled task: its project (`ProjectStats.key`), its number, its `Decision`, and when it had changed."""

    project: str
    task: int
    sha256: str
    updated_at: str
    decided_at: str
    outcome: Outcome
    agreement: Mapping[str, float] = field(default_factory=dict)


class ReviewLog(Database):
    """The log, as a context manager.

    A task is recorded before labels are written, and once more afterwards: a pull that was killed in between pulls the
    same task again, and knows that the labels it finds may be its own.
    """

    HOLDS = "reviews"
    IS = "a log of reviews"
    VERSION = 1
    TABLES = """
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

    @classmethod
    def of(cls, dataset: Path, create: bool = True) -> Self:
        """The log of a label store's folder; without `create` a missing file is an empty log that drops records."""
        path = dataset / LOG_NAME
        absent = not create and not path.exists()
        return cls(path, create=create or absent, in_memory=absent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, task: LoggedTask, annotations: Sequence[LoggedAnnotation]) -> None:
        """Replaces all records of a task, in one transaction."""
        key = (task.project, task.task)
        with self.transaction():
            self.run("DELETE FROM annotations WHERE project = ? AND task = ?", *key)
            self.run(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(*key, task.sha256, task.updated_at, task.decided_at, task.outcome, json.dumps(dict(task.agreement))),
            )
            for known in annotations:
                self.run(
                    "INSERT OR REPLACE INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    *(*key, known.number, task.sha256, known.annotator, known.updated_at, known.outcome),
                    *(known.seconds, json.dumps(dict(known.iou)), known.comment),
                )

    def tasks(self, project: str) -> list[LoggedTask]:
        """All pulled tasks of a project, by number."""
        return self._tasks("WHERE project = ? ORDER BY task", project)

    def in_labels(self, sha256: str) -> LoggedTask | None:
        """The review, of any project, that a photo's labels are from; None if none is known."""
        found = self._tasks(f"WHERE sha256 = ? AND outcome IN ({_IN_LABELS}) ORDER BY decided_at DESC LIMIT 1", sha256)
        return found[0] if found else None

    def note_undone(self, sha256: str) -> None:
        """Records that a photo's reviews, of all projects, are no longer in its labels."""
        self.run(f"UPDATE tasks SET outcome = ? WHERE sha256 = ? AND outcome IN ({_IN_LABELS})", Outcome.UNDONE, sha256)

    def annotations(self, project: str) -> list[LoggedAnnotation]:
        """All pulled annotations of a project, by number."""
        rows = self.rows(
            "SELECT number, annotator, updated_at, outcome, seconds, iou, comment FROM annotations"
            " WHERE project = ? ORDER BY number",
            project,
        )
        with self._damage_reported():
            return [
                LoggedAnnotation(number, annotator, updated_at, Outcome(outcome), seconds, _parse_ious(iou), comment)
                for number, annotator, updated_at, outcome, seconds, iou, comment in rows
            ]

    def note_pushed(self, project: str, photos: Iterable[str]) -> None:
        """Records that photos, given by sha256, have tasks in a project."""
        with self.transaction():
            for sha256 in photos:
                self.run("INSERT OR IGNORE INTO pushed VALUES (?, ?)", project, sha256)

    def pushed(self, project: str) -> set[str]:
        """The photos that ever had a task in a project, as far as known, by sha256."""
        return {sha256 for (sha256,) in self.rows("SELECT sha256 FROM pushed WHERE project = ?", project)}

    def _tasks(self, where: str, value: str) -> list[LoggedTask]:
        rows = self.rows(
            f"SELECT project, task, sha256, updated_at, decided_at, outcome, agreement FROM tasks {where}", value
        )
        with self._damage_reported():
            return [
                LoggedTask(project, task, sha256, updated_at, decided_at, Outcome(outcome), _parse_ious(agreement))
                for project, task, sha256, updated_at, decided_at, outcome, agreement in rows
            ]

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(f"expected a log of reviews in {self.path}, it is damaged: {error}") from error


def _parse_ious(text: str) -> dict[str, float]:
    return {str(name): float(iou) for name, iou in json.loads(text).items()}
