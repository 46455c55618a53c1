"""What a labelling run is made of, and the interface of the engines that run it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from autolabel.labelling.corpus import Corpus
from autolabel.labelling.labeller import LabellingSettings
from autolabel.labelling.pipeline import PipelineLimits, Tally
from autolabel.labelling.teachers import TeacherOptions, open_teacher
from models.teachers.base import Teacher, teacher_licences
from surfaces.licences import Licence
from surfaces.store.label_store import LabelStore


@dataclass(frozen=True)
class LabellingJob:
    """What labels photos, wherever it runs: a teacher by name or TOML file with its options, the rules, the limits."""

    teacher: str
    options: TeacherOptions
    labelling: LabellingSettings
    limits: PipelineLimits

    def open_teacher(self) -> Teacher:
        """The teacher; errors as of `autolabel.labelling.teachers.open_teacher`."""
        return open_teacher(self.teacher, self.labelling, self.options)


@dataclass(frozen=True)
class TeacherIdentity:
    """A teacher's name and fingerprint, and what its labels come from."""

    name: str
    fingerprint: str
    licences: tuple[Licence, ...]

    @classmethod
    def of(cls, teacher: Teacher) -> TeacherIdentity:
        """The identity of an open teacher; errors as of `teacher_licences`."""
        return cls(teacher.name, teacher.fingerprint, teacher_licences(teacher))


class Engine(AbstractContextManager["Engine"], Protocol):
    """Runs a job; a context manager that holds what it needs."""

    @property
    def teacher(self) -> TeacherIdentity:
        """What the job's teacher is, known before photos are labelled."""

    def label(self, corpus: Corpus, store: LabelStore, bar: Any, interrupted: Callable[[], bool]) -> Tally:
        """Labels the photos that have no labels of the settings in use in the store; see `label_corpus`."""
