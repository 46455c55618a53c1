"""Labels a corpus: reads and decodes photos ahead, labels one by one or in batches, stores each in a transaction.

Runs resume where they stopped, even after a kill: the labels of a photo depend on its bytes and the settings only.
"""

from __future__ import annotations

import hashlib
import io
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from autolabel.labelling.corpus import UNREADABLE, Corpus, Failure
from autolabel.labelling.labeller import LabellingSettings, label_prediction
from models.teachers.base import BatchTeacher, Prediction, Teacher
from surfaces.cli.progress import write_line
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.detections import Image
from surfaces.errors import DecodeError, FetchError, MissingExtraError, SurfacesError
from surfaces.images.load import ImageLimits, decode_image
from surfaces.io.storage import Stamp, read_stamped, sha256_in_name, stamp_of
from surfaces.messages import in_a_line
from surfaces.store.records import LabelSettings, ScoredLabels, Source
from surfaces.threads import prefetch

NOT_A_PHOTO = "not a usable photo"
TEACHER_FAILED = "teacher failed"
CHANGED = "changed meanwhile"

_MOST_FAILURES_IN_A_ROW = 10

T = TypeVar("T")
Content = TypeVar("Content", covariant=True)
R = TypeVar("R")


@dataclass(frozen=True)
class PipelineLimits:
    """Limits of a run.

    Attributes:
        images: of the photos' size.
        workers: threads besides the teacher's.
        batch_size: photos for which a teacher that can (`BatchTeacher`) predicts at once.
    """

    images: ImageLimits = field(default_factory=ImageLimits)
    workers: int = 1
    batch_size: int = 1


class TeacherError(SurfacesError):
    """The teacher fails on one photo after another."""

    exit_code = 14


@dataclass(frozen=True, eq=False)
class _Photo(Generic[Content]):
    """One photo on its way through a run: its bytes, then pixels, prediction, labels; or why one of these failed."""

    source: Source
    sha256: str
    stamp: Stamp | None
    content: Content

    def with_content(self, content: R) -> _Photo[R]:
        return _Photo(self.source, self.sha256, self.stamp, content)

    def with_failure(self, kind: str, reason: str) -> _Photo[Failure]:
        return self.with_content(Failure(self.source, kind, reason, self.sha256))


_SizedPrediction = tuple[Prediction, tuple[int, int]]
"""With the height and width of the photo."""


class LabelSink(Protocol):
    """Takes what a run finds out; `LabelStore` is one. Methods as there."""

    def settings_in_use(self) -> LabelSettings | None:
        """The settings of the labels that are added."""

    def is_labelled(
        self, sha256: str, settings: str, source: Source | None = None, scope: LabelScope = ALL_LABELLED
    ) -> bool:
        """Whether a photo has labels of these settings (a fingerprint), or of a person."""

    def is_forgotten(self, sha256: str) -> bool:
        """Whether a photo was removed for good."""

    def has_source(self, source: Source, sha256: str) -> bool:
        """Whether a photo is known under this path, name and corpus."""

    def add(self, source: Source, sha256: str, labels: ScoredLabels, settings: str) -> bool:
        """Adds a teacher's labels of a photo."""

    def add_source(self, source: Source, sha256: str) -> None:
        """Adds a path of a labelled photo."""

    def add_failure(self, source: Source, kind: str, reason: str, sha256: str | None = None) -> None:
        """Records a path that was not labelled."""


