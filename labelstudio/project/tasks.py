"""A project's tasks, predictions and annotations on the server, read some at a time and written in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from labelstudio.errors import AnnotationError, ServerUnavailableError
from labelstudio.project.labeling_config import IMAGE_FIELD, Project
from labelstudio.server.connection import Server
from surfaces.errors import SurfacesError
from surfaces.messages import brief, encodable, printable

Kind = TypeVar("Kind")

_MOST_NUMBER = (1 << 63) - 1
_LONGEST_NAME = 320
"""An e-mail address has no more characters."""


def read_field(record: Any, name: str, kind: type[Kind], error: type[SurfacesError] = AnnotationError) -> Kind:
    """A field of a JSON object.

    Args:
        record: the object, or whatever came instead.
        name: of the field.
        kind: what it must be.
        error: what is raised else.

    Returns:
        The value; a number from 0 that fits a database, a text that UTF-8 can hold.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (isinstance(value, int) and not 0 <= value <= _MOST_NUMBER):
        raise error(
            f"expected {name} as {kind.__name__}, got {brief(value if isinstance(record, Mapping) else record)}"
        )
    text: Any = encodable(value) if isinstance(value, str) else value
    return text  # type: ignore[no-any-return]


def name_of(value: Any) -> str:
    """What a person is called: on one line, and no longer than an e-mail address."""
    return printable(str(value)[:_LONGEST_NAME])


Filter = tuple[str, str, str, Any]
"""Column, operator, type and value, as Label Studio's data manager knows them."""

REVIEWED: Filter = ("total_annotations", "greater", "Number", 0)
SKIPPED: Filter = ("cancelled_annotations", "greater", "Number", 0)
STARTED: Filter = ("draft_exists", "equal", "Boolean", True)

_PAGE = 200
_BATCH_TASKS = 25
_BATCH_BYTES = 4 << 20
_NOT_FOUND = 404


def without_prediction_of(model_version: str) -> Filter:
    """The tasks that have no prediction of this model version."""
    return ("predictions_model_versions", "not_contains", "List", [model_version])


@dataclass(frozen=True)
class TaskSummary:
    """A task without predictions and annotations.

    Attributes:
        number: its id on the server.
        sha256: of its photo; empty for tasks that `push` did not make.
        queue: that it was pushed for.
        updated_at: when it or one of its annotations last changed, as the server writes it.
        annotations: how many there are, skipped ones left out.
        image: where its photo is, as the task says; empty where it says nothing.
    """

    number: int
    sha256: str
    queue: str
    updated_at: str
    annotations: int
    image: str = ""


@dataclass(frozen=True)
class ProjectFacts:
    """What the server counts.

    Attributes:
        key: tells the project from all others, also from those that had its number before it, or on another server;
            the server's address is no part of it, since that may change.
        tasks: how many there are.
        reviewed: those of them that have an annotation.
        skipped: annotations by which a person declined a task.
    """

    key: str
    tasks: int
    reviewed: int
    skipped: int


def read_facts(server: Server, project: Project) -> ProjectFacts:
    """Asks for the project's counts."""
    known = _json(server, f"/api/projects/{project.id}/")
    return ProjectFacts(
        f"{read_field(known, 'id', int, ServerUnavailableError)} of {read_field(known, 'created_at', str, ServerUnavailableError)}",
        read_field(known, "task_number", int, ServerUnavailableError),
        read_field(known, "num_tasks_with_annotations", int, ServerUnavailableError),
        read_field(known, "skipped_annotations_number", int, ServerUnavailableError),
    )


def list_tasks(server: Server, project: Project, *filters: Filter) -> Iterator[TaskSummary]:
    """The tasks that pass all filters, by ascending number.

    Tasks that are made or deleted meanwhile do no harm: each page is asked for by the last number of the one before.
    """
    last = 0
    while True:
        page = _page(server, project, (("id", "greater", "Number", last), *filters))
        summaries = [_summary_of(task) for task in page]
        yield from summaries
        if len(page) < _PAGE:
            return
        if summaries[-1].number <= last:
            raise ServerUnavailableError(f"expected tasks after number {last}, got number {summaries[-1].number}")
        last = summaries[-1].number


def read_task(server: Server, number: int) -> dict[str, Any] | None:
    """One task with its predictions and annotations as the server's JSON; None where it was deleted."""
    response = server.session.get(f"/api/tasks/{number}/", params={"resolve_uri": "false"})
    if response.status_code == _NOT_FOUND:
        return None
    found = response.raise_for_status().json()
    if not isinstance(found, dict):
        raise AnnotationError(f"expected a task, got {brief(found)}")
    return found


def delete_task(server: Server, number: int) -> None:
    """Deletes a task with all that belongs to it; one that is gone already is no error."""
    response = server.session.delete(f"/api/tasks/{number}/")
    if response.status_code != _NOT_FOUND:
        response.raise_for_status()


class Batch:
    """Tasks, or predictions, that are sent together as soon as they are many or large. The server takes all or none."""

    def __init__(self, server: Server, address: str) -> None:
        self._server, self._address = server, address
        self._parts: list[bytes] = []

    @classmethod
    def of_tasks(cls, server: Server, project: Project) -> Batch:
        """For tasks with their predictions."""
        return cls(server, f"/api/projects/{project.id}/import")

    @classmethod
    def of_predictions(cls, server: Server, project: Project) -> Batch:
        """For predictions of tasks that are there; each has the task's number as `task`."""
        return cls(server, f"/api/projects/{project.id}/import/predictions")

    def add(self, part: Mapping[str, Any]) -> int:
        """Adds one; returns how many were sent."""
        self._parts.append(json.dumps(part).encode())
        full = len(self._parts) >= _BATCH_TASKS or sum(map(len, self._parts)) >= _BATCH_BYTES
        return self.send() if full else 0

    def send(self) -> int:
        """Sends what is left; returns how many they were."""
        count = len(self._parts)
        if count:
            # Not tried again when the connection breaks: it may have arrived. The next run looks.
            self._server.session.post(
                self._address,
                content=b"[" + b",".join(self._parts) + b"]",
                headers={"Content-Type": "application/json"},
            ).raise_for_status()
            self._parts.clear()
        return count


def _page(server: Server, project: Project, filters: tuple[Filter, ...]) -> list[Any]:
    items = [
        {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
        for column, operator, kind, value in filters
    ]
    query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
    found = _json(
        server,
        "/api/tasks/",
        project=project.id,
        page_size=_PAGE,
        fields="task_only",
        resolve_uri="false",
        query=json.dumps(query),
    )
    return read_field(found, "tasks", list, ServerUnavailableError)


def _summary_of(task: Any) -> TaskSummary:
    data = task.get("data") if isinstance(task, Mapping) else None
    data = data if isinstance(data, Mapping) else {}  # somebody else's
    return TaskSummary(
        read_field(task, "id", int, ServerUnavailableError),
        encodable(str(data.get("sha256", ""))),
        encodable(str(data.get("queue", ""))),
        read_field(task, "updated_at", str, ServerUnavailableError),
        read_field(task, "total_annotations", int, ServerUnavailableError),
        encodable(str(data.get(IMAGE_FIELD, ""))),
    )


def _json(server: Server, address: str, **parameters: str | int) -> Any:
    return server.session.get(address, params=parameters).raise_for_status().json()
