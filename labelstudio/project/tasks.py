"""A project's tasks, predictions and annotations on the server, read in pages and written in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from labelstudio.errors import AnnotationError, ServerUnavailableError
from labelstudio.project.labeling_config import IMAGE_FIELD, Project
from labelstudio.server.connection import Server
from surfaces.errors import SurfacesError
from surfaces.messages import brief, encodable

Kind = TypeVar("Kind")

Filter = tuple[str, str, str, Any]
"""Column, operator, type and value, as in Label Studio's data manager."""

REVIEWED: Filter = ("total_annotations", "greater", "Number", 0)
SKIPPED: Filter = ("cancelled_annotations", "greater", "Number", 0)
STARTED: Filter = ("draft_exists", "equal", "Boolean", True)

_INTEGER_MAX = (1 << 63) - 1
_PAGE_TASKS = 200
_BATCH_TASKS = 25
_BATCH_BYTES = 4 << 20
_NOT_FOUND = 404


@dataclass(frozen=True)
class TaskSummary:
    """A task without predictions and annotations, with the URL of its photo.

    Attributes:
        number: its id on the server.
        sha256: of its photo; empty for tasks that `push` did not make.
        updated_at: when it or one of its annotations last changed, as the server writes it.
        annotations: count without skipped ones.
    """

    number: int
    sha256: str
    queue: str
    updated_at: str
    annotations: int
    image: str


@dataclass(frozen=True)
class ProjectStats:
    """The server's counts of tasks, of tasks with an annotation, and of annotations by which a person skipped a task.

    `key` identifies the project among all projects of all servers, without the server's address, which may change.
    """

    key: str
    tasks: int
    reviewed: int
    skipped: int


def read_field(record: Any, name: str, kind: type[Kind], error: type[SurfacesError] = AnnotationError) -> Kind:
    """Reads a field of a JSON object from the server; raises `error` if it is missing or of another type.

    Integers must be from 0 to 2^63 - 1; texts are made encodable as UTF-8.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (isinstance(value, int) and not 0 <= value <= _INTEGER_MAX):
        got = value if isinstance(record, Mapping) else record
        raise error(f"expected {name} as {kind.__name__}, got {brief(got)}")
    text: Any = encodable(value) if isinstance(value, str) else value
    return text  # type: ignore[no-any-return]


def read_stats(server: Server, project: Project) -> ProjectStats:
    """Asks for the project's counts."""
    found = _get_json(server, f"/api/projects/{project.id}/")
    counts = ("task_number", "num_tasks_with_annotations", "skipped_annotations_number")
    number, *numbers = [read_field(found, name, int, ServerUnavailableError) for name in ("id", *counts)]
    return ProjectStats(f"{number} of {read_field(found, 'created_at', str, ServerUnavailableError)}", *numbers)


def list_tasks(server: Server, project: Project, *filters: Filter) -> Iterator[TaskSummary]:
    """The tasks that pass all filters, by ascending number.

    Pages continue after the last number, so tasks that are created or deleted meanwhile shift nothing.
    """
    last = 0
    while True:
        page = _read_page(server, project, (("id", "greater", "Number", last), *filters))
        yield from page
        if len(page) < _PAGE_TASKS:
            return
        if page[-1].number <= last:
            raise ServerUnavailableError(f"expected tasks after number {last}, got number {page[-1].number}")
        last = page[-1].number


def read_task(server: Server, number: int) -> dict[str, Any] | None:
    """A task with its predictions and annotations as the server's JSON; None if it was deleted."""
    response = server.session.get(f"/api/tasks/{number}/", params={"resolve_uri": "false"})
    if response.status_code == _NOT_FOUND:
        return None
    found = response.raise_for_status().json()
    if not isinstance(found, dict):
        raise AnnotationError(f"expected a task, got {brief(found)}")
    return found


def delete_task(server: Server, number: int) -> None:
    """Deletes a task, its predictions and annotations, if it still exists."""
    response = server.session.delete(f"/api/tasks/{number}/")
    if response.status_code != _NOT_FOUND:
        response.raise_for_status()


class Batch:
    """Sends tasks, or predictions of existing `task`s, once they are many or large; the server accepts all or none."""

    def __init__(self, server: Server, project: Project, kind: Literal["import", "import/predictions"]) -> None:
        self._server, self._path = server, f"/api/projects/{project.id}/{kind}"
        self._items: list[bytes] = []

    def add(self, item: Mapping[str, Any]) -> int:
        """Adds one; returns how many were sent."""
        self._items.append(json.dumps(item).encode())
        is_full = len(self._items) >= _BATCH_TASKS or sum(map(len, self._items)) >= _BATCH_BYTES
        return self.send() if is_full else 0

    def send(self) -> int:
        """Sends what was added since; returns how many were sent."""
        count = len(self._items)
        if count:
            # Not retried when the connection breaks: it may have arrived. The next run looks.
            content, headers = b"[" + b",".join(self._items) + b"]", {"Content-Type": "application/json"}
            self._server.session.post(self._path, content=content, headers=headers).raise_for_status()
            self._items.clear()
        return count


def _read_page(server: Server, project: Project, filters: tuple[Filter, ...]) -> list[TaskSummary]:
    items = [
        {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
        for column, operator, kind, value in filters
    ]
    query = json.dumps({"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]})
    options: dict[str, Any] = {"page_size": _PAGE_TASKS, "fields": "task_only", "resolve_uri": "false"}
    found = _get_json(server, "/api/tasks/", project=project.id, query=query, **options)
    return [_summary_of(task) for task in read_field(found, "tasks", list, ServerUnavailableError)]


def _summary_of(task: Any) -> TaskSummary:
    data = task.get("data") if isinstance(task, Mapping) else None
    data = data if isinstance(data, Mapping) else {}  # `push` did not make this task
    sha256, queue, image = (encodable(str(data.get(name, ""))) for name in ("sha256", "queue", IMAGE_FIELD))
    number, annotations = (read_field(task, name, int, ServerUnavailableError) for name in ("id", "total_annotations"))
    updated_at = read_field(task, "updated_at", str, ServerUnavailableError)
    return TaskSummary(number, sha256, queue, updated_at, annotations, image)


def _get_json(server: Server, path: str, **parameters: str | int) -> Any:
    return server.session.get(path, params=parameters).raise_for_status().json()
