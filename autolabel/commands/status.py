"""`python -m autolabel status DATASET`: counts of labels, and the skipped photos with reasons."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from autolabel.report.statistics import describe_settings
from surfaces.cli.arguments import local_path
from surfaces.licences import Licence
from surfaces.store.label_store import LabelStore

_EXAMPLES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    add("dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into")
    add("--failures", action="store_true", help="list all skipped photos rather than some examples")
    add("--json", action="store_true", help="write JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    with LabelStore.open(args.dataset) as store:
        status = _read_status(store)
    if args.json:
        print(json.dumps(status, indent=2))
    else:
        print("\n".join(_lines(status, None if args.failures else _EXAMPLES)))
    return 0


def _read_status(store: LabelStore) -> dict[str, Any]:
    """For JSON: the fields of `StoreCounts`, but `settings` and `failures` are lists of objects, as `licences`."""
    counts = store.counts()
    failures = [asdict(failure) for failure in store.failures()]
    licences = [asdict(licence) for licence in store.licences()]
    described = describe_settings(store, counts)
    return asdict(counts) | {"settings": described, "licences": licences, "failures": failures}


def _lines(status: dict[str, Any], examples: int | None) -> list[str]:
    failures = status["failures"]
    lines = [
        f"photos      {status['photos']} labelled, {status['reviewed']} of them reviewed",
        f"segments    {', '.join(f'{count} {name}' for name, count in status['segments'].items())}",
        f"duplicates  {status['duplicates']}",
    ]
    if status["gone"]:
        lines.append(f"gone        {status['gone']} labelled photos are no longer in the corpus")
    for known in status["settings"]:
        state = "" if known["in_use"] else ", superseded"
        lines.append(f"settings    {known['fingerprint'][:12]}  {known['teacher']}: {known['photos']} photos{state}")
    lines += [f"licence     {Licence(**licence)}" for licence in status["licences"]]
    lines.append(f"skipped     {len(failures)}")
    for kind in sorted({failure["kind"] for failure in failures}):
        of_kind = [failure for failure in failures if failure["kind"] == kind]
        lines.append(f"  {kind}: {len(of_kind)}")
        lines += [f"    {failure['source']}: {failure['reason']}" for failure in of_kind[:examples]]
        if examples is not None and len(of_kind) > examples:
            lines.append(f"    and {len(of_kind) - examples} more; --failures lists them")
    return lines
