"""`python -m labelstudio push DATASET`: photos that are worth a review become tasks, their labels become predictions.

What is on the server tells what is left to do: a task is known by its photo's sha256. So a push that was interrupted
goes on when it is run again, and one that is done adds nothing. Only that somebody deleted a task is not to be seen
there; so the dataset's log of reviews knows which photos were pushed.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from labelstudio.active_learning import QUEUES, Candidate, order_photos, read_candidates
from labelstudio.project.image_hosting import WAYS, Delivery, Original, plan_delivery
from labelstudio.project.labeling_config import (
    IMAGE_FIELD,
    OVERRULING_SAMPLING,
    Project,
    add_project_argument,
    find_project,
    show_predictions,
)
from labelstudio.project.tasks import (
    STARTED,
    Batch,
    TaskSummary,
    delete_task,
    list_tasks,
    read_facts,
    without_prediction_of,
)
from labelstudio.server.connection import Server, add_server_arguments, connect, server_errors
from labelstudio.server.local_server import LocalServer
from labelstudio.sync.progress import task_bar, tell
from labelstudio.sync.regions import prediction_of
from labelstudio.sync.review_log import ReviewLog
from labelstudio.sync.simplify import clean_labels
from surfaces.classes import CLASSES
from surfaces.cli.arguments import local_path
from surfaces.errors import DatasetError, DecodeError, FetchError
from surfaces.io.storage import find_bytes
from surfaces.store.label_store import LabelSettings, LabelStore, StoredPhoto


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `autolabel run` labels into")
    add_project_argument(parser)
    parser.add_argument(
        "--queue", choices=tuple(QUEUES), default="expected-gain", help="which photos come first (default: %(default)s)"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=100,
        metavar="N",
        help="so many tasks of this queue wait for review afterwards; fewer are added where some wait already"
        " (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random queue (default: %(default)s)")
    parser.add_argument(
        "--photos",
        choices=("auto", *WAYS),
        default="auto",
        help="how the server gets photos: from the web (url), from its own disk (local), by upload, or in the first"
        " of these ways that works (default: %(default)s)",
    )
    parser.add_argument("--again", action="store_true", help="also photos whose tasks somebody deleted")
    parser.add_argument("--url-base", metavar="URL", help="where the corpus lies on the web, such as in object storage")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = connect(args)
    project = find_project(server, args.project)
    if project.sampling == OVERRULING_SAMPLING:
        tell(
            f"project {project.title!r} shows tasks by the score of their prediction (uncertainty sampling), not in the"
            " order of --queue; `python -m labelstudio init` changes that"
        )
    here = LocalServer(args.home).running()
    here = here if here and here.url == server.url else None
    delivery = plan_delivery(server, project, args.photos, args.url_base, here)
    with LabelStore.open(args.dataset) as store, ReviewLog.of(args.dataset) as log, server_errors():
        pushing = Push(server, project, store, log, delivery)
        pushing.run(args.queue, args.limit, args.seed, args.again)
    print("\n".join(pushing.lines()))
    return DatasetError.exit_code if pushing.failed else 0


def model_version_of(settings: LabelSettings) -> str:
    """What predictions of these settings are called on the server."""
    return f"{settings.teacher} {settings.fingerprint[:12]}"


@dataclass(frozen=True)
class Known:
    """What is on the server already.

    Attributes:
        by_photo: one task of each photo, by its sha256.
        doubled: tasks that nobody began, of photos that have another task.
    """

    by_photo: dict[str, TaskSummary]
    doubled: list[TaskSummary]


class Push:
    """One push of a dataset to a project.

    Attributes:
        added: tasks that were made.
        predicted: tasks that got a prediction of the newest labels.
        failed: photos that could not be shown.
    """

    def __init__(self, server: Server, project: Project, store: LabelStore, log: ReviewLog, delivery: Delivery) -> None:
        """Prepares a push.

        Raises:
            DatasetError: the store has no labels.
        """
        settings = store.settings_in_use()
        if settings is None:
            raise DatasetError(f"expected labels in {store.path}, got none")
        self._server, self._project, self._store, self._log, self._delivery = server, project, store, log, delivery
        self._settings, self._model_version = settings, model_version_of(settings)
        self._photos: dict[str, StoredPhoto] = {}
        self.added = 0
        self.predicted = 0
        self.failed = 0
        self.waiting = 0

    def run(self, queue: str, limit: int, seed: int, again: bool) -> None:
        """Brings the project up to date, then adds tasks.

        Args:
            queue: the order in which photos come.
            limit: how many tasks of the queue shall wait for review.
            seed: of the order.
            again: also photos whose tasks were deleted.
        """
        key = read_facts(self._server, self._project).key
        self._photos = {photo.sha256: photo for photo in self._store.photos()}
        known = self._known_tasks()
        for double in known.doubled:
            delete_task(self._server, double.number)
        self._log.note_pushed(key, known.by_photo)
        self._show_again(known)
        older = self._predict_again(known)
        self.waiting = sum(task.queue == queue and not task.annotations for task in known.by_photo.values())
        if limit > self.waiting:
            deleted = set() if again else self._log.pushed(key) - set(known.by_photo)
            self._log.note_pushed(key, self._fill(set(known.by_photo), deleted, queue, limit - self.waiting, seed))
        if self.added or len(known.by_photo) > older:
            self._show_newest()

    def lines(self) -> list[str]:
        """What was done, for people."""
        lines = [f"added      {self.added} tasks; {self.waiting + self.added} of this queue wait for review"]
        if self.predicted:
            lines.append(f"predicted  {self.predicted} waiting tasks got the newest labels")
        if self.failed:
            lines.append(f"failed     {self.failed} photos")
        return lines

    def _known_tasks(self) -> Known:
        by_photo: dict[str, list[TaskSummary]] = defaultdict(list)
        for task in list_tasks(self._server, self._project):
            if task.sha256:
                by_photo[task.sha256].append(task)
        several = [tasks for tasks in by_photo.values() if len(tasks) > 1]
        # The server may finish what it was sent after whoever sent it was killed, and after the next push looked.
        started = {task.number for task in list_tasks(self._server, self._project, STARTED)} if several else set()
        doubled = []
        for tasks in several:
            tasks.sort(key=lambda task: (not task.annotations, task.number not in started, task.number))
            doubled += [task for task in tasks[1:] if not task.annotations and task.number not in started]
        return Known({sha256: tasks[0] for sha256, tasks in by_photo.items()}, doubled)

    def _show_again(self, known: Known) -> None:
        for sha256, task in known.by_photo.items():
            photo = self._photos.get(sha256)
            if photo:
                with suppress(DatasetError):  # the photo is gone
                    self._delivery.show_again(task.image, partial(_read_original, self._store, photo))

    def _show_newest(self) -> None:
        """Has tasks open with the newest predictions, unless somebody chose others than ours."""
        shown = self._project.model_version
        ours = {model_version_of(settings) for settings in self._store.settings()}
        if shown != self._model_version and shown in ours | {""}:
            show_predictions(self._server, self._project, self._model_version)

    def _predict_again(self, known: Known) -> int:
        """Gives tasks that nobody reviewed a prediction where they have none, or one of older labels only.

        Returns:
            How many tasks have no prediction of the newest labels afterwards.
        """
        older = 0
        batch = Batch.of_predictions(self._server, self._project)
        kept = {task.number for task in known.by_photo.values()}
        for task in list_tasks(self._server, self._project, without_prediction_of(self._model_version)):
            photo = self._photos.get(task.sha256)
            if task.number not in kept:
                continue
            if task.annotations or not photo or not self._is_wanted(photo):
                older += 1
            else:
                self.predicted += batch.add({"task": task.number, **self._prediction(photo)})
        self.predicted += batch.send()
        return older

    def _fill(self, known: Set[str], deleted: Set[str], queue: str, missing: int, seed: int) -> list[str]:
        """Makes tasks of the photos that are most worth it and can be shown; returns their sha256."""
        wanted = {sha256 for sha256, photo in self._photos.items() if self._is_wanted(photo)}
        older = sum(photo.origin != "reviewed" for photo in self._photos.values()) - len(wanted)
        if older:
            tell(f"left out: {older} photos with labels of settings that are no longer in use")
        if wanted & deleted:
            tell(f"left out: {len(wanted & deleted)} photos whose tasks were deleted; --again brings them back")
        left = wanted - known - deleted
        batch = Batch.of_tasks(self._server, self._project)
        made: list[str] = []
        with task_bar(min(missing, len(left))) as bar:
            tasks = (self._task(candidate, queue) for candidate in self._in_order(wanted, left, queue, missing, seed))
            for task in islice(filter(None, tasks), missing):
                made.append(task["data"]["sha256"])
                self._sent(batch.add(task), bar)
            self._sent(batch.send(), bar)
        return made

    def _sent(self, count: int, bar: Any) -> None:
        self.added += count
        bar.update(count)

    def _in_order(self, wanted: Set[str], left: Set[str], queue: str, missing: int, seed: int) -> Iterator[Candidate]:
        """What is left of the wanted photos, best first; all, since some may turn out to be gone.

        The others are ordered too: a queue that keeps near-duplicates apart must see them.
        """
        if not left:
            return
        candidates = [candidate for candidate in read_candidates(self._store) if candidate.sha256 in wanted]
        count = missing + len(wanted - left)
        seen: set[str] = set()
        while True:
            for candidate in order_photos(queue, candidates, count, seed):
                if candidate.sha256 in left and candidate.sha256 not in seen:
                    seen.add(candidate.sha256)
                    yield candidate
            if count >= len(candidates):
                return
            count *= 2

    def _is_wanted(self, photo: StoredPhoto) -> bool:
        return photo.origin != "reviewed" and photo.settings == self._settings.fingerprint

    def _task(self, candidate: Candidate, queue: str) -> dict[str, Any] | None:
        """A task with its prediction, its photo delivered; None where the photo is gone or broken."""
        photo = self._photos[candidate.sha256]
        try:
            original = _read_original(self._store, photo)
            address = self._delivery.address(original)
        except (DatasetError, DecodeError) as error:
            self.failed += 1
            tell(f"{photo.source}: {error}")
            return None
        data = {IMAGE_FIELD: address, **self._columns(photo, candidate), "queue": queue}
        return {"data": data, "predictions": [self._prediction(photo)]}

    def _columns(self, photo: StoredPhoto, candidate: Candidate) -> dict[str, Any]:
        """What tasks can be sorted and filtered by."""
        segments = self._store.segments(photo.sha256)
        areas = {
            surface.name.replace(" ", "_"): sum(segment.area for segment in segments if segment.surface is surface)
            for surface in CLASSES
        }
        pixels = photo.width * photo.height
        return {
            "sha256": photo.sha256,
            "name": photo.name,
            "source": photo.source,
            "score": round(candidate.score, 4),
            "disagreement": None if candidate.disagreement is None else round(candidate.disagreement, 4),
            **{name: round(area / pixels, 4) for name, area in areas.items()},
            "tables": candidate.tables,
        }

    def _prediction(self, photo: StoredPhoto) -> dict[str, Any]:
        cleaned = clean_labels(self._store.labels(photo.sha256))
        if cleaned.note:
            tell(f"{photo.source}: too many small parts, {cleaned.changed_pixels} pixels changed ({cleaned.note})")
        return prediction_of(cleaned.labels, self._model_version)


def _read_original(store: LabelStore, photo: StoredPhoto) -> Original:
    try:
        place, data = find_bytes(store.sources(photo.sha256), photo.sha256)
    except FetchError as error:
        told = f"expected the labelled photo, it is gone or has changed; run `autolabel run` again ({error})"
        raise DatasetError(told) from error
    return Original(photo, place, data)
