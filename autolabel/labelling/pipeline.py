"""Labels a corpus into a store: reads and decodes photos ahead, labels one by one, stores each in a transaction.

Runs resume where they stopped, even after a kill: the labels of a photo depend on its bytes and the settings only.
"""

from __future__ import annotations

import hashlib
import io
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Generic, TypeVar

from autolabel.labelling.corpus import UNREADABLE, Corpus, Failure
from autolabel.labelling.labeller import LabellingSettings, label_prediction
from autolabel.labelling.prefetch import prefetch
from models.teachers.base import Prediction, Teacher
from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError, MissingExtraError, SurfacesError
from surfaces.images.load import ImageLimits, decode_image
from surfaces.io.storage import Stamp, read_stamped, sha256_in_name, stamp_of
from surfaces.store.label_store import LabelStore, Source
from surfaces.store.records import ScoredLabels

NOT_A_PHOTO = "not a usable photo"
TEACHER_FAILED = "teacher failed"
CHANGED = "changed meanwhile"

_CHANGED = "the file changed while it was read or labelled; run again"
_MOST_FAILURES_IN_A_ROW = 10

T = TypeVar("T")
Content = TypeVar("Content", covariant=True)
R = TypeVar("R")


class TeacherError(SurfacesError):
    """The teacher fails on one photo after another."""

    exit_code = 14


