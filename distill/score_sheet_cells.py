"""What a contender scored on a dataset, photo by photo, kept in the run's folder so that a sheet can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.commands.evaluate import evaluate
from distill.evaluation.report import PhotoScore, Report, report_of
from distill.score_sheet_contender import OpenContender
from surfaces.datasets import Sample
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import read_text
from surfaces.metrics import AveragePrecision, SegmentMatches

REVISION = 1
"""Raised whenever the same predictions give other scores."""


def dataset_fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 over names, photos and labels."""
    digest = hashlib.sha256()
    for sample in samples:
        labels = sample.labels()
        digest.update(sample.name.encode())
        for part in (sample.encoded_image(), labels.semantic.tobytes(), labels.tables.tobytes()):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def scored(path: Path, contender: OpenContender, samples: Sequence[Sample], data: str) -> Report:
    """A contender's report on a dataset: read from a file where it was scored before, else made and kept there.

    Args:
        path: the file; one of another contender or dataset is replaced.
        contender: ready to run.
        samples: the dataset.
        data: its fingerprint.

    Raises:
        DatasetError: a photo or its labels cannot be read, or the file is damaged.
        OutputError: the file cannot be written.
    """
    key = f"{REVISION} {contender.fingerprint} {data}"
    known = _read(path, key)
    if known is None:
        known = evaluate(contender.predict, samples, doubtful=contender.doubtful)
        replace_file(path, json.dumps({"key": key, **_content(known)}).encode())
    return known


def _content(report: Report) -> dict[str, Any]:
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


def _read(path: Path, key: str) -> Report | None:
    """The report of a file; None where there is none or it is another's."""
    if not path.is_file():
        return None
    try:
        content = json.loads(read_text(path))
        if content["key"] != key:
            return None
        return report_of([_photo(one) for one in content["photos"]], AveragePrecision(*content["ap"]), 0.0)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"expected scores of photos in {path}, got another file: remove it") from error


def _photo(content: dict[str, Any]) -> PhotoScore:
    matches = tuple(
        SegmentMatches(tuple(ious), false_positives, false_negatives, tuple((score, right) for score, right in said))
        for ious, false_positives, false_negatives, said in content["matches"]
    )
    regions, boundaries = (np.array(content[name], np.int64) for name in ("regions", "boundaries"))
    return PhotoScore(content["name"], content["pixels"], regions, boundaries, matches)
