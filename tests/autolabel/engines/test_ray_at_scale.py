"""A hundred thousand photos through Ray: nodes are killed, memory stays flat, nothing is lost or doubled."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from autolabel.engines.base import Engine, LabellingJob
from autolabel.engines.local import LocalEngine
from autolabel.engines.ray_engine import RayEngine, RaySettings
from autolabel.engines.shards import ShardSink
from autolabel.labelling.corpus import Corpus, read_corpus
from autolabel.labelling.labeller import LabellingSettings
from autolabel.labelling.pipeline import PipelineLimits, Tally, label_corpus
from autolabel.labelling.teachers import TeacherOptions
from surfaces.cli.progress import progress_bar
from surfaces.cluster.ray_pool import ClusterSettings
from surfaces.store.label_store import LabelSettings, LabelStore
from tests.autolabel.corpora import make_corpus
from tests.autolabel.engines.clusters import cluster_of, teacher_file_of


@dataclass
class Trial:
    """What a run took: seconds of labelling, and MiB of this process and of all workers over time."""

    tally: Tally
    seconds: float
    driver_mib: list[float] = field(default_factory=list)
    worker_mib: list[float] = field(default_factory=list)


def job_of(folder: Path) -> LabellingJob:
    """A job with a teacher of batches of eight photos."""
    sizes = folder / "sizes"
    teacher = teacher_file_of(folder, "BatchColourTeacher", sizes=str(sizes))
    options = TeacherOptions(allow_python=True, quiet=True)
    return LabellingJob(str(teacher), options, LabellingSettings(), PipelineLimits(batch_size=8))


def run_trial(engine: Engine, corpus: Corpus, out: Path) -> Trial:
    """Labels a corpus, and watches memory."""
    trial = Trial(Tally(), 0.0)
    with engine, LabelStore.create(out) as store, progress_bar(len(corpus.photos), quiet=True) as bar:
        store.use_settings(LabelSettings(engine.teacher.fingerprint, engine.teacher.name))
        with _watched(trial):
            started = time.monotonic()
            trial.tally = engine.label(corpus, store, bar, lambda: False)
            trial.seconds = time.monotonic() - started
    return trial


def bare_loop(job: LabellingJob, corpus: Corpus) -> Trial:
    """Labels a corpus and keeps nothing: what remains of the local engine without its store."""
    teacher = job.open_teacher()
    sink = ShardSink(LabelSettings(teacher.fingerprint, teacher.name))
    with progress_bar(len(corpus.photos), quiet=True) as bar:
        started = time.monotonic()
        tally = label_corpus(corpus, sink, teacher, job.labelling, job.limits, bar)
    return Trial(tally, time.monotonic() - started)


@contextmanager
def _watched(trial: Trial) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(2.0):
            trial.driver_mib.append(psutil.Process().memory_info().rss / 2**20)
            found = [one.info for one in psutil.process_iter(["name", "memory_info"])]
            sizes = [one["memory_info"].rss for one in found if "_Process" in one["name"] and one["memory_info"]]
            trial.worker_mib.append(max(sizes, default=0) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_nodes(cluster: Any, shards: Path, at: list[int]) -> None:
    """Kills a node whenever there are so many shards."""
    for count in at:
        while len(list(shards.glob("*/*.parquet"))) < count:
            time.sleep(0.1)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def check_scale(folder: Path, photos: int) -> dict[str, Trial]:
    """Labels a tenth of the photos in this process and on one node, all on three nodes of which two are killed."""
    corpus = read_corpus(make_corpus(folder / "photos", photos))
    first = Corpus(corpus.root, corpus.photos[: photos // 10])
    job = job_of(folder)
    trials = {"local": run_trial(LocalEngine(job), first, folder / "local")}
    with cluster_of(nodes=3) as cluster:
        ray = partial(RaySettings, shard_size=64)
        for number in range(3):
            trials[f"bare {number}"] = bare_loop(job, first)
            out = folder / f"one {number}"
            one = RayEngine(job, ray(ClusterSettings(cluster.address, workers=1)), out, len(first.photos))
            trials[f"one {number}"] = run_trial(one, first, out)
        all_nodes = RayEngine(job, ray(ClusterSettings(cluster.address, workers=3)), folder / "all", photos)
        shards = -(-photos // 64)
        killer = threading.Thread(
            target=kill_nodes, args=(cluster, folder / "all" / "shards", [shards // 4, shards // 2])
        )
        killer.start()
        trials["all"] = run_trial(all_nodes, corpus, folder / "all")
        killer.join()
    with LabelStore.open(folder / "all") as store:
        counts = store.counts()
        assert (counts.photos, counts.duplicates, counts.failures) == (photos, 0, {})
    assert trials["all"].tally.labelled == photos
    return trials


@pytest.mark.slow
def test_a_hundred_thousand_photos(tmp_path: Path) -> None:
    trials = check_scale(tmp_path, 100_000)
    for name, trial in trials.items():
        peaks = [round(max(sizes, default=0)) for sizes in (trial.driver_mib, trial.worker_mib)]
        print(f"{name}: {trial.tally.labelled} photos, {trial.seconds:.1f} s, {peaks} MiB of command and worker")
    overheads = [trials[f"one {number}"].seconds / trials[f"bare {number}"].seconds - 1 for number in range(3)]
    print("overhead", " ".join(f"{overhead:.1%}" for overhead in overheads))
    assert statistics.median(overheads) <= 0.15
    for sizes in (trials["all"].driver_mib, trials["all"].worker_mib):
        quarter = len(sizes) // 4
        assert statistics.median(sizes[-quarter:]) < 1.2 * statistics.median(sizes[quarter : 2 * quarter])
