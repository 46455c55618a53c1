"""`python -m tools.compare_models`: scores and times teachers, student and baselines on the same photos.

tools/compare_models/benchmark.toml lists those of the documents. Runs resume where they stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.benchmark import Contender, machine, shrunk, time_in_turns
from distill.config import ConfigError
from distill.datasets import open_datasets, spread
from distill.evaluate import evaluate
from distill.progress import progress
from distill.report import PhotoScore, Report, report_of
from surfaces.arguments import local_path, positive
from surfaces.dataset import Sample
from surfaces.errors import DatasetError, SurfacesError
from surfaces.files import make_folder, refuse_overwrite, replace_file
from surfaces.images import load_image
from surfaces.metrics import AveragePrecision, SegmentMatches
from surfaces.regular_files import read_text
from tools.command_line import run_tool
from tools.compare_models.config import BenchmarkConfig, LabelsEntry, ModelEntry, read_config, require, resolve
from tools.compare_models.models import LoadedModel, is_grounded_sam_cached, load_model
from tools.compare_models.statistics import difference_of, scores_of

REVISION = 1
"""Raised whenever the same predictions give other scores."""

Reports = dict[str, dict[str, Report]]
"""By dataset, then by model."""


class LabelsError(SurfacesError):
    """`autolabel run` or `autolabel compare` failed; its own message precedes."""

    exit_code = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add = parser.add_argument
    add("--config", type=local_path, required=True, help="TOML file of datasets and models")
    add("--run", type=local_path, default=Path("runs/scores"), help="folder of finished work (default: %(default)s)")
    add("--out", type=local_path, help="the results as JSON (default: scores.json in the run's folder)")
    add("--threads", type=positive, default=2, help="CPU threads of every network (default: %(default)s)")
    add("--limit", type=positive, help="only so many photos of each dataset, spread evenly")
    add("--only", nargs="+", metavar="NAME", help="score these models, in this order, and stop")
    add("--again", action="store_true", help="time again; scores are kept")


def run(args: argparse.Namespace) -> int:
    """Scores and times; returns the exit code."""
    config = read_config(args.config)
    try:
        require("--only", args.only or (), [entry.name for entry in config.models])
    except ValueError as error:
        raise ConfigError(str(error)) from error
    torch.set_num_threads(args.threads)
    make_folder(args.run)
    datasets = {e.name: spread(open_datasets([resolve(e.path)], e.split), args.limit) for e in config.data}
    absent = {entry.name: reason for entry in config.models if (reason := missing_files(entry))}
    if config.reference in absent:
        raise ConfigError(f"expected the weights of the reference {config.reference}, got {absent[config.reference]}")
    for name, reason in absent.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    entries = [entry for entry in config.models if entry.name not in absent]
    out = args.out or args.run / "scores.json"
    used = [*(entry.path for entry in config.data), *(file for entry in entries for file in entry.weights)]
    refuse_overwrite([out], [args.config, *map(resolve, used)])
    if args.only:
        score_models([e for name in args.only for e in entries if e.name == name], datasets, args.run, args.threads)
        return 0
    reports, facts = score_models(entries, datasets, args.run, args.threads)
    facts |= {name: {"note": reason} for name, reason in absent.items()}
    results = {
        "reference": config.reference,
        "threads": args.threads,
        "data": [entry.model_dump() | {"photos": len(datasets[entry.name])} for entry in config.data],
        **compare(config, reports, facts),
        "timing": time_models(config, entries, args.run / "timing.json", args.threads, args.again),
        "labels": [entry.model_dump() | compare_labels(entry, args.run, args.threads) for entry in config.labels],
        "machine": machine(),
    }
    replace_file(out, (json.dumps(results, indent=1) + "\n").encode())
    print(summary(reports))
    print(f"the results are {out}", file=sys.stderr)
    return 0


def missing_files(entry: ModelEntry) -> str:
    """Why a model cannot be scored here; empty if it can."""
    try:
        missing = [text for text in entry.weights if not resolve(text).is_file()]
    except ConfigError as error:
        return str(error)
    return f"no {', '.join(missing)} here" if missing else ""


def score_models(
    entries: Sequence[ModelEntry], datasets: dict[str, list[Sample]], folder: Path, threads: int
) -> tuple[Reports, dict[str, dict[str, Any]]]:
    """Reports of all models that can be scored, and the size of each."""
    reports: Reports = {name: {} for name in datasets}
    facts = {}
    fingerprints = {name: dataset_fingerprint(samples) for name, samples in datasets.items()}
    for entry in progress(entries, unit="model"):
        model = load_model(entry, threads)
        facts[entry.name] = {
            "fingerprint": model.fingerprint,
            "parameters": model.parameters,
            "bytes": model.file_bytes,
            "note": model.note,
        }
        for name, samples in datasets.items() if model.scored else ():
            path = folder / "scored" / f"{entry.name}.{name}.json"
            reports[name][entry.name] = score_model(path, model, samples, fingerprints[name])
    return reports, facts


def dataset_fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 of names, photos and labels."""
    digest = hashlib.sha256()
    for sample in samples:
        labels = sample.labels()
        digest.update(sample.name.encode())
        for part in (sample.encoded_image(), labels.semantic.tobytes(), labels.tables.tobytes()):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def score_model(path: Path, model: LoadedModel, samples: Sequence[Sample], data: str) -> Report:
    """A model's report on a dataset with a fingerprint, read from `path` if it is there."""

    def score() -> dict[str, Any]:
        report = evaluate(model.predict, samples, doubtful=model.low_confidence)
        photos = [
            {
                "name": photo.name,
                "pixels": photo.pixels,
                "regions": photo.regions.tolist(),
                "boundaries": photo.boundaries.tolist(),
                "matches": [[m.matched_ious, m.false_positives, m.false_negatives, m.scored] for m in photo.matches],
            }
            for photo in report.photos
        ]
        return {"ap": [report.tables.ap, report.tables.ap50], "photos": photos}

    content = cached(path, f"{REVISION} {model.fingerprint} {data}", score)
    try:
        return report_of([_photo_score(one) for one in content["photos"]], AveragePrecision(*content["ap"]), 0.0)
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"expected scores of photos in {path}, got another file: remove it") from error


