"""`python -m distill scores`: teachers, student and baselines on the same photos: accuracy, speed, size.

What is compared stands in a TOML file; distill/scores.toml is the one of docs/scores.md. What was scored stays
in the run's folder, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from distill.commands.benchmark import machine
from distill.datasets import open_datasets, positive, spread
from distill.evaluation.report import Report
from distill.progress import progress
from distill.score_sheet_cells import dataset_fingerprint, scored
from distill.score_sheet_config import ContenderEntry, DataEntry, SheetConfig, read_sheet, require, resolved
from distill.score_sheet_contender import OpenContender
from distill.score_sheet_contenders import missing_weights, open_contender
from distill.score_sheet_labels import compared, labels_missing
from distill.score_sheet_statistics import difference_of, means_over_seeds, scores_of
from distill.score_sheet_timing import timed
from distill.training.config import ConfigError
from surfaces.cli.arguments import local_path
from surfaces.datasets import Sample
from surfaces.io.atomic_files import make_folder, refuse_overwrite, replace_file

Reports = dict[str, dict[str, Report]]
"""By dataset, then by contender."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--config", type=local_path, required=True, help="TOML file of what is compared")
    parser.add_argument(
        "--run", type=local_path, default=Path("runs/scores"), help="folder it goes on in (default: %(default)s)"
    )
    parser.add_argument("--out", type=local_path, help="the sheet as JSON (default: scores.json in the run's folder)")
    parser.add_argument(
        "--threads", type=positive, default=2, help="CPU threads of every network (default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, help="only so many photos of each dataset, spread evenly")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="score these contenders, in this order, and stop")
    parser.add_argument("--again", action="store_true", help="time once more; scores are kept")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    config = read_sheet(args.config)
    for name in args.only or ():
        require("--only", name, [entry.name for entry in config.contenders])
    torch.set_num_threads(args.threads)
    make_folder(args.run)
    datasets = {entry.name: _samples(entry, args.limit) for entry in config.data}
    absent = {entry.name: reason for entry in config.contenders if (reason := _absent(entry))}
    if config.reference in absent:
        raise ConfigError(f"expected the weights of the reference {config.reference}, got {absent[config.reference]}")
    for name, reason in absent.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    entries = [entry for entry in config.contenders if entry.name not in absent]
    out = args.out or args.run / "scores.json"
    used = [*(entry.path for entry in config.data), *(file for entry in entries for file in entry.weights)]
    refuse_overwrite([out], [args.config, *map(resolved, used)])
    if args.only:
        wanted = [entry for name in args.only for entry in entries if entry.name == name]
        _score(wanted, datasets, args.run, args.threads)
        return 0
    reports, facts = _score(entries, datasets, args.run, args.threads)
    sheet = {
        "reference": config.reference,
        "threads": args.threads,
        "data": [asdict(entry) | {"photos": len(datasets[entry.name])} for entry in config.data],
        "contenders": _contenders(config, reports, facts, absent),
        "groups": _groups(config, reports),
        "differences": _differences(config, reports),
        "timing": timed(args.run / "timing.json", config, entries, args.threads, args.again),
        "labels": [_labels(config, index, args) for index in range(len(config.labels))],
        "machine": machine(),
    }
    replace_file(out, (json.dumps(sheet, indent=1) + "\n").encode())
    print(_summary(reports))
    print(f"the sheet is {out}", file=sys.stderr)
    return 0


def _samples(entry: DataEntry, limit: int | None) -> list[Sample]:
    return spread(open_datasets([resolved(entry.path)], entry.split), limit)


def _absent(entry: ContenderEntry) -> str:
    """Why a contender cannot take part here; empty where it can."""
    try:
        missing = missing_weights(entry)
    except ConfigError as error:
        return str(error)
    return f"no {', '.join(missing)} here" if missing else ""


def _score(
    entries: Sequence[ContenderEntry], datasets: dict[str, list[Sample]], folder: Path, threads: int
) -> tuple[Reports, dict[str, dict[str, Any]]]:
    """Reports of all that can be scored, and what is known of each contender's size."""
    reports: Reports = {name: {} for name in datasets}
    facts = {}
    fingerprints = {name: dataset_fingerprint(samples) for name, samples in datasets.items()}
    for entry in progress(entries, unit="contender"):
        contender = open_contender(entry, threads)
        facts[entry.name] = _facts(contender)
        for name, samples in datasets.items() if contender.scored else ():
            path = folder / "scored" / f"{entry.name}.{name}.json"
            reports[name][entry.name] = scored(path, contender, samples, fingerprints[name])
    return reports, facts


def _facts(contender: OpenContender) -> dict[str, Any]:
    return {
        "fingerprint": contender.fingerprint,
        "parameters": contender.parameters,
        "bytes": contender.file_bytes,
        "note": contender.note,
    }


def _contenders(
    config: SheetConfig, reports: Reports, facts: dict[str, dict[str, Any]], absent: dict[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for entry in progress(config.contenders, unit="row"):
        there = {data: of_data for data, of_data in reports.items() if entry.name in of_data}
        rows.append(
            asdict(entry)
            | facts.get(entry.name, {"note": absent.get(entry.name, "")})
            | {
                "scores": {data: scores_of(of_data[entry.name]) for data, of_data in there.items()},
                "difference": {
                    data: difference_of([of_data[entry.name]], [of_data[config.reference]])
                    for data, of_data in there.items()
                    if entry.name != config.reference
                },
            }
        )
    return rows


def _groups(config: SheetConfig, reports: Reports) -> list[dict[str, Any]]:
    return [
        asdict(group)
        | {
            "scores": {
                data: means_over_seeds([scores_of(of_data[name]) for name in group.members])
                for data, of_data in reports.items()
                if all(name in of_data for name in group.members)
            }
        }
        for group in config.groups
    ]


def _differences(config: SheetConfig, reports: Reports) -> list[dict[str, Any]]:
    return [
        asdict(entry)
        | {
            "difference": {
                data: difference_of([of_data[n] for n in entry.these], [of_data[n] for n in entry.those])
                for data, of_data in reports.items()
                if all(name in of_data for name in (*entry.these, *entry.those))
            }
        }
        for entry in config.differences
    ]


def _labels(config: SheetConfig, index: int, args: argparse.Namespace) -> dict[str, Any]:
    entry = config.labels[index]
    missing = labels_missing(entry)
    if missing:
        print(f"labels {entry.name} are left out: {missing}", file=sys.stderr)
    comparison = None if missing else compared(entry, args.run / "labels" / entry.name, args.threads)
    return asdict(entry) | {"note": missing, "comparison": comparison}


def _summary(reports: Reports) -> str:
    """A line for each contender and dataset."""
    lines = [f"{'data':<10}{'contender':<24}{'wall IoU':>9}{'floor':>8}{'table':>8}{'mean PQ':>9}"]
    for data, of_data in reports.items():
        for name, report in of_data.items():
            ious = [report.classes[c].iou for c in report.classes]
            lines.append(f"{data:<10}{name:<24}{ious[0]:9.3f}{ious[1]:8.3f}{ious[2]:8.3f}{report.mean_pq:9.3f}")
    return "\n".join(lines)
