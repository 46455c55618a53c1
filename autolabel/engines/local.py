"""Labels in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autolabel.engines.base import Engine, LabellingJob, TeacherIdentity
from autolabel.labelling.corpus import Corpus
from autolabel.labelling.pipeline import Tally, label_corpus
from surfaces.store.label_store import LabelStore


class LocalEngine(Engine):
    """The teacher in a thread of this process; errors as of `LabellingJob.open_teacher`."""

    def __init__(self, job: LabellingJob) -> None:
        self._job = job
        self._teacher = job.open_teacher()
        self._identity = TeacherIdentity.of(self._teacher)

    @property
    def teacher(self) -> TeacherIdentity:
        """What the job's teacher is."""
        return self._identity

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def label(self, corpus: Corpus, store: LabelStore, bar: Any, interrupted: Callable[[], bool]) -> Tally:
        """Labels the photos that have no labels of the settings in use in the store."""
        job = self._job
        return label_corpus(corpus, store, self._teacher, job.labelling, job.limits, bar, interrupted)
