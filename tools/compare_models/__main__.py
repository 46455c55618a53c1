"""`python -m tools.compare_models`: scores and times teachers, student and baselines on the same photos.

tools/compare_models/benchmark.toml lists those of the documents. Runs resume where they stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.commands.benchmark import Contender, downsample, machine, time_in_turns
from distill.commands.evaluate import evaluate
from distill.datasets import open_datasets, subsample
from distill.evaluation.report import PhotoScore, Report, report_of
from distill.training.config import ConfigError
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.errors import DatasetError
from surfaces.images.load import load_image
from surfaces.io.atomic_files import make_folder, refuse_overwrite, replace_file
from surfaces.io.local_files import read_text
from surfaces.metrics import AveragePrecision, SegmentMatches
from tools.command_line import run_tool
from tools.compare_models.config import BenchmarkConfig, Entry, ModelEntry, read_config, resolve
from tools.compare_models.models import LoadedModel, load_model
from tools.compare_models.statistics import difference_of, scores_of

REVISION = 1
"""Raised whenever the same predictions give other scores."""

Reports = dict[str, dict[str, Report]]
"""By dataset, then by model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add = parser.add_argument
    add("--config", type=local_path, required=True, help="TOML file of datasets and models")
    add("--run", type=local_path, default=Path("runs/scores"), help="folder of finished work (default: %(default)s)")
    add("--out", type=local_path, help="the results as JSON (default: scores.json in the run's folder)")
    add("--threads", type=positive, default=2, help="CPU threads of every network (default: %(default)s)")
    add("--limit", type=positive, help="only so many photos of each dataset, spread evenly")


def run(args: argparse.Namespace) -> int:
    """Scores and times; returns the exit code."""
    config = read_config(args.config)
    torch.set_num_threads(args.threads)
    make_folder(args.run)
    datasets = {e.name: subsample(open_datasets([resolve(e.path)], e.split), args.limit) for e in config.data}
    absent = {entry.name: reason for entry in config.models if (reason := missing_files(entry))}
    if config.reference in absent:
        raise ConfigError(f"expected the weights of the reference {config.reference}, got {absent[config.reference]}")
    for name, reason in absent.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    entries = [entry for entry in config.models if entry.name not in absent]
    out = args.out or args.run / "scores.json"
    used = [*(entry.path for entry in config.data), *(file for entry in entries for file in entry.weights)]
    refuse_overwrite([out], [args.config, *map(resolve, used)])
    reports, facts = score_models(entries, datasets, args.run, args.threads)
    facts |= {name: {"note": reason} for name, reason in absent.items()}
    results = {
        "reference": config.reference,
        "threads": args.threads,
        "data": [_dump(entry) | {"photos": len(datasets[entry.name])} for entry in config.data],
        **compare(config, reports, facts),
        "timing": time_models(config, entries, args.run / "timing.json", args.threads),
        "machine": machine(),
    }
    replace_file(out, (json.dumps(results, indent=1) + "\n").encode())
    for data, of_data in reports.items():
        for name, report in of_data.items():
            print(f"{data:<10}{name:<24}", *(f"{c} IoU {scores.iou:.3f}" for c, scores in report.classes.items()))
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
    for entry in track(entries, unit="model"):
        model = load_model(entry, threads)
        facts[entry.name] = {"fingerprint": model.fingerprint, "parameters": model.parameters}
        facts[entry.name] |= {"bytes": model.file_bytes, "note": model.note}
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
        report = evaluate(model.predict, samples, low_confidence=model.low_confidence)
        return {"ap": [report.tables.ap, report.tables.ap50], "photos": [_as_json(photo) for photo in report.photos]}

    content = cached(path, f"{REVISION} {model.fingerprint} {data}", score)
    try:
        return report_of([_photo_score(one) for one in content["photos"]], AveragePrecision(*content["ap"]), 0.0)
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"expected scores of photos in {path}, got another file: remove it") from error


def _as_json(photo: PhotoScore) -> dict[str, Any]:
    matches = [[m.matched_ious, m.false_positives, m.false_negatives, m.scored] for m in photo.matches]
    pixels = {"regions": photo.regions.tolist(), "boundaries": photo.boundaries.tolist()}
    return {"name": photo.name, "pixels": photo.pixels, **pixels, "matches": matches}


def _photo_score(content: dict[str, Any]) -> PhotoScore:
    matches = tuple(
        SegmentMatches(tuple(ious), false_positives, false_negatives, tuple((score, right) for score, right in scored))
        for ious, false_positives, false_negatives, scored in content["matches"]
    )
    regions, boundaries = (np.array(content[name], np.int64) for name in ("regions", "boundaries"))
    return PhotoScore(content["name"], content["pixels"], regions, boundaries, matches)


def cached(path: Path, key: Any, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A JSON object that is read from a file if the file has this key, else computed and written."""
    if path.is_file():
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

    models = []
    for entry in track(config.models, unit="row"):
        scores = {data: scores_of(of_data[entry.name]) for data, of_data in reports.items() if entry.name in of_data}
        difference = {} if entry.name == config.reference else differences([entry.name], [config.reference])
        models.append(_dump(entry) | facts[entry.name] | {"scores": scores, "difference": difference})
    pairs = [_dump(e) | {"difference": differences(e.these, e.those)} for e in config.differences]
    return {"contenders": models, "differences": pairs}


def _dump(entry: Entry) -> dict[str, Any]:
    return entry.model_dump(mode="json")


def time_models(config: BenchmarkConfig, entries: Sequence[ModelEntry], path: Path, threads: int) -> dict[str, Any]:
    """Milliseconds from a photo to its masks, warm, all models in turns; read from `path` if they are there."""
    wanted = [entry for entry in entries if entry.rounds]
    image = downsample(load_image(str(resolve(config.photo))), config.side)
    loaded = {entry.name: load_model(entry, threads) for entry in wanted}

    def once(model: LoadedModel) -> Callable[[], object]:
        return lambda: model.predict(image)

    def compute() -> dict[str, Any]:
        networks = [Contender(entry.name, once(loaded[entry.name]), None, entry.rounds) for entry in wanted]
        timings = time_in_turns(networks, max((entry.rounds for entry in wanted), default=0))
        times = {one.name: {key: asdict(one)[key] for key in ("median_ms", "p95_ms", "cpu_ms")} for one in timings}
        of_models = {entry.name: times[entry.name] | {"rounds": entry.rounds} for entry in wanted}
        place = {"photo": config.photo, "size_hw": image.shape[:2], "threads": threads}
        return {"timing": {"machine": machine(), "contenders": of_models, **place}}

    key: list[Any] = [[entry.name, loaded[entry.name].fingerprint, entry.rounds] for entry in wanted]
    key.append([config.photo, list(image.shape[:2]), threads])
    return dict(cached(path, key, compute)["timing"])


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("compare_models", str(__doc__).split("\n")[0], add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
