"""Corpora of small photos, a quick and exact teacher for them, and runs of the command."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from autolabel.__main__ import main
from models.teachers.base import Prediction, SemanticPrediction
from surfaces.detections import Image
from surfaces.licences import Licence
from surfaces.store.label_store import LabelStore

ROOT = Path(__file__).parents[2]

POISON = (255, 0, 0)
"""The colour of photos on which the teacher raises."""


def make_photo(path: Path, seed: int, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """Writes a JPEG of a bright wall above a dark floor with a reddish table between; no two seeds give the same."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    image = np.empty((height, width, 3), np.uint8)
    horizon = int(rng.integers(height // 3, 2 * height // 3))
    image[:horizon], image[horizon:] = rng.integers(180, 240, 3), rng.integers(20, 60, 3)
    left = int(rng.integers(0, width // 2))
    image[horizon - height // 8 : horizon + height // 8, left : left + width // 3] = (200, 40, 40)
    image[0, 0] = seed % 256
    return write_photo(path, image)


def write_photo(path: Path, image: Image) -> Path:
    """Writes a photo (uint8 HxWx3 RGB) in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def make_corpus(folder: Path, count: int, size_hw: tuple[int, int] = (48, 64)) -> Path:
    """A folder of photos, some in subfolders."""
    for seed in range(count):
        make_photo(folder / f"house{seed // 20:03d}" / f"room_{seed:05d}.jpg", seed, size_hw)
    return folder


def poisoned(path: Path) -> Path:
    """Writes a photo on which the teacher raises."""
    return write_photo(path, np.full((48, 64, 3), POISON, np.uint8))


class ColourTeacher:
    """Predicts by colour: bright is wall, dark is floor, red is table.

    Args:
        delay: seconds per prediction.
        log: a file that gets a line per prediction.
        bias: other values give other predictions.
    """

    def __init__(self, delay: float = 0.0, log: str = "", bias: float = 0.0) -> None:
        self.name = "colours"
        self.fingerprint = hashlib.sha256(f"colours {bias}".encode()).hexdigest()
        self._delay, self._log, self._bias = delay, log, bias

    def predict(self, image: Image) -> Prediction:
        ready = time.monotonic() + self._delay
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(hashlib.sha256(image[::4].tobytes()).hexdigest() + "\n")
        image = np.ascontiguousarray(image[:: image.shape[0] // 12, :: image.shape[1] // 16])
        if np.abs(image.reshape(-1, 3).mean(axis=0) - POISON).max() < 4:
            raise ArithmeticError("too red\nto look at")
        red, green, blue = image.astype(np.float32).transpose(2, 0, 1) / 255
        table = np.clip(red - green, 0, 1)
        wall = (1 - table) * np.clip((green + blue) / 2 + self._bias, 0, 1)
        floor = 1 - table - wall
        semantic = np.stack([np.zeros_like(wall), wall, floor, table]).astype(np.float32)
        time.sleep(max(0.0, ready - time.monotonic()))
        return Prediction(semantic=SemanticPrediction(semantic, np.zeros(wall.shape, np.float32)))


class LicensedTeacher(ColourTeacher):
    """States where its labels come from, by its terms."""

    def __init__(self, terms: str) -> None:
        super().__init__()
        self.licences = (Licence.of("colour network", terms),)


def teacher_file(folder: Path, of: type[ColourTeacher] = ColourTeacher, **arguments: float | str) -> Path:
    """A TOML file that names one of the teachers above."""
    table = ", ".join(f"{name} = {value!r}" for name, value in arguments.items())
    path = folder / "teacher.toml"
    named = f'object = "tests.autolabel.corpora:{of.__name__}"'
    path.write_text(f'kind = "python"\n{named}\narguments = {{{table}}}\n')
    return path


def environment() -> dict[str, str]:
    """For processes that can import this module; one thread each."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
    """Starts `python -m autolabel` as a process of its own."""
    command = [sys.executable, "-m", "autolabel", *map(str, arguments)]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for a process; its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def check_error(capsys: pytest.CaptureFixture[str], code: int, message: str, *arguments: str) -> str:
    """Runs a command that fails with one line, which is returned, and prints nothing else."""
    assert main(list(arguments)) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("autolabel: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    return shown.err


def failures(folder: Path) -> dict[str, tuple[str, str]]:
    """Kind and reason of each failure in a store, by its source."""
    with LabelStore.open(folder) as store:
        return {failure.source: (failure.kind, failure.reason) for failure in store.failures()}


def dump(folder: Path) -> list[object]:
    """The content of a store, in an order that does not depend on the run."""
    with LabelStore.open(folder) as store:
        photos = [
            (
                photo,
                store.sources(photo.sha256),
                [vars(segment) | {"box_xyxy": segment.box_xyxy.tolist()} for segment in store.segments(photo.sha256)],
                store.labels(photo.sha256).ignore_mask.tobytes(),
            )
            for photo in store.photos()
        ]
        return [photos, list(store.failures()), store.settings_in_use(), store.counts()]
