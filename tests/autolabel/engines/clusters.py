"""A Ray cluster of this machine whose nodes can be killed, and teachers for it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.teachers.base import Prediction
from surfaces.detections import Image
from tests.autolabel.corpora import ColourTeacher

# Read when Ray is imported: addresses of loopback alone, and no statistics.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

DEADLY = (0, 0, 255)
"""The colour of photos on which the teacher's process dies."""


@contextmanager
def cluster_of(nodes: int) -> Iterator[Any]:
    """A cluster of a head that runs no workers, and nodes of one CPU; its processes end with the block."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


class DeadlyTeacher(ColourTeacher):
    """Ends its process at once on photos of one colour."""

    def predict(self, image: Image) -> Prediction:
        if abs(image.reshape(-1, 3).astype(int) - DEADLY).max() < 8:
            os._exit(1)
        return super().predict(image)


class BatchColourTeacher(ColourTeacher):
    """Predicts for several photos at once; logs the number of each call's photos, and fails on poisoned ones."""

    def __init__(self, sizes: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sizes = Path(sizes)

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        with self._sizes.open("a") as file:
            file.write(f"{len(images)}\n")
        return [self.predict(image) for image in images]


class _Echo:
    """A worker that returns what it gets, unlike all others."""

    def __init__(self) -> None:
        self.identity = uuid.uuid4().hex

    def work(self, item: int) -> int:
        time.sleep(0.5)
        return item


def random_identity() -> _Echo:
    """Opens a worker that is not like the others."""
    return _Echo()


def lacking_package() -> _Echo:
    """Fails as where an extra is not installed."""
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def dying_at_once() -> _Echo:
    """Ends its process."""
    os._exit(1)


def teacher_file_of(folder: Path, name: str, **arguments: float | str) -> Path:
    """A TOML file that names a teacher of this module."""
    table = ", ".join(f"{key} = {value!r}" for key, value in arguments.items())
    path = folder / f"{name}.toml"
    path.write_text(f'kind = "python"\nobject = "{__name__}:{name}"\narguments = {{{table}}}\n')
    return path
