"""`python -m labelstudio pull DATASET`: turns annotations into reviewed labels of the dataset.

Only tasks that changed since the last pull are read. Of two reviews of a photo the newer one stays, in whatever order
they are pulled, and labels that a person made elsewhere are never overwritten. Replaced automatic labels stay in the
store: `python -m labelstudio undo` restores them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.project.tasks import REVIEWED, SKIPPED, TaskSummary, list_tasks, read_field, read_stats, read_task
from labelstudio.server.connection import Server, add_server_arguments, connect, server_errors
from labelstudio.sync.agreement import format_ious, mean_ious, same_labels
from labelstudio.sync.review_log import IN_LABELS, LoggedAnnotation, LoggedTask, Outcome, ReviewLog
from labelstudio.sync.reviews import RULES, Decision, decide, describe_change, read_reviews
from surfaces.cli.arguments import local_path
from surfaces.cli.progress import progress_bar, write_line
from surfaces.messages import printable
from surfaces.store.label_store import LabelStore, StoredPhoto
from surfaces.store.records import ScoredLabels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `autolabel run` labels into")
    add_project_argument(parser)
    add_rule_argument(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would change, in pixels by class and tables; write nothing"
    )
    parser.add_argument("--redo", action="store_true", help="also pull reviews that `undo` reverted")
    add_server_arguments(parser)


def add_rule_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--annotators`."""
    parser.add_argument(
        "--annotators",
        choices=RULES,
        default=RULES[0],
        help="if several people reviewed a photo: the majority for each pixel, of three or more people, or the newest"
        " review (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = connect(args)
    project = find_project(server, args.project)
    with (
        LabelStore.open(args.dataset) as store,
        ReviewLog.of(args.dataset, create=not args.dry_run) as log,
        server_errors(),
    ):
        pull = (_DryPull if args.dry_run else _Pull)(server, project, store, log, args.annotators, args.redo)
        pull.run()
    print("\n".join(pull.summary()))
    return AnnotationError.exit_code if pull.failed else 0


class _Pull:
    VERB = "pulled    "

    def __init__(
        self, server: Server, project: Project, store: LabelStore, log: ReviewLog, rule: str, redo: bool
    ) -> None:
        self._server, self._project, self._store, self._log = server, project, store, log
        self._rule, self._redo = rule, redo
        self._photos = {photo.sha256: photo for photo in store.photos()}
        self._agreements: list[dict[str, float]] = []
        self._outcomes: Counter[Outcome] = Counter()
        self._conflicts = self.failed = 0

    def run(self) -> None:
        """Pulls all tasks that changed, one at a time: an interruption loses no finished one."""
        key = read_stats(self._server, self._project).key
        known = {logged.task: logged for logged in self._log.tasks(key)}
        changed = [task for task in self._list_annotated() if not self._is_known(task, known.get(task.number))]
        with progress_bar(len(changed), "task", quiet=not changed) as bar:
            for task in changed:
                try:
                    self._pull(key, task)
                except AnnotationError as error:
                    self.failed += 1
                    self._report(task.number, f"{error}; the next pull tries again")
                bar.update()

    def summary(self) -> Iterator[str]:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._outcomes.items()))
        yield f"{self.VERB} {self._outcomes.total()} tasks" + (f": {counts}" if counts else "")
        if self._agreements:
            ious = format_ious(mean_ious(self._agreements))
            yield f"agreement  {len(self._agreements)} tasks of several people, mean IoU {ious}"
        if self._conflicts:
            yield f"conflicts  {self._conflicts}"
        if self.failed:
            yield f"failed     {self.failed}"

    def _list_annotated(self) -> list[TaskSummary]:
        found = (list_tasks(self._server, self._project, kind) for kind in (REVIEWED, SKIPPED))
        tasks = {task.number: task for task in chain.from_iterable(found)}
        return [tasks[number] for number in sorted(tasks)]

    def _is_known(self, task: TaskSummary, logged: LoggedTask | None) -> bool:
        if logged is None or logged.updated_at != task.updated_at:
            return False
        photo = self._photos.get(logged.sha256)
        if photo is None or (logged.outcome == Outcome.UNDONE and self._redo):
            return False
        # A dataset that was restored from a backup gets its reviews again.
        return photo.origin == "reviewed" or logged.outcome not in IN_LABELS

    def _pull(self, key: str, summary: TaskSummary) -> None:
        photo = self._photos.get(summary.sha256)
        if photo is None:
            words = f"its photo {summary.sha256[:12] or '(not named)'} is not in the dataset"
            self._report_conflict(summary.number, words)
            return
        task = read_task(self._server, summary.number)
        if task is None:
            return
        reviews = read_reviews(task, photo.height, photo.width)
        decision = decide(reviews, self._rule)
        if decision is None:
            return
        for person, count in Counter(review.logged.annotator for review in reviews).items():
            if count > 1:
                self._report(summary.number, f"{count} annotations by {person}; of each person the newest counts")
        decided = (decision.decided_at, decision.outcome, decision.agreement)
        logged = LoggedTask(key, summary.number, photo.sha256, read_field(task, "updated_at", str), *decided)
        outcome = self._apply(logged, decision, photo)
        self._outcomes[outcome] += 1
        self._record(replace(logged, outcome=outcome), [review.logged for review in reviews])
        if decision.agreement:
            self._agreements.append(dict(decision.agreement))

    def _apply(self, logged: LoggedTask, decision: Decision, photo: StoredPhoto) -> Outcome:
        if decision.labels is not None and not self._is_in_labels(decision, photo):
            conflict = self._find_conflict(logged, photo)
            if conflict:
                self._report_conflict(logged.task, conflict)
                return Outcome.SUPERSEDED
            self._replace(logged, photo, decision.labels, decision.reviewer)
        return decision.outcome

    def _replace(self, logged: LoggedTask, photo: StoredPhoto, labels: ScoredLabels, reviewer: str) -> None:
        self._record(replace(logged, updated_at="", outcome=Outcome.PENDING), [])
        self._store.add_review(photo.sha256, labels, reviewer)
        self._photos[photo.sha256] = replace(photo, origin="reviewed", reviewer=reviewer)

    def _record(self, logged: LoggedTask, annotations: Sequence[LoggedAnnotation]) -> None:
        self._log.record(logged, annotations)

    def _is_in_labels(self, decision: Decision, photo: StoredPhoto) -> bool:
        if photo.origin != "reviewed" or decision.labels is None or photo.reviewer != decision.reviewer:
            return False
        return same_labels(self._store.labels(photo.sha256), decision.labels)

    def _find_conflict(self, logged: LoggedTask, photo: StoredPhoto) -> str:
        """Why a photo's labels must stay; empty if they are to be replaced."""
        if photo.origin != "reviewed":
            return ""
        known = self._log.in_labels(photo.sha256)
        if known is None:
            return f"{photo.source} was reviewed elsewhere, by {photo.reviewer or 'somebody'}; those labels stay"
        if known.decided_at > logged.decided_at:
            return f"{photo.source} has a newer review, of {known.decided_at}, by {photo.reviewer}; that stays"
        if known.project != logged.project:
            words = f"{photo.source} was reviewed in another project, at {known.decided_at}; replaced"
            self._report(logged.task, words)
        return ""

    def _report_conflict(self, number: int, message: str) -> None:
        self._conflicts += 1
        self._report(number, message)

    def _report(self, number: int, message: str) -> None:
        write_line(f"{self._project.url}?task={number}: {message}")


class _DryPull(_Pull):
    """Prints what a pull would change, and writes nothing."""

    VERB = "would pull"

    def _replace(self, logged: LoggedTask, photo: StoredPhoto, labels: ScoredLabels, reviewer: str) -> None:
        change = describe_change(self._store.labels(photo.sha256), labels)
        print(printable(f"{photo.source}: {logged.outcome} by {reviewer}; {change}"))

    def _record(self, logged: LoggedTask, annotations: Sequence[LoggedAnnotation]) -> None:
        pass
