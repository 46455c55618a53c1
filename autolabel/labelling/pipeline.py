"""Labels a corpus into a store: photos are read and decoded ahead, labelled one by one, stored in a transaction each.

Killed at any moment, all that was stored is there, and the next run goes on with the rest: what a photo's bytes are
labelled with depends on nothing but the bytes and the settings.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

from autolabel.labelling.corpus import Corpus, Skipped
from autolabel.labelling.labeller import (
    TEACHER_FAILED,
    LabelledPhoto,
    Labeller,
    PredictedPhoto,
    make_labels,
    predict_photo,
)
from autolabel.labelling.photo_file import DecodedPhoto, FailedPhoto, PhotoFile, decode_photo, read_photo_file
from autolabel.labelling.prefetch import prefetch
from autolabel.labelling.progress import Progress
from surfaces.errors import SurfacesError
from surfaces.images.load import ImageLimits
from surfaces.io.storage import sha256_in_name
from surfaces.store.label_store import LabelStore, Source

CHANGED = "changed meanwhile"

_CHANGED = "the file changed while it was read or labelled; run again"
_MOST_FAILURES_IN_A_ROW = 10


class TeacherError(SurfacesError):
    """The teacher fails on one photo after another."""

    exit_code = 14


@dataclass
class Tally:
    """What became of the photos of one run.

    Attributes:
        labelled: photos that are newly labelled.
        known: paths whose photo had its labels already, perhaps by another path.
        failed: how many paths were skipped, by kind.
    """

    labelled: int = 0
    known: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def label_corpus(
    corpus: Corpus,
    store: LabelStore,
    labeller: Labeller,
    workers: int,
    progress: Progress,
    interrupted: Callable[[], bool] = lambda: False,
    limits: ImageLimits | None = None,
) -> Tally:
    """Labels what is not labelled yet with the labeller's settings, which must be in use in the store.

    The teacher works in a thread of its own and waits for nothing: while it looks at a photo, others read and decode
    the next ones, settle the labels of the one before and store those of the one before that.

    Args:
        corpus: the photos.
        store: where labels go to.
        labeller: makes them.
        workers: threads besides the teacher's.
        progress: told of each photo.
        interrupted: asked before each photo; where it says so the photo in work is the last.
        limits: of the photos' size; the defaults of `ImageLimits` where None.

    Returns:
        What became of the photos.

    Raises:
        TeacherError: the teacher failed on many photos in a row.
        OutputError: the store can't be written to. What was stored stays.
    """
    run = _Run(store, labeller.settings.fingerprint, progress)
    run.record(corpus.skipped)
    read, decode = partial(read_photo_file, limits=limits), partial(decode_photo, limits=limits)

    def predict_one(photo: DecodedPhoto | FailedPhoto) -> PredictedPhoto | FailedPhoto | None:
        return None if interrupted() else predict_photo(photo, labeller)

    def labelled(photo: PredictedPhoto | FailedPhoto | None) -> LabelledPhoto | FailedPhoto | None:
        return None if photo is None else make_labels(photo, labeller)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    teacher = ThreadPoolExecutor(1, thread_name_prefix="teacher")
    try:
        # Decoders turn warnings off and on again, which is not made for several threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files = prefetch(read, run.unread(corpus.photos), pool, workers)
            unlabelled = run.unlabelled(takewhile(lambda _: not interrupted(), files))
            photos = prefetch(decode, unlabelled, pool, workers)
            for outcome in prefetch(labelled, prefetch(predict_one, photos, teacher, 1), pool, 1):
                if outcome is None:
                    break
                run.store(outcome)
    finally:
        pool.shutdown(cancel_futures=True)
        teacher.shutdown(cancel_futures=True)
    return run.tally


class _Run:
    """The steps of a run that need the store; they all happen in one thread."""

    def __init__(self, store: LabelStore, settings: str, progress: Progress) -> None:
        self._store, self._settings, self._progress = store, settings, progress
        self._twins: dict[str, list[Source]] = {}
        self._failures_in_a_row = 0
        self.tally = Tally()

    def record(self, skipped: Iterable[Skipped]) -> None:
        """Records what was skipped."""
        for entry in skipped:
            self._store.add_failure(entry.source, entry.kind, entry.reason, entry.sha256)
            self.tally.failed[entry.kind] += 1

    def unread(self, photos: Iterable[Source]) -> Iterator[Source]:
        """The photos of which nobody knows yet whether they are labelled.

        What a crawl put into storage is called by its sha256, and so need not be had again to be known again: a corpus
        is not downloaded as often as its run is resumed. Files are read each time, since that costs little.
        """
        for source in photos:
            sha256 = sha256_in_name(source.path)
            if sha256 and self._store.is_labelled(sha256, self._settings) and self._store.has_source(source, sha256):
                self._add_known(source, sha256)
            else:
                yield source

    def unlabelled(self, files: Iterable[PhotoFile | Skipped]) -> Iterator[PhotoFile]:
        """The photos that still have to be labelled, each once; other paths of a photo in work wait for it."""
        for file in files:
            if isinstance(file, Skipped):
                self._fail(file)
            elif file.found.sha256 in self._twins:
                self._twins[file.found.sha256].append(file.found.source)
            elif self._store.is_labelled(file.found.sha256, self._settings):
                self._add_known(file.found.source, file.found.sha256)
            else:
                self._twins[file.found.sha256] = []
                yield file

    def store(self, outcome: LabelledPhoto | FailedPhoto) -> None:
        """Stores what became of a photo; it holds for all paths that are known by now."""
        found = outcome.found
        others = self._twins.pop(found.sha256)
        if not found.is_unchanged():
            self._fail(*(Skipped(source, CHANGED, _CHANGED) for source in (found.source, *others)))
        elif isinstance(outcome, FailedPhoto):
            told = outcome.kind, outcome.reason, found.sha256
            self._fail(*(Skipped(source, *told) for source in (found.source, *others)))
            self._require_other_outcomes(outcome)
        else:
            self._failures_in_a_row = 0
            self._store.add(found.source, found.sha256, outcome.labels, self._settings)
            self.tally.labelled += 1
            self._progress.done()
            for source in others:
                self._add_known(source, found.sha256)

    def _add_known(self, source: Source, sha256: str) -> None:
        self._store.add_source(source, sha256)
        self.tally.known += 1
        self._progress.done()

    def _fail(self, *skipped: Skipped) -> None:
        self.record(skipped)
        for _ in skipped:
            self._progress.failed()

    def _require_other_outcomes(self, failed: FailedPhoto) -> None:
        self._failures_in_a_row += failed.kind == TEACHER_FAILED
        if self._failures_in_a_row == _MOST_FAILURES_IN_A_ROW:
            raise TeacherError(
                f"the teacher failed on {_MOST_FAILURES_IN_A_ROW} photos in a row, at last with {failed.reason}"
            )
