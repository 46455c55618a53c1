"""`python -m labelstudio status DATASET`: what waits, what is done, and how good the predictions were.

What waits is counted on the server; what people did to predictions is known of the reviews that were pulled.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from statistics import median
from typing import Any

from labelstudio.project.labeling_config import Project, add_project_argument, find_project
from labelstudio.project.tasks import ProjectFacts, read_facts
from labelstudio.server.connection import add_server_arguments, connect, server_errors
from labelstudio.sync.agreement import mean_ious
from labelstudio.sync.review_log import LoggedAnnotation, LoggedTask, Outcome, ReviewLog
from surfaces.cli.arguments import local_path
from surfaces.messages import printable
from surfaces.store.label_store import LabelStore

_JUDGED = (Outcome.ACCEPTED, Outcome.CORRECTED)


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
        status = read_status(project, read_facts(server, project), log)
    print(json.dumps(status, indent=2) if args.json else "\n".join(_lines(status)))
    return 0


def read_status(project: Project, facts: ProjectFacts, log: ReviewLog) -> dict[str, Any]:
    """What there is to tell, as JSON can hold it.

    Returns:
        `project`, `url`; of the server `tasks`, `waiting`, `done`, `skipped`; of what was pulled `outcomes` (tasks by
        outcome), `iou` (mean over reviews of prediction against review, by class; what was accepted counts as it is),
        `seconds` (median of a review; None where nobody knows), `annotators` (reviews by person) and `agreement`
        (`tasks` that several people reviewed, and their mean `iou` by class).
    """
    tasks, annotations = log.tasks(facts.key), log.annotations(facts.key)
    return {
        "project": project.title,
        "url": project.url,
        "tasks": facts.tasks,
        "waiting": facts.tasks - facts.reviewed,
        "done": facts.reviewed,
        "skipped": facts.skipped,
        "outcomes": dict(sorted(Counter(str(task.outcome) for task in tasks).items())),
        "iou": mean_ious([known.iou for known in annotations if known.outcome in _JUDGED]),
        "seconds": _median_seconds(annotations),
        "annotators": dict(sorted(Counter(printable(known.annotator) for known in annotations).items())),
        "agreement": _agreement(tasks),
    }


def _median_seconds(annotations: list[LoggedAnnotation]) -> float | None:
    seconds = [known.seconds for known in annotations if known.seconds is not None and known.outcome != Outcome.SKIPPED]
    return median(seconds) if seconds else None


def _agreement(tasks: list[LoggedTask]) -> dict[str, Any]:
    known = [task.agreement for task in tasks if task.agreement]
    return {"tasks": len(known), "iou": mean_ious(known)}


def _lines(status: dict[str, Any]) -> list[str]:
    outcomes = status["outcomes"]
    lines = [
        f"project    {status['project']}  {status['url']}",
        f"queue      {status['waiting']} of {status['tasks']} tasks wait for review",
        f"done       {status['done']} tasks, {sum(outcomes.values())} pulled; {status['skipped']} times skipped",
    ]
    if outcomes:
        judged = sum(outcomes.get(outcome, 0) for outcome in _JUDGED)
        lines.append(f"outcomes   {', '.join(f'{count} {outcome}' for outcome, count in outcomes.items())}")
        if judged:
            lines.append(f"unchanged  {outcomes.get(Outcome.ACCEPTED, 0) / judged:.0%} of {judged} judged photos")
    if status["iou"]:
        lines.append(f"iou        {_ious(status['iou'])}, mean of prediction against review")
    if status["seconds"] is not None:
        lines.append(f"time       {status['seconds']:.0f} s a task, median")
    if len(status["annotators"]) > 1:
        lines.append(f"people     {', '.join(f'{name} {count}' for name, count in status['annotators'].items())}")
    if status["agreement"]["tasks"]:
        several = status["agreement"]
        lines.append(f"agreement  {_ious(several['iou'])}, mean of {several['tasks']} tasks of several people")
    return lines


def _ious(ious: dict[str, float]) -> str:
    return ", ".join(f"{name} {iou:.3f}" for name, iou in ious.items())
