"""Large datasets: `pytest -m slow -s tests/distill/sources/test_large.py` prints rates and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from surfaces.datasets import Labels
from surfaces.datasets.parquet import ParquetRow, write_labels
from surfaces.images.encode import encode_jpeg

ROOT = Path(__file__).parents[3]
PHOTOS, PER_PHOTO = 20_000, 5
ROWS, FILES = 1_000_000, 10
MEMORY_MIB = 1024

# Runs a command's main in a process of its own; prints seconds, and the most memory of the process.
MEASURE = """
import json, resource, sys, time
from distill.__main__ import main
start = time.perf_counter()
code = main(sys.argv[1:])
seconds = time.perf_counter() - start
print(json.dumps([code, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
OPEN = """
import json, pathlib, resource, sys, time
import pyarrow.parquet
from surfaces.datasets import open_dataset
start = time.perf_counter()
count = len(open_dataset(pathlib.Path(sys.argv[1])))
seconds = time.perf_counter() - start
print(json.dumps([count, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def measured(script: str, *arguments: str) -> tuple[int, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    number, seconds, mib = json.loads(done.stdout.splitlines()[-1])
    return number, seconds, mib


def write_coco(folder: Path) -> Path:
    """A COCO file of 20,000 photos with five polygons each; the photos' files are few, under many names."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    photo = folder / "photo.jpg"
    photo.write_bytes(encode_jpeg(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)))
    for number in range(PHOTOS):
        os.link(photo, folder / "images" / f"{number:06d}.jpg")
    images = [{"id": n, "file_name": f"{n:06d}.jpg", "height": 48, "width": 64} for n in range(PHOTOS)]
    annotations = [
        {
            "id": n,
            "image_id": n // PER_PHOTO,
            "category_id": 1 + n % 2,
            "iscrowd": 0,
            "segmentation": [[4 + n % 20, 4, 30, 4, 30, 20 + n % 9, 4, 20]],
        }
        for n in range(PHOTOS * PER_PHOTO)
    ]
    categories = [{"id": 1, "name": "dining table"}, {"id": 2, "name": "chair"}]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}), "utf-8")
    return path


@pytest.mark.slow
def test_100000_annotations_in_constant_memory(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "coco")
    small, large = (
        measured(MEASURE, "data", "import", "coco", str(path), "--workers", "1", "--limit", limit, "--out", str(out))
        for limit, out in (("256", tmp_path / "small"), (str(PHOTOS), tmp_path / "large"))
    )
    count, seconds, mib = large
    assert count == 0
    rate = PHOTOS * PER_PHOTO / seconds
    print(f"\n{PHOTOS * PER_PHOTO} annotations of {PHOTOS} photos: {seconds:.0f} s, {rate:.0f} a second, {mib:.0f} MiB")
    print(f"the first 256 photos, with the same index: {small[2]:.0f} MiB")
    assert mib < small[2] + 64


@pytest.mark.slow
def test_1000000_rows_open_in_little_memory(tmp_path: Path) -> None:
    nothing = Labels(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))
    for part in range(FILES):
        names = (f"train/{part}/{number:08d}" for number in range(ROWS // FILES))
        write_labels(
            tmp_path / f"labels-{part:05d}.parquet",
            (ParquetRow(name, f"photos/{name}.jpg", nothing) for name in names),
        )
    count, seconds, mib = measured(OPEN, str(tmp_path))
    print(f"\n{count} rows open in {seconds:.1f} s, {mib:.0f} MiB")
    assert count == ROWS
    assert mib < MEMORY_MIB
