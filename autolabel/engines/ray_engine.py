"""Labels on a Ray cluster: workers write a Parquet file per shard, this process copies finished ones to the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from autolabel.engines.base import Engine, LabellingJob, TeacherIdentity
from autolabel.engines.shards import SHARDS, LabelledPhoto, Shard, ShardFolder, ShardRow, ShardSink, split_corpus
from autolabel.labelling.corpus import Corpus, Failure
from autolabel.labelling.pipeline import TEACHER_FAILED, Tally, label_corpus
from surfaces.cli.progress import progress_bar, write_line
from surfaces.cluster.ray_pool import ClusterError, ClusterSettings, WorkerPool, connected
from surfaces.cluster.run_lock import only_run
from surfaces.datasets.sample import LabelScope
from surfaces.errors import DatasetError
from surfaces.store.forgetting import Copy, CopyKind
from surfaces.store.label_store import LabelStore
from surfaces.store.records import LabelSettings

_DIED = "the worker died each time that it labelled this photo"


@dataclass(frozen=True)
class RaySettings:
    """How a job is spread over a cluster.

    Attributes:
        cluster: where, and what a worker takes.
        shard_size: photos per shard, the unit of work and of what a dead worker costs.
        shards: folder or address of their files; None: `shards` in the dataset's folder. All machines must reach it.
    """

    cluster: ClusterSettings
    shard_size: int = 64
    shards: str | None = None


@dataclass(frozen=True)
class _Work:
    """A shard to label.

    Attributes:
        known: the photos that the store has labels of.
        forgotten: the sha256 of photos that were removed for good.
        deadly: the paths of photos that are not tried.
        probe: whether its photos are only tried, and no file is written.
    """

    shard: Shard
    settings: LabelSettings
    place: str
    known: tuple[LabelledPhoto, ...] = ()
    forgotten: frozenset[str] = frozenset()
    deadly: frozenset[str] = frozenset()
    probe: bool = False


class LabelWorker:
    """Labels shards in a process of the cluster; errors as of `LabellingJob.open_teacher`."""

    def __init__(self, job: LabellingJob) -> None:
        self._job = job
        self._teacher = job.open_teacher()
        self.identity = TeacherIdentity.of(self._teacher)

    def work(self, item: _Work) -> None:
        """Labels a shard's photos, except those that the store or its file has labels of, and writes the file."""
        folder = ShardFolder(item.place, item.settings.fingerprint)
        rows = _read_or_nothing(folder, item.shard, quiet=True) or ()
        before = [row for row in rows if isinstance(row, LabelledPhoto) and row.labels]
        sink = ShardSink(item.settings, [*item.known, *before], item.forgotten)
        tried = tuple(photo for photo in item.shard.photos if photo.path not in item.deadly)
        job = self._job
        with progress_bar(None, quiet=True) as bar:
            label_corpus(
                Corpus("", tried, scopes=item.shard.scopes), sink, self._teacher, job.labelling, job.limits, bar
            )
        for photo in item.shard.photos:
            if photo.path in item.deadly:
                sink.add_failure(photo, TEACHER_FAILED, _DIED)
        if not item.probe:
            folder.write(item.shard, sink.rows)


