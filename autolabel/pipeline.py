"""Labels a corpus into a store: photos are read and decoded ahead, labelled one by one, stored in a transaction each.

Killed at any moment, all that was stored is there, and the next run goes on with the rest: what a photo's bytes are
labelled with depends on nothing but the bytes and the settings.
"""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from autolabel.corpus import Corpus, Skipped
from autolabel.photo_file import DecodedPhoto, PhotoFile, decode_photo, read_photo_file
from autolabel.prefetch import prefetch
from autolabel.progress import Progress
from surfaces.dataset.graded import GradedLabels
from surfaces.dataset.store import LabelSettings, LabelStore
from surfaces.detections import Image
from surfaces.errors import MissingExtraError, SurfacesError

TEACHER_FAILED = "teacher failed"

_MOST_FAILURES_IN_A_ROW = 10


class TeacherError(SurfacesError):
    """The teacher fails on one photo after another."""

    exit_code = 14


@dataclass(frozen=True)
class Labeller:
    """Makes labels.

    Attributes:
        label: from a photo (uint8 HxWx3 RGB) to its labels; the same photo gives the same labels.
        settings: what they are made with.
    """

    label: Callable[[Image], GradedLabels]
    settings: LabelSettings


@dataclass
class Tally:
    """What became of the photos of one run.

    Attributes:
        labelled: photos that are newly labelled.
        known: paths whose photo had its labels already.
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
) -> Tally:
    """Labels what is not labelled yet with the labeller's settings, which must be in use in the store.

    Args:
        corpus: the photos.
        store: where labels go to.
        labeller: makes them, in this thread.
        workers: threads that read and decode.
        progress: told of each photo.
        interrupted: asked between photos; the run ends when it says so.

    Returns:
        What became of the photos.

    Raises:
        TeacherError: the teacher failed on many photos in a row.
        OutputError: the store can't be written to. What was stored stays.
    """
    run = _Run(store, labeller, progress, interrupted)
    run.skip(corpus.skipped)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="photos")
    try:
        # Decoders turn warnings off and on again, which is not made for several threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files = prefetch(read_photo_file, corpus.photos, pool, workers)
            for photo in prefetch(decode_photo, run.unlabelled(files), pool, workers):
                if interrupted():
                    break
                run.label(photo)
    finally:
        pool.shutdown(cancel_futures=True)
    return run.tally


class _Run:
    """The steps of a run that need the store; they all happen in one thread."""

    def __init__(
        self, store: LabelStore, labeller: Labeller, progress: Progress, interrupted: Callable[[], bool]
    ) -> None:
        self._store, self._labeller, self._progress, self._interrupted = store, labeller, progress, interrupted
        self._failures_in_a_row = 0
        self.tally = Tally()

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Records what the corpus itself had to skip."""
        for entry in skipped:
            self._record(entry)

    def unlabelled(self, files: Iterable[PhotoFile | Skipped]) -> Iterator[PhotoFile]:
        """The photos that still have to be labelled."""
        for file in files:
            if self._interrupted():
                return
            if isinstance(file, Skipped):
                self._fail(file)
            elif not self._is_known(file):
                yield file

    def label(self, photo: DecodedPhoto | Skipped) -> None:
        """Labels and stores one photo."""
        # Its twin may have been labelled while it waited.
        if isinstance(photo, Skipped):
            self._fail(photo)
        elif not self._is_known(photo):
            self._label_new(photo)

    def _label_new(self, photo: DecodedPhoto) -> None:
        try:
            labels = self._labeller.label(photo.image)
            if labels.unsure.shape != photo.image.shape[:2]:
                raise ValueError(
                    f"labels of {labels.unsure.shape} for a photo of {photo.image.shape[:2]} rows, columns"
                )
        except (MissingExtraError, ModuleNotFoundError):
            raise
        except Exception as error:  # a teacher may raise anything, and the next photo may do
            self._fail(photo.found.skipped(TEACHER_FAILED, _reason(error)))
            self._failures_in_a_row += 1
            if self._failures_in_a_row == _MOST_FAILURES_IN_A_ROW:
                raise TeacherError(
                    f"the teacher failed on {_MOST_FAILURES_IN_A_ROW} photos in a row, at last with {_reason(error)}"
                ) from error
            return
        self._failures_in_a_row = 0
        if not photo.found.is_unchanged():
            self._fail(photo.found.changed())
            return
        self._store.add(photo.found.source, photo.found.sha256, labels, self._labeller.settings.fingerprint)
        self.tally.labelled += 1
        self._progress.done()

    def _is_known(self, photo: PhotoFile | DecodedPhoto) -> bool:
        found = photo.found
        if not self._store.is_labelled(found.sha256, self._labeller.settings.fingerprint):
            return False
        self._store.add_source(found.source, found.sha256)
        self.tally.known += 1
        self._progress.done()
        return True

    def _fail(self, skipped: Skipped) -> None:
        self._record(skipped)
        self._progress.failed()

    def _record(self, skipped: Skipped) -> None:
        self._store.add_failure(skipped.source, skipped.kind, skipped.reason, skipped.sha256)
        self.tally.failed[skipped.kind] += 1


def _reason(error: Exception) -> str:
    """What was raised and where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    first_line = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {first_line} ({Path(place.filename).name}:{place.lineno})"
