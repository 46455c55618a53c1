"""Opens teachers by name or by a small TOML file.

The file has a `kind` and the keys of that kind; paths are relative to the file:

    kind = "ensemble"             # mirror = true, scales = [1.0]
    [[members]]
    kind = "onnx"
    weights = "mosaic.onnx"
    class_map = "mosaic.toml"     # or "mosaic", the shipped one
    weight = 2.0                  # in an ensemble only; or by class, {"dining table" = 0.5}
    [[members]]
    kind = "student"              # weights = "surfaces.onnx"; the default is the shipped network

    kind = "grounded-sam"         # detector = "swint", sam = "vit_b", weights = ["folder or file", …],
                                  # implementation = "groundingdino-py" in place of "transformers"
    kind = "grounded-sam2"        # the same keys; sam = "tiny", "small", "base-plus" or "large"
    kind = "sam3"                 # weights = "folder"

    kind = "hf"                   # a checkpoint of the Hugging Face hub, or a folder: name = "./folder"
    name = "facebook/mask2former-swin-large-ade-semantic"
    revision = "main"             # optional: a branch, tag or commit; class_map = "mine.toml", lists of label names

    kind = "python"               # any callable that returns a models.teachers.base.Teacher; its code runs here, so
    object = "package.module:callable"  # `TeacherOptions.allow_python` must permit it
    arguments = {threshold = 0.5}
"""

from __future__ import annotations

import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from autolabel.labelling.labeller import LabellingSettings
from models.teachers.base import InstancePrediction, Prediction, SemanticPrediction, Teacher, teacher_licences
from surfaces.cli.arguments import given
from surfaces.cli.settings_files import SettingsError, read_toml, unknown_name, validate
from surfaces.detections import Image

NAMES = ("grounded-sam", "grounded-sam2", "sam3", "student", "onnx")
"""Teachers that need no file."""

HUB = "hf:"
"""Begins the name of a checkpoint of the Hugging Face hub, `hf:NAME` or `hf:NAME@REVISION`, or a folder's, `hf:./NAME`.
"""


@dataclass(frozen=True)
class TeacherOptions:
    """The options of the command line that concern a teacher.

    Attributes:
        weights: files or folders, for teachers by name only.
        class_map: of the teacher `onnx`: a file, or `mosaic`; of `hf:NAME`: a file.
        device: `cpu`, `cuda` or another of torch's names; None: a GPU where there is one.
        threads: CPU threads.
        allow_python: permits a file to name Python code, which is also searched in the current folder.
        quiet: prints neither licences nor matched labels.
    """

    weights: tuple[Path, ...] = ()
    class_map: str | None = None
    device: str | None = None
    threads: int = 1
    allow_python: bool = False
    quiet: bool = False


def open_teacher(name: str, labelling: LabellingSettings, options: TeacherOptions) -> Teacher:
    """Opens a teacher: one of `NAMES` or of a hub, or that of a TOML file.

    A detector gets prompts and box rules of `labelling`.

    Raises:
        SettingsError: there is no such teacher, its file has a typo, or names Python code that is not allowed.
        WeightsError: its weights are missing or not as expected.
        DeviceError: there is no such device.
        MissingExtraError: it needs a package that is not installed.
    """
    if name in NAMES or name.startswith(HUB):
        return _open(_table_of_options(name, options), _Context(Path(), "the command line", labelling, options))
    if not name.endswith(".toml"):
        raise SettingsError(f"{unknown_name('teacher', name, NAMES)}, {HUB}NAME, or a TOML file")
    if options.weights or options.class_map:
        raise SettingsError(f"expected `weights` and `class_map` in {name} rather than on the command line")
    return _open(read_toml(Path(name)), _Context(Path(name).parent, name, labelling, options))


@dataclass(frozen=True)
class _Context:
    folder: Path  # the paths of a table are relative to it
    file: str  # named in errors
    labelling: LabellingSettings
    options: TeacherOptions