class RayEngine(Engine):
    """Workers on a cluster.

    Args:
        job: what they run; its paths must be there on every machine.
        settings: of the cluster and shards.
        dataset: the folder that this run alone writes to.
        count: of the photos, for the number of workers.
        quiet: reports neither dead workers nor damaged shards.

    Raises:
        OutputError: another run on Ray writes to the dataset.
        Further errors as of `connected`, `WorkerPool` and `LabellingJob.open_teacher`.
    """

    def __init__(
        self, job: LabellingJob, settings: RaySettings, dataset: Path, count: int, quiet: bool = False
    ) -> None:
        self._settings, self._place = settings, settings.shards or str(dataset.absolute() / SHARDS)
        self._quiet = quiet
        with ExitStack() as stack:
            stack.enter_context(only_run(dataset))
            ray = stack.enter_context(connected(settings.cluster.address))
            shards = -(-count // settings.shard_size)
            self._pool: WorkerPool[_Work, None] = WorkerPool(
                ray, partial(LabelWorker, job), settings.cluster, shards, (lambda _: None) if quiet else write_line
            )
            stack.callback(self._pool.close)
            self._identity: TeacherIdentity = self._pool.identity()
            self._stack = stack.pop_all()

    @property
    def teacher(self) -> TeacherIdentity:
        """What the workers' teacher is."""
        return self._identity

    def __exit__(self, *error: object) -> None:
        """Ends the workers, and leaves the cluster."""
        self._stack.close()

    def label(self, corpus: Corpus, store: LabelStore, bar: Any, interrupted: Callable[[], bool]) -> Tally:
        """Labels the shards that are not finished, and copies all to the store, each in one transaction.

        Raises:
            ClusterError: a shard's file cannot be read here after a worker wrote it, or it cannot be made.
        """
        settings = store.settings_in_use()
        assert settings
        folder = ShardFolder(self._place, settings.fingerprint)
        folder.prepare(settings)
        store.note_copy(Copy(self._place, CopyKind.SHARDS))
        run = _Run(store, settings.fingerprint, bar)
        for failure in corpus.skipped:
            run.add_failure(failure)
        unfinished = []
        for shard in split_corpus(corpus, self._settings.shard_size):
            if interrupted():
                return run.tally
            rows = _read_or_nothing(folder, shard, self._quiet)
            if rows is not None and run.has_all(shard, rows):
                run.add(shard, rows)
            else:
                unfinished.append(_Work(shard, settings, self._place, run.known(shard), run.forgotten))
        lost = self._run(unfinished, folder, run, interrupted)
        retried = [replace(work, deadly=self._find_deadly(work, interrupted)) for work in lost]
        if again := self._run(retried, folder, run, interrupted):
            raise ClusterError(f"every worker died that labelled shard {again[0].shard.number}; see Ray's logs")
        return run.tally

    def _run(
        self, works: Iterable[_Work], folder: ShardFolder, run: _Run, interrupted: Callable[[], bool]
    ) -> list[_Work]:
        """Labels shards and adds them to the store; returns those on which workers die."""
        lost = []
        for done in self._pool.run(works, interrupted):
            if done.lost:
                lost.append(done.item)
                continue
            rows = folder.read(done.item.shard)
            if rows is None:
                raise ClusterError(
                    f"expected {folder.path(done.item.shard)}, which a worker wrote, to be readable here;"
                    " --shards names a folder or an address that all machines share"
                )
            if not run.add(done.item.shard, rows):
                folder.remove(done.item.shard)
        return lost

    def _find_deadly(self, work: _Work, interrupted: Callable[[], bool]) -> frozenset[str]:
        """The photos of a shard on which workers die, each tried alone."""
        alone = [replace(work, shard=replace(work.shard, photos=(photo,)), probe=True) for photo in work.shard.photos]
        tried = self._pool.run(alone, interrupted)
        return frozenset(done.item.shard.photos[0].path for done in tried if done.lost)


class _Run:
    """Copies shards to a store, and counts."""

    def __init__(self, store: LabelStore, settings: str, bar: Any) -> None:
        self._store, self._settings, self._bar = store, settings, bar
        self.forgotten = store.forgotten()
        self.tally = Tally()

    def add_failure(self, failure: Failure) -> None:
        self._store.add_failure(failure.source, failure.kind, failure.reason, failure.sha256)
        self.tally.failed[failure.kind] += 1

    def has_all(self, shard: Shard, rows: Sequence[ShardRow]) -> bool:
        """Whether there are labels of all photos, in the rows or in the store, and none of forgotten ones.

        A path of which the store has another photo is read again.
        """
        return all(isinstance(row, LabelledPhoto) and self._is_valid(row, shard.scope(row.source)) for row in rows)

    def _is_valid(self, row: LabelledPhoto, scope: LabelScope) -> bool:
        at_path = self._store.labelled_at(row.source, self._settings, scope)
        is_labelled = row.labels or self._store.is_labelled(row.sha256, self._settings, row.source, scope)
        return row.sha256 not in self.forgotten and at_path in (None, row.sha256) and bool(is_labelled)

    def known(self, shard: Shard) -> tuple[LabelledPhoto, ...]:
        """The photos that the store has labels of; their bytes may have changed."""
        labelled_at = self._store.labelled_at
        found = ((photo, labelled_at(photo, self._settings, shard.scope(photo))) for photo in shard.photos)
        return tuple(LabelledPhoto(photo, sha256, None) for photo, sha256 in found if sha256)

    def add(self, shard: Shard, rows: Sequence[ShardRow]) -> bool:
        """Adds a shard's rows; returns False where it holds a photo that was removed for good meanwhile."""
        before = self.tally.forgotten
        with self._store.transaction():
            for row in rows:
                if isinstance(row, Failure):
                    self.add_failure(row)
                elif self._store.is_forgotten(row.sha256):
                    self.tally.forgotten += 1
                elif row.labels and self._store.add_packed(row.source, row.sha256, row.labels, self._settings):
                    self.tally.labelled += 1
                else:
                    self._store.add_source(row.source, row.sha256)
                    self.tally.known += 1
        if failures := self.tally.failed.total():
            self._bar.set_postfix(failed=failures, refresh=False)
        self._bar.update(len(shard.photos))
        met = self.tally.forgotten - before
        self.tally.forgotten += len(shard.photos) - len(rows)
        return not met


def _read_or_nothing(folder: ShardFolder, shard: Shard, quiet: bool) -> Sequence[ShardRow] | None:
    """A shard's rows; None where there is no file, or it is damaged, since the shard is then labelled again."""
    try:
        return folder.read(shard)
    except DatasetError as error:
        if not quiet:
            write_line(f"{error}; it is labelled again")
        return None