def _photo_score(content: dict[str, Any]) -> PhotoScore:
    matches = tuple(
        SegmentMatches(tuple(ious), false_positives, false_negatives, tuple((score, right) for score, right in scored))
        for ious, false_positives, false_negatives, scored in content["matches"]
    )
    regions, boundaries = (np.array(content[name], np.int64) for name in ("regions", "boundaries"))
    return PhotoScore(content["name"], content["pixels"], regions, boundaries, matches)


def cached(path: Path, key: Any, compute: Callable[[], dict[str, Any]], again: bool = False) -> dict[str, Any]:
    """A JSON object that is read from a file if the file has this key, else computed and written."""
    if path.is_file() and not again:
        try:
            content: dict[str, Any] = json.loads(read_text(path))
            if content["key"] == key:
                return content
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DatasetError(f"expected results with their key in {path}, got another file: remove it") from error
    content = {"key": key, **compute()}
    replace_file(path, json.dumps(content, indent=1).encode())
    return dict(json.loads(json.dumps(content)))


def compare(config: BenchmarkConfig, reports: Reports, facts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Scores and differences by dataset."""

    def differences(these: Sequence[str], those: Sequence[str]) -> dict[str, Any]:
        return {
            data: difference_of([of_data[name] for name in these], [of_data[name] for name in those])
            for data, of_data in reports.items()
            if all(name in of_data for name in (*these, *those))
        }

    models = [
        entry.model_dump(mode="json")
        | facts[entry.name]
        | {
            "scores": {data: scores_of(of[entry.name]) for data, of in reports.items() if entry.name in of},
            "difference": {} if entry.name == config.reference else differences([entry.name], [config.reference]),
        }
        for entry in progress(config.models, unit="row")
    ]
    pairs = [e.model_dump(mode="json") | {"difference": differences(e.these, e.those)} for e in config.differences]
    return {"contenders": models, "differences": pairs}


def time_models(
    config: BenchmarkConfig, entries: Sequence[ModelEntry], path: Path, threads: int, again: bool
) -> dict[str, Any]:
    """Milliseconds from a photo to its masks, warm, all models in turns; read from `path` if they are there."""
    wanted = [entry for entry in entries if entry.rounds]
    image = shrunk(load_image(str(resolve(config.photo))), config.side)
    loaded = {entry.name: load_model(entry, threads) for entry in wanted}

    def once(model: LoadedModel) -> Callable[[], object]:
        return lambda: model.predict(image)

    def compute() -> dict[str, Any]:
        networks = [Contender(entry.name, once(loaded[entry.name]), None, entry.rounds) for entry in wanted]
        timings = time_in_turns(networks, max((entry.rounds for entry in wanted), default=0))
        times = {one.name: {key: asdict(one)[key] for key in ("median_ms", "p90_ms", "cpu_ms")} for one in timings}
        timing = {
            "machine": machine(),
            "contenders": {entry.name: times[entry.name] | {"rounds": entry.rounds} for entry in wanted},
        }
        return {"timing": timing | {"photo": config.photo, "size_hw": image.shape[:2], "threads": threads}}

    key: list[Any] = [[entry.name, loaded[entry.name].fingerprint, entry.rounds] for entry in wanted]
    key.append([config.photo, list(image.shape[:2]), threads])
    return dict(cached(path, key, compute, again)["timing"])


def compare_labels(entry: LabelsEntry, run: Path, threads: int) -> dict[str, Any]:
    """Labels what is not labelled yet and compares it with human labels, as `autolabel compare --json` does."""
    missing = ""
    if entry.teacher == "grounded-sam":
        missing = "" if is_grounded_sam_cached() else "weights not available here"
    elif entry.teacher.endswith(".toml") and not resolve(entry.teacher).is_file():
        missing = f"no {entry.teacher} here"
    if missing:
        print(f"labels {entry.name} are left out: {missing}", file=sys.stderr)
        return {"note": missing, "comparison": None}
    folder = run / "labels" / entry.name
    numbers = folder.with_suffix(".json")
    options = ["--teacher", str(resolve(entry.teacher)), "--threads", str(threads), "--shard", entry.shard]
    without = ["--without", *entry.without] if entry.without else []
    for command in (
        ["run", str(resolve(entry.photos)), "--out", str(folder), *options, *without],
        ["compare", str(folder), "--truth", str(resolve(entry.truth)), "--json", str(numbers)],
    ):
        # As a process: packages of this level do not import each other.
        ran = subprocess.run([sys.executable, "-m", "autolabel", *command], stdout=subprocess.DEVNULL, check=False)
        if ran.returncode:
            raise LabelsError(
                f"expected `autolabel {command[0]}` of {entry.name} to succeed, got exit code {ran.returncode}"
            )
    return {"note": "", "comparison": json.loads(numbers.read_text(encoding="utf-8"))}


def summary(reports: Reports) -> str:
    """A line for each model and dataset."""
    lines = [f"{'data':<10}{'model':<24}{'wall IoU':>9}{'floor':>8}{'table':>8}{'mean PQ':>9}"]
    for data, of_data in reports.items():
        for name, report in of_data.items():
            wall, floor, table = (scores.iou for scores in report.classes.values())
            lines.append(f"{data:<10}{name:<24}{wall:9.3f}{floor:8.3f}{table:8.3f}{report.mean_pq:9.3f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("compare_models", str(__doc__).split("\n")[0], add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
