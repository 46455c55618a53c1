"""`python -m labelstudio push DATASET`: makes tasks of photos, the most useful first, and predictions of their labels.

The server's tasks, identified by their photos' sha256, determine what is left to do. Deleted tasks are known from the
dataset's log of reviews, which lists the pushed photos.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from labelstudio.active_learning import QUEUES, Candidate, order_photos, read_candidates
from labelstudio.project import labeling_config
from labelstudio.project.image_hosting import METHODS, ImageHosting, Original, open_hosting
from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.project.tasks import STARTED, Batch, TaskSummary, delete_task, list_tasks, read_stats
from labelstudio.server.connection import Server, add_server_arguments, connect, server_errors
from labelstudio.server.local_server import LocalServer
from labelstudio.sync.regions import labels_to_prediction
from labelstudio.sync.review_log import ReviewLog
from surfaces.classes import CLASSES
from surfaces.cli.arguments import local_path
from surfaces.cli.progress import progress_bar, write_line
from surfaces.errors import DatasetError, DecodeError, FetchError
from surfaces.io.storage import find_bytes
from surfaces.store.label_store import LabelSettings, LabelStore, StoredPhoto


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `autolabel run` labels into")
    add_project_argument(parser)
    parser.add_argument(
        "--queue", choices=tuple(QUEUES), default="expected-gain", help="order of photos (default: %(default)s)"
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=100,
        metavar="N",
        help="add tasks until this many of the queue wait for review (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random queue (default: %(default)s)")
    parser.add_argument(
        "--photos",
        choices=("auto", *METHODS),
        default="auto",
        help="how the server gets photos: from the web (url), from its own disk (local), by upload, or or by the"
        " first method that works (default: %(default)s)",
    )
    parser.add_argument("--again", action="store_true", help="also photos whose tasks were deleted")
    parser.add_argument("--url-base", metavar="URL", help="address of the corpus on the web, such as in object storage")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = connect(args)
    project = find_project(server, args.project)
    if project.sampling == labeling_config.UNCERTAINTY_SAMPLING:
        write_line(
            f"project {project.title!r} shows tasks by the score of their prediction (uncertainty sampling), not in the"
            " order of --queue; `python -m labelstudio init` changes that"
        )
    running = LocalServer(args.home).running()
    local = running if running and running.url == server.url else None
    hosting = open_hosting(server, project, args.photos, args.url_base, local)
    with LabelStore.open(args.dataset) as store, ReviewLog.of(args.dataset) as log, server_errors():
        push = _Push(server, project, store, log, hosting)
        push.run(args.queue, args.limit, args.seed, args.again)
    print("\n".join(push.summary()))
    return DatasetError.exit_code if push.failed else 0


def model_version_of(settings: LabelSettings) -> str:
    """The model version, on the server, of predictions of these settings."""
    return f"{settings.teacher} {settings.fingerprint[:12]}"


class _Push:
    def __init__(
        self, server: Server, project: Project, store: LabelStore, log: ReviewLog, hosting: ImageHosting
    ) -> None:
        settings = store.settings_in_use()
        if settings is None:
            raise DatasetError(f"expected labels in {store.path}, got none")
        self._server, self._project, self._store, self._log, self._hosting = server, project, store, log, hosting
        self._settings, self._model_version = settings, model_version_of(settings)
        self._photos = {photo.sha256: photo for photo in store.photos()}
        self._added = self._predicted = self._waiting = self.failed = 0

    def run(self, queue: str, limit: int, seed: int, again: bool) -> None:
        """Updates the project's tasks, then adds new ones until `limit` tasks of the queue wait for review."""
        key = read_stats(self._server, self._project).key
        known, duplicates = self._read_tasks()
        for duplicate in duplicates:
            delete_task(self._server, duplicate.number)
        self._log.note_pushed(key, known)
        self._restore_links(known)
        outdated = self._update_predictions(known)
        self._waiting = sum(task.queue == queue and not task.annotations for task in known.values())
        if limit > self._waiting:
            deleted = set() if again else self._log.pushed(key) - set(known)
            self._log.note_pushed(key, self._add_tasks(set(known), deleted, queue, limit - self._waiting, seed))
        if self._added or len(known) > outdated:
            self._show_newest_predictions()

    def summary(self) -> Iterator[str]:
        yield f"added      {self._added} tasks; {self._waiting + self._added} of this queue wait for review"
        if self._predicted:
            yield f"predicted  {self._predicted} waiting tasks got the newest labels"
        if self.failed:
            yield f"failed     {self.failed} photos"

    def _read_tasks(self) -> tuple[dict[str, TaskSummary], list[TaskSummary]]:
        """One task of each photo, by sha256, and duplicates that nobody started."""
        by_photo: dict[str, list[TaskSummary]] = defaultdict(list)
        for task in list_tasks(self._server, self._project):
            if task.sha256:
                by_photo[task.sha256].append(task)
        several = [tasks for tasks in by_photo.values() if len(tasks) > 1]
        # A server can finish an import after the push that sent it was killed, and after the next one looked.
        started = {task.number for task in list_tasks(self._server, self._project, STARTED)} if several else set()
        duplicates = []
        for tasks in several:
            tasks.sort(key=lambda task: (not task.annotations, task.number not in started, task.number))
            duplicates += [task for task in tasks[1:] if not task.annotations and task.number not in started]
        return {sha256: tasks[0] for sha256, tasks in by_photo.items()}, duplicates

    def _restore_links(self, known: Mapping[str, TaskSummary]) -> None:
        for sha256 in known.keys() & self._photos.keys():
            with suppress(DatasetError):  # the photo no longer exists
                read = partial(_read_photo_file, self._store, self._photos[sha256])
                self._hosting.restore_link(known[sha256].image, read)

    def _show_newest_predictions(self) -> None:
        """Makes tasks open with the newest predictions, unless somebody chose those of another program."""
        shown = self._project.model_version
        ours = {model_version_of(settings) for settings in self._store.settings()}
        if shown != self._model_version and shown in ours | {""}:
            self._server.client.projects.update(self._project.id, model_version=self._model_version)

    def _update_predictions(self, known: Mapping[str, TaskSummary]) -> int:
        """Adds predictions of the newest labels to unreviewed tasks; returns how many tasks still have none."""
        outdated = 0
        batch = Batch(self._server, self._project, "import/predictions")
        kept = {task.number for task in known.values()}
        without = ("predictions_model_versions", "not_contains", "List", [self._model_version])
        for task in list_tasks(self._server, self._project, without):
            photo = self._photos.get(task.sha256)
            if task.number not in kept:
                continue
            if task.annotations or not photo or not self._is_wanted(photo):
                outdated += 1
            else:
                self._predicted += batch.add({"task": task.number, **self._prediction(photo)})
        self._predicted += batch.send()
        return outdated

    def _add_tasks(self, known: Set[str], deleted: Set[str], queue: str, missing: int, seed: int) -> list[str]:
        wanted = {sha256 for sha256, photo in self._photos.items() if self._is_wanted(photo)}
        older = sum(photo.origin != "reviewed" for photo in self._photos.values()) - len(wanted)
        if older:
            write_line(f"skipped: {older} photos with labels of settings that are no longer in use")
        if wanted & deleted:
            write_line(f"skipped: {len(wanted & deleted)} photos whose tasks were deleted; --again adds them again")
        left = wanted - known - deleted
        batch = Batch(self._server, self._project, "import")
        added: list[str] = []
        with progress_bar(min(missing, len(left)), "task", quiet=not left) as bar:
            tasks = (self._make_task(candidate, queue) for candidate in self._order(wanted, left, queue, missing, seed))
            for task in islice(filter(None, tasks), missing):
                added.append(task["data"]["sha256"])
                self._count_sent(batch.add(task), bar)
            self._count_sent(batch.send(), bar)
        return added

    def _count_sent(self, count: int, bar: Any) -> None:
        self._added += count
        bar.update(count)

    def _order(self, wanted: Set[str], left: Set[str], queue: str, missing: int, seed: int) -> Iterator[Candidate]:
        """All that is left of the wanted photos, best first, since some may turn out to be unreadable.

        All wanted ones are ordered: a queue that separates near-duplicates must see those that have tasks.
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

    def _make_task(self, candidate: Candidate, queue: str) -> dict[str, Any] | None:
        photo = self._photos[candidate.sha256]
        try:
            url = self._hosting.host(_read_photo_file(self._store, photo))
        except (DatasetError, DecodeError) as error:
            self.failed += 1
            write_line(f"{photo.source}: {error}")
            return None
        data = {labeling_config.IMAGE_FIELD: url, **self._task_columns(photo, candidate), "queue": queue}
        return {"data": data, "predictions": [self._prediction(photo)]}

    def _task_columns(self, photo: StoredPhoto, candidate: Candidate) -> dict[str, Any]:
        areas = dict.fromkeys(CLASSES, 0)
        for segment in self._store.segments(photo.sha256):
            areas[segment.surface] += segment.area
        pixels = photo.width * photo.height
        return {
            "sha256": photo.sha256,
            "name": photo.name,
            "source": photo.source,
            "score": round(candidate.score, 4),
            "disagreement": None if candidate.disagreement is None else round(candidate.disagreement, 4),
            **{surface.name.replace(" ", "_"): round(area / pixels, 4) for surface, area in areas.items()},
            "tables": candidate.tables,
        }

    def _prediction(self, photo: StoredPhoto) -> dict[str, Any]:
        return labels_to_prediction(self._store.labels(photo.sha256), self._model_version)


def _read_photo_file(store: LabelStore, photo: StoredPhoto) -> Original:
    try:
        place, data = find_bytes(store.sources(photo.sha256), photo.sha256)
    except FetchError as error:
        message = f"expected the labelled photo, it is gone or has changed; run `autolabel run` again ({error})"
        raise DatasetError(message) from error
    return Original(photo, place, data)