@dataclass
class Tally:
    """Counts of one run: new labels, paths of photos that had labels, of forgotten photos, skipped paths by kind."""

    labelled: int = 0
    known: int = 0
    forgotten: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def label_corpus(
    corpus: Corpus,
    sink: LabelSink,
    teacher: Teacher,
    labelling: LabellingSettings,
    limits: PipelineLimits,
    bar: Any,
    interrupted: Callable[[], bool] = lambda: False,
) -> Tally:
    """Labels the photos that have no labels of the settings in use in the sink.

    The teacher has a thread of its own and waits for nothing: meanwhile others read and decode the next photos, apply
    the rules to the one before and store the one before that.

    Args:
        corpus: the photos.
        sink: its settings in use are those of teacher and rules.
        teacher: makes predictions.
        labelling: the rules and their settings.
        limits: of photos, threads and batches.
        bar: a progress bar (`surfaces.cli.progress`).
        interrupted: called before each batch; once it returns True, the batch in work is the last.

    Raises:
        TeacherError: the teacher failed on many photos in a row.
        OutputError: the store can't be written to.
    """
    run = _Run(sink, bar, corpus.scope)
    for failure in corpus.skipped:
        run.record_failure(failure)

    def decode(photo: _Photo[bytes]) -> _Photo[Image | Failure]:
        try:
            return photo.with_content(decode_image(io.BytesIO(photo.content), limits.images))
        except DecodeError as error:
            return photo.with_failure(NOT_A_PHOTO, str(error))

    predictor = _Predictor(teacher, bar)
    batch_size = limits.batch_size if isinstance(teacher, BatchTeacher) else 1

    def predict(photos: Sequence[_Photo[Image | Failure]]) -> Sequence[_Photo[_SizedPrediction | Failure] | None]:
        return [None] if interrupted() else predictor.predict(photos)

    def make_labels(photo: _Photo[_SizedPrediction | Failure] | None) -> _Photo[ScoredLabels | Failure] | None:
        if photo is None:
            return None
        scope = corpus.scope(photo.source)
        return _attempt(photo, lambda predicted: _make_labels(*predicted, labelling, scope))

    pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="worker")
    teacher_thread = ThreadPoolExecutor(1, thread_name_prefix="teacher")
    try:
        # Decoders turn warnings off and on again, which is not safe in several threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            unread = run.drop_known_objects(corpus.photos)
            files = prefetch(partial(_read, bytes_max=limits.images.bytes_max), unread, pool, limits.workers)
            unlabelled = run.drop_labelled(takewhile(lambda _: not interrupted(), files))
            photos = _batches(prefetch(decode, unlabelled, pool, limits.workers), batch_size)
            predicted = chain.from_iterable(prefetch(predict, photos, teacher_thread, 1))
            for photo in prefetch(make_labels, predicted, pool, 1):
                if photo is None:
                    break
                run.store(photo)
    finally:
        pool.shutdown(cancel_futures=True)
        teacher_thread.shutdown(cancel_futures=True)
    return run.tally


def _read(source: Source, bytes_max: int) -> _Photo[bytes] | Failure:
    """Reads a file or an object once: the hashed bytes are those that are decoded and labelled."""
    try:
        data, stamp = read_stamped(source.path, bytes_max)
    except FetchError as error:
        return Failure(source, UNREADABLE, str(error))
    except DecodeError as error:
        return Failure(source, NOT_A_PHOTO, str(error))
    return _Photo(source, hashlib.sha256(data).hexdigest(), stamp, data)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


class _Predictor:
    """Predicts for a batch at once where the teacher can, else, or where that fails, photo by photo."""

    def __init__(self, teacher: Teacher, bar: Any) -> None:
        self._teacher = teacher
        self._has_noted: bool = bar.disable

    def predict(self, photos: Sequence[_Photo[Image | Failure]]) -> list[_Photo[_SizedPrediction | Failure]]:
        images = [photo.content for photo in photos if not isinstance(photo.content, Failure)]
        predictions = self._predictions(images)

        def predict(image: Image) -> _SizedPrediction:
            found = predictions.get(id(image))
            return self._teacher.predict(image) if found is None else found, (image.shape[0], image.shape[1])

        return [_attempt(photo, predict) for photo in photos]

    def _predictions(self, images: Sequence[Image]) -> dict[int, Prediction]:
        """By the `id` of the photo; empty where they are not predicted at once."""
        if len(images) < 2 or not isinstance(self._teacher, BatchTeacher):
            return {}
        try:
            found = self._teacher.predict_batch(images)
            return {id(image): prediction for image, prediction in zip(images, found, strict=True)}
        except Exception as error:  # each photo then shows whether it was to blame
            if not self._has_noted:
                write_line(
                    f"the teacher failed on {len(images)} photos at once ({type(error).__name__}: {in_a_line(error)});"
                    " where it does, each is tried alone"
                )
            self._has_noted = True
            return {}


