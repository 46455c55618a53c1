"""`python -m labelstudio status DATASET`: tasks that wait and are done, and the quality of predictions."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any

from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.project.tasks import ProjectStats, read_stats
from labelstudio.server.connection import add_server_arguments, connect, server_errors
from labelstudio.sync.agreement import format_ious, mean_ious
from labelstudio.sync.review_log import Outcome, ReviewLog
from labelstudio.sync.reviews import JUDGED
from surfaces.cli.arguments import local_path
from surfaces.messages import printable
from surfaces.store.label_store import LabelStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `autolabel run` labels into")
    add_project_argument(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    server = connect(args)
    project = find_project(server, args.project)
    with LabelStore.open(args.dataset), ReviewLog.of(args.dataset, create=False) as log, server_errors():
        status = _read_status(project, read_stats(server, project), log)
    print(json.dumps(status, indent=2) if args.json else "\n".join(_lines(status)))
    return 0


def _read_status(project: Project, stats: ProjectStats, log: ReviewLog) -> dict[str, Any]:
    tasks, annotations = log.tasks(stats.key), log.annotations(stats.key)
    seconds = [each.seconds for each in annotations if each.seconds is not None and each.outcome != Outcome.SKIPPED]
    agreements = [task.agreement for task in tasks if task.agreement]
    return {
        "project": project.title,
        "url": project.url,
        "tasks": stats.tasks,
        "waiting": stats.tasks - stats.reviewed,
        "done": stats.reviewed,
        "skipped": stats.skipped,
        "outcomes": dict(sorted(Counter(str(task.outcome) for task in tasks).items())),
        "iou": mean_ious([each.iou for each in annotations if each.outcome in JUDGED]),
        "seconds": median(seconds) if seconds else None,
        "annotators": dict(sorted(Counter(printable(each.annotator) for each in annotations).items())),
        "agreement": {"tasks": len(agreements), "iou": mean_ious(agreements)},
    }


def _lines(status: dict[str, Any]) -> Iterator[str]:
    outcomes, agreement = status["outcomes"], status["agreement"]
    judged = sum(outcomes.get(outcome, 0) for outcome in JUDGED)
    yield f"project    {status['project']}  {status['url']}"
    yield f"queue      {status['waiting']} of {status['tasks']} tasks wait for review"
    yield f"done       {status['done']} tasks, {sum(outcomes.values())} pulled; {status['skipped']} times skipped"
    if outcomes:
        yield f"outcomes   {', '.join(f'{count} {outcome}' for outcome, count in outcomes.items())}"
    if judged:
        yield f"unchanged  {outcomes.get(Outcome.ACCEPTED, 0) / judged:.0%} of {judged} judged photos"
    if status["iou"]:
        yield f"iou        {format_ious(status['iou'])}, mean of prediction against review"
    if status["seconds"] is not None:
        yield f"time       {status['seconds']:.0f} s a task, median"
    if len(status["annotators"]) > 1:
        yield f"people     {', '.join(f'{name} {count}' for name, count in status['annotators'].items())}"
    if agreement["tasks"]:
        yield f"agreement  {format_ious(agreement['iou'])}, mean of {agreement['tasks']} tasks of several people"
