"""Seconds and memory of a teacher on this machine."""

from __future__ import annotations

import multiprocessing
import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from autolabel.labelling.labeller import LabellingSettings
from autolabel.labelling.teachers import TeacherOptions, open_teacher
from surfaces.images.load import load_image


@dataclass(frozen=True)
class Measurement:
    """What a teacher takes for a photo.

    Attributes:
        seconds: wall time of the second of two predictions for the same photo.
        peak_mib: largest main memory of the process, MiB; None where the system does not tell.
    """

    seconds: float
    peak_mib: float | None


def measure_teacher(name: str, photo: Path, options: TeacherOptions) -> Measurement:
    """Measures a teacher in a new process, so that no other one's memory counts.

    Arguments and errors as of `open_teacher` and `load_image`.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, name, photo, options).result()


def _measure(name: str, photo: Path, options: TeacherOptions) -> Measurement:
    teacher, image = open_teacher(name, LabellingSettings(), options), load_image(photo)
    teacher.predict(image)
    started = time.perf_counter()
    teacher.predict(image)
    return Measurement(time.perf_counter() - started, _peak_mib())


def _peak_mib() -> float | None:
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1]) / 1024 if found else None