def _make_labels(
    prediction: Prediction, size_hw: tuple[int, int], labelling: LabellingSettings, scope: LabelScope
) -> ScoredLabels:
    labels = label_prediction(prediction, size_hw, labelling, scope)
    if labels.ignore_mask.shape != size_hw:
        raise ValueError(f"labels of {labels.ignore_mask.shape} for a photo of {size_hw} rows, columns")
    return labels


def _attempt(photo: _Photo[T | Failure], make: Callable[[T], R]) -> _Photo[R | Failure]:
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

    def __init__(self, sink: LabelSink, bar: Any, scope_of: Callable[[Source], LabelScope]) -> None:
        in_use = sink.settings_in_use()
        assert in_use
        self._sink, self._settings, self._bar, self._scope_of = sink, in_use.fingerprint, bar, scope_of
        self._copies: dict[str, list[Source]] = {}  # other paths of the photos in work
        self._failures_in_a_row = 0
        self.tally = Tally()

    def record_failure(self, failure: Failure) -> None:
        self._sink.add_failure(failure.source, failure.kind, failure.reason, failure.sha256)
        self.tally.failed[failure.kind] += 1

    def drop_known_objects(self, photos: Iterable[Source]) -> Iterator[Source]:
        """The photos that must be read to find out whether they are labelled.

        A crawl names objects in storage by their sha256: a resumed run does not download them again.
        """
        for source in photos:
            sha256 = sha256_in_name(source.path)
            if sha256 and self._sink.is_forgotten(sha256):
                self._leave_out()
            elif sha256 and self._is_labelled(source, sha256) and self._sink.has_source(source, sha256):
                self._add_known(source, sha256)
            else:
                yield source

    def drop_labelled(self, files: Iterable[_Photo[bytes] | Failure]) -> Iterator[_Photo[bytes]]:
        """The photos to label, each once; other paths of a photo in work wait for it."""
        for file in files:
            if isinstance(file, Failure):
                self._fail(file)
            elif self._sink.is_forgotten(file.sha256):
                self._leave_out()
            elif file.sha256 in self._copies:
                self._copies[file.sha256].append(file.source)
            elif self._is_labelled(file.source, file.sha256):
                self._add_known(file.source, file.sha256)
            else:
                self._copies[file.sha256] = []
                yield file

    def store(self, photo: _Photo[ScoredLabels | Failure]) -> None:
        """Stores the outcome for all paths of a photo that are known by now."""
        copies = self._copies.pop(photo.sha256)
        outcome: ScoredLabels | Failure = photo.content
        if photo.stamp is not None and stamp_of(photo.source.path) != photo.stamp:
            outcome = Failure(photo.source, CHANGED, "the file changed while it was read or labelled; run again")
        if isinstance(outcome, Failure):
            for source in (photo.source, *copies):
                self._fail(replace(outcome, source=source))
            self._stop_if_teacher_fails(outcome)
        else:
            self._failures_in_a_row = 0
            self._sink.add(photo.source, photo.sha256, outcome, self._settings)
            self.tally.labelled += 1
            self._bar.update()
            for source in copies:
                self._add_known(source, photo.sha256)

    def _add_known(self, source: Source, sha256: str) -> None:
        self._sink.add_source(source, sha256)
        self.tally.known += 1
        self._bar.update()

    def _is_labelled(self, source: Source, sha256: str) -> bool:
        return self._sink.is_labelled(sha256, self._settings, source, self._scope_of(source))

    def _leave_out(self) -> None:
        self.tally.forgotten += 1
        self._bar.update()

    def _fail(self, failure: Failure) -> None:
        self.record_failure(failure)
        self._bar.set_postfix(failed=self.tally.failed.total(), refresh=False)
        self._bar.update()

    def _stop_if_teacher_fails(self, failure: Failure) -> None:
        self._failures_in_a_row += failure.kind == TEACHER_FAILED
        if self._failures_in_a_row == _MOST_FAILURES_IN_A_ROW:
            raise TeacherError(
                f"the teacher failed on {_MOST_FAILURES_IN_A_ROW} photos in a row, at last with {failure.reason}"
            )