@dataclass(frozen=True, eq=False)
class Photo(Generic[Content]):
    """One photo on its way through a run.

    Attributes:
        source: of the photo.
        sha256: of its bytes, hexadecimal.
        stamp: changes when the file is written to; None of an object in storage.
        content: its bytes, then pixels, prediction and size, labels; or why one of these failed.
    """

    source: Source
    sha256: str
    stamp: Stamp | None
    content: Content

    def with_content(self, content: R) -> Photo[R]:
        """The photo with other content."""
        return Photo(self.source, self.sha256, self.stamp, content)

    def with_failure(self, kind: str, reason: str) -> Photo[Failure]:
        """The photo with a failure as its content."""
        return self.with_content(Failure(self.source, kind, reason, self.sha256))

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was read."""
        return self.stamp is None or stamp_of(self.source.path) == self.stamp


Predicted = tuple[Prediction, tuple[int, int]]
"""A prediction, and the height and width of its photo."""


@dataclass
class Tally:
    """Counts of one run: newly labelled photos, paths of photos that had labels, skipped paths by kind."""

    labelled: int = 0
    known: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def label_corpus(
    corpus: Corpus,
    store: LabelStore,
    teacher: Teacher,
    labelling: LabellingSettings,
    workers: int,
    bar: Any,
    interrupted: Callable[[], bool] = lambda: False,
    limits: ImageLimits | None = None,
) -> Tally:
    """Labels the photos that have no labels of the settings in use in the store.

    The teacher has a thread of its own and waits for nothing: meanwhile others read and decode the next photos, apply
    the rules to the one before and store the one before that.

    Args:
        corpus: the photos.
        store: gets the labels; its settings in use are those of teacher and rules.
        teacher: makes predictions.
        labelling: the rules and their settings.
        workers: threads besides the teacher's.
        bar: a progress bar (`surfaces.cli.progress`).
        interrupted: called before each photo; once it returns True, the photo in work is the last.
        limits: of the photos' size.

    Raises:
        TeacherError: the teacher failed on many photos in a row.
        OutputError: the store can't be written to. Stored labels stay.
    """
    run = _Run(store, bar)
    for failure in corpus.skipped:
        run.record_failure(failure)

    def read(source: Source) -> Photo[bytes] | Failure:
        return read_photo(source, limits)

    def decode(photo: Photo[bytes]) -> Photo[Image | Failure]:
        try:
            return photo.with_content(decode_image(io.BytesIO(photo.content), limits))
        except DecodeError as error:
            return photo.with_failure(NOT_A_PHOTO, str(error))

    def predict(photo: Photo[Image | Failure]) -> Photo[Predicted | Failure] | None:
        if interrupted():
            return None
        return _attempt(photo, lambda image: (teacher.predict(image), (image.shape[0], image.shape[1])))

    def make_labels(photo: Photo[Predicted | Failure] | None) -> Photo[ScoredLabels | Failure] | None:
        return None if photo is None else _attempt(photo, lambda predicted: _make_labels(*predicted, labelling))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    teacher_thread = ThreadPoolExecutor(1, thread_name_prefix="teacher")
    try:
        # Decoders turn warnings off and on again, which is not safe in several threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files = prefetch(read, run.unread(corpus.photos), pool, workers)
            unlabelled = run.unlabelled(takewhile(lambda _: not interrupted(), files))
            photos = prefetch(decode, unlabelled, pool, workers)
            for photo in prefetch(make_labels, prefetch(predict, photos, teacher_thread, 1), pool, 1):
                if photo is None:
                    break
                run.store(photo)
    finally:
        pool.shutdown(cancel_futures=True)
        teacher_thread.shutdown(cancel_futures=True)
    return run.tally


def read_photo(source: Source, limits: ImageLimits | None = None) -> Photo[bytes] | Failure:
    """Reads a file or an object once: the hashed bytes are those that are decoded and labelled.

    Raises:
        MissingExtraError: the package that reads the photo's storage is not installed.
    """
    try:
        data, stamp = read_stamped(source.path, (limits or ImageLimits()).bytes_max)
    except FetchError as error:
        return Failure(source, UNREADABLE, str(error))
    except DecodeError as error:
        return Failure(source, NOT_A_PHOTO, str(error))
    return Photo(source, hashlib.sha256(data).hexdigest(), stamp, data)


def _make_labels(prediction: Prediction, size_hw: tuple[int, int], labelling: LabellingSettings) -> ScoredLabels:
    labels = label_prediction(prediction, size_hw, labelling)
    if labels.ignore_mask.shape != size_hw:
        raise ValueError(f"labels of {labels.ignore_mask.shape} for a photo of {size_hw} rows, columns")
    return labels


def _attempt(photo: Photo[T | Failure], make: Callable[[T], R]) -> Photo[R | Failure]:
    """Replaces the content of a photo; an exception becomes the failure of this photo alone."""
    if isinstance(photo.content, Failure):
        return photo.with_content(photo.content)
    try:
        return photo.with_content(make(photo.content))
    except (MissingExtraError, ModuleNotFoundError):
        raise
    except Exception as error:  # a teacher may raise anything, and succeed on the next photo
        place = traceback.extract_tb(error.__traceback__)[-1]
        first_line = next(iter(str(error).splitlines()), "")[:200]
        reason = f"{type(error).__name__}: {first_line} ({Path(place.filename).name}:{place.lineno})"
        return photo.with_failure(TEACHER_FAILED, reason)


class _Run:
    """The steps of a run that need the store; all are in one thread."""

    def __init__(self, store: LabelStore, bar: Any) -> None:
        in_use = store.settings_in_use()
        assert in_use
        self._store, self._settings, self._bar = store, in_use.fingerprint, bar
        self._copies: dict[str, list[Source]] = {}
        """Other paths of the photos in work."""
        self._failures_in_a_row = 0
        self.tally = Tally()

    def record_failure(self, failure: Failure) -> None:
        self._store.add_failure(failure.source, failure.kind, failure.reason, failure.sha256)
        self.tally.failed[failure.kind] += 1

    def unread(self, photos: Iterable[Source]) -> Iterator[Source]:
        """The photos that must be read to find out whether they are labelled.

        A crawl names objects in storage by their sha256: a resumed run does not download them again. Files are always
        read, which costs little.
        """
        for source in photos:
            sha256 = sha256_in_name(source.path)
            if sha256 and self._store.is_labelled(sha256, self._settings) and self._store.has_source(source, sha256):
                self._add_known(source, sha256)
            else:
                yield source

    def unlabelled(self, files: Iterable[Photo[bytes] | Failure]) -> Iterator[Photo[bytes]]:
        """The photos that still have to be labelled, each once; other paths of a photo in work wait for it."""
        for file in files:
            if isinstance(file, Failure):
                self._fail(file)
            elif file.sha256 in self._copies:
                self._copies[file.sha256].append(file.source)
            elif self._store.is_labelled(file.sha256, self._settings):
                self._add_known(file.source, file.sha256)
            else:
                self._copies[file.sha256] = []
                yield file

    def store(self, photo: Photo[ScoredLabels | Failure]) -> None:
        """Stores the outcome for all paths of a photo that are known by now."""
        copies = self._copies.pop(photo.sha256)
        if not photo.is_unchanged():
            for source in (photo.source, *copies):
                self._fail(Failure(source, CHANGED, _CHANGED))
        elif isinstance(photo.content, Failure):
            for source in (photo.source, *copies):
                self._fail(replace(photo.content, source=source))
            self._count_failure(photo.content)
        else:
            self._failures_in_a_row = 0
            self._store.add(photo.source, photo.sha256, photo.content, self._settings)
            self.tally.labelled += 1
            self._bar.update()
            for source in copies:
                self._add_known(source, photo.sha256)

    def _add_known(self, source: Source, sha256: str) -> None:
        self._store.add_source(source, sha256)
        self.tally.known += 1
        self._bar.update()

    def _fail(self, failure: Failure) -> None:
        self.record_failure(failure)
        self._bar.set_postfix(failed=self.tally.failed.total(), refresh=False)
        self._bar.update()

    def _count_failure(self, failure: Failure) -> None:
        self._failures_in_a_row += failure.kind == TEACHER_FAILED
        if self._failures_in_a_row == _MOST_FAILURES_IN_A_ROW:
            raise TeacherError(
                f"the teacher failed on {_MOST_FAILURES_IN_A_ROW} photos in a row, at last with {failure.reason}"
            )