class _TeacherTable(BaseModel, ABC):
    """The keys of one kind of teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @abstractmethod
    def open(self, context: _Context) -> Teacher: ...


class _Student(_TeacherTable):
    weights: str | None = None

    def open(self, context: _Context) -> Teacher:
        from models.teachers.student import StudentTeacher

        weights = None if self.weights is None else context.folder / self.weights
        return StudentTeacher(weights, context.options.threads)


class _Onnx(_TeacherTable):
    weights: str
    class_map: str

    def open(self, context: _Context) -> Teacher:
        from models.teachers.class_map import MOSAIC, ClassMap
        from models.teachers.onnx_semantic import OnnxSemantic

        class_map = ClassMap.read(MOSAIC if self.class_map == MOSAIC.stem else context.folder / self.class_map)
        return OnnxSemantic(context.folder / self.weights, class_map, context.options.threads)


class _Grounded(_TeacherTable):
    detector: Literal["swint", "swinb"] = "swint"
    sam: str
    implementation: Literal["transformers", "groundingdino-py"] = "transformers"
    weights: list[str] = []

    def open(self, context: _Context) -> Teacher:
        import torch

        from models.teachers.grounded_sam import open_grounded_sam

        torch.set_num_threads(context.options.threads)
        return open_grounded_sam(
            context.labelling.class_config.prompts(),
            context.labelling.select_boxes,
            detector_size=self.detector,
            sam_size=self.sam,
            weights=[context.folder / path for path in self.weights],
            device=context.options.device,
            implementation=self.implementation,
        )


class _GroundedSam(_Grounded):
    sam: Literal["vit_b", "vit_l", "vit_h"] = "vit_b"


class _GroundedSam2(_Grounded):
    sam: Literal["tiny", "small", "base-plus", "large"] = "tiny"


class _Sam3(_TeacherTable):
    weights: str | None = None

    def open(self, context: _Context) -> Teacher:
        import torch

        from models.teachers.sam.sam3 import Sam3
        from models.teachers.sam3 import Sam3Teacher
        from models.weights.gated import SAM3, find_gated

        torch.set_num_threads(context.options.threads)
        folder = find_gated(SAM3) if self.weights is None else context.folder / self.weights
        # Its boxes come with masks: one around a wall that fills the photo is no guess.
        labelling = replace(context.labelling, without=context.labelling.without | {"whole_image_boxes"})
        sam3 = Sam3.load(folder, context.options.device)
        return Sam3Teacher(sam3, labelling.class_config.prompts(), labelling.select_boxes)


class _HuggingFace(_TeacherTable):
    name: str
    revision: str | None = None
    class_map: str | None = None

    def open(self, context: _Context) -> Teacher:
        import torch

        from models.teachers.huggingface.hub import is_folder, split_revision
        from models.teachers.huggingface.semantic import open_huggingface

        torch.set_num_threads(context.options.threads)
        name, revision = split_revision(self.name)
        teacher = open_huggingface(
            str(context.folder.absolute() / name) if is_folder(name) else name,
            revision=self.revision or revision,
            class_map=None if self.class_map is None else context.folder / self.class_map,
            device=context.options.device,
        )
        if not context.options.quiet:
            print(f"{teacher.name}: licence {teacher.licences[0].terms}; {teacher.label_map}", file=sys.stderr)
        return teacher


class _MemberWeight(BaseModel):
    """The key that a member of an ensemble has besides those of its kind."""

    model_config = ConfigDict(strict=True)

    weight: float | dict[str, float]


class _Ensemble(_TeacherTable):
    members: list[dict[str, Any]]
    mirror: bool = True
    scales: list[float] = [1.0]

    def open(self, context: _Context) -> Teacher:
        from models.teachers.ensemble import Ensemble

        tables = [dict(member) for member in self.members]
        weights = [validate(_MemberWeight, {"weight": t.pop("weight", 1.0)}, context.file).weight for t in tables]
        members = [_open(table, context) for table in tables]
        try:
            return Ensemble(members, weights, mirror=self.mirror, scales=self.scales)
        except ValueError as error:
            raise SettingsError(f"{context.file}: {error}") from error


class _Python(_TeacherTable):
    object: str
    arguments: dict[str, Any] = {}

    def open(self, context: _Context) -> Teacher:
        if not context.options.allow_python:
            raise SettingsError(
                f"{context.file} names Python code, {self.object!r}, which would run here; "
                "--allow-python permits it where you trust the file"
            )
        sys.path.append(str(Path.cwd()))  # last, so that it hides no installed package
        module, _, name = self.object.partition(":")
        expected = f"expected a teacher from {self.object!r} in {context.file}"
        try:
            teacher = getattr(importlib.import_module(module), name)(**self.arguments)
        except Exception as error:  # foreign code may raise anything
            raise SettingsError(f"{expected}, got {type(error).__name__}: {error}".splitlines()[0]) from error
        is_teacher = hasattr(teacher, "name") and hasattr(teacher, "fingerprint")
        if is_teacher and hasattr(teacher, "predict"):
            return teacher  # type: ignore[no-any-return]
        if is_teacher and hasattr(teacher, "look"):
            return _OldTeacher(teacher)
        raise SettingsError(f"{expected}, got {teacher!r}")


class _OldTeacher:
    """A teacher for version 0.1, whose `look()` returns an object with `proposals`, `belief` and `agreement`."""

    def __init__(self, teacher: Any) -> None:
        self.name: str = teacher.name
        self.fingerprint: str = teacher.fingerprint
        self.licences = teacher_licences(teacher)
        self._teacher = teacher

    def predict(self, image: Image) -> Prediction:
        found = self._teacher.look(image)
        if isinstance(found, Prediction):
            return found
        instances = [
            InstancePrediction(old.surface, old.prompt, old.score, old.box_xyxy, old.mask, old.qualities)
            for old in found.proposals
        ]
        old = found.belief
        semantic = None if old is None else SemanticPrediction(old.probabilities, old.disagreement)
        return Prediction(tuple(instances), semantic, found.agreement)


_KINDS: Mapping[str, type[_TeacherTable]] = {
    "grounded-sam": _GroundedSam,
    "grounded-sam2": _GroundedSam2,
    "sam3": _Sam3,
    "student": _Student,
    "onnx": _Onnx,
    "hf": _HuggingFace,
    "ensemble": _Ensemble,
    "python": _Python,
}


def _open(table: Mapping[str, Any], context: _Context) -> Teacher:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SettingsError(f"{context.file}: {unknown_name('kind of teacher', str(kind), _KINDS)}")
    values = {key: value for key, value in table.items() if key != "kind"}
    return validate(_KINDS[kind], values, f"{context.file} ({kind})").open(context)


def _table_of_options(name: str, options: TeacherOptions) -> dict[str, Any]:
    """The options of the command line in the form of a file."""
    weights = [str(path) for path in options.weights]
    if name.startswith(HUB):
        if weights:
            raise SettingsError(f"expected no weights besides {name}, got {', '.join(weights)}")
        return {"kind": "hf", "name": name.removeprefix(HUB)} | given(class_map=options.class_map or None)
    takes_several = name in ("grounded-sam", "grounded-sam2")
    if not takes_several and len(weights) > 1:
        raise SettingsError(f"expected one file of weights for {name}, got {len(weights)}")
    of_kind = weights if takes_several else next(iter(weights), None)
    return {"kind": name} | given(weights=of_kind, class_map=options.class_map or None)
