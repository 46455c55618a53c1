"""Teachers by name or by a small TOML file.

The file says a `kind` and what belongs to it; paths are relative to the file:

    kind = "ensemble"             # mirror = true, scales = [1.0]
    [[members]]
    kind = "onnx"
    weights = "mosaic.onnx"
    class_map = "mosaic.toml"     # or "mosaic", the one that ships
    weight = 2.0                  # in an ensemble alone: or by class, {"dining table" = 0.5}
    [[members]]
    kind = "student"              # weights = "surfaces.onnx"; without: the network that ships

    kind = "grounded-sam"         # detector = "swint", sam = "vit_b", weights = ["folder or file", …]

    kind = "python"               # a teacher of your own: any callable that returns a models.teachers.base.Teacher;
                                  # its code runs, so that it has to be allowed (`TeacherOptions.allow_python`)
    object = "package.module:callable"
    arguments = {threshold = 0.5}
"""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autolabel.labelling.class_config import SettingsError, unknown
from autolabel.labelling.labeller import LabellingSettings
from models.teachers.base import Teacher
from surfaces.io.local_files import read_text

NAMES = ("grounded-sam", "student", "onnx")
"""Teachers that need no file."""

Table = dict[str, Any]


@dataclass(frozen=True)
class TeacherOptions:
    """What the command line says of a teacher.

    Attributes:
        weights: files or folders; for teachers by name alone.
        class_map: of the teacher `onnx`: a file, or `mosaic`.
        device: `cpu`, `cuda` or another of torch's names; None: a GPU where there is one.
        threads: CPU threads.
        allow_python: the file may name Python code, which then runs; it is looked for in the current folder as well.
    """

    weights: tuple[Path, ...] = ()
    class_map: str | None = None
    device: str | None = None
    threads: int = 1
    allow_python: bool = False


def open_teacher(name: str, labelling: LabellingSettings, options: TeacherOptions) -> Teacher:
    """Opens a teacher.

    Args:
        name: one of `NAMES`, or the path of a TOML file.
        labelling: whose prompts and box rules a detector is given.
        options: see there.

    Raises:
        SettingsError: there is no such teacher, its file has a typo, or names Python code that is not allowed.
        WeightsError: its weights are missing or not as expected.
        DeviceError: there is no such device.
        MissingExtraError: it needs a package that is not installed.
    """
    if name in NAMES:
        return _Opener(Path(), "the command line", labelling, options).open(_table_of_options(name, options))
    if not name.endswith(".toml"):
        raise SettingsError(f"{unknown('teacher', name, NAMES)}, or a TOML file")
    if options.weights or options.class_map:
        raise SettingsError(f"expected `weights` and `class_map` in {name} rather than on the command line")
    path = Path(name)
    try:
        table = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise SettingsError(f"expected a TOML file at {name}: {error}") from error
    return _Opener(path.parent, name, labelling, options).open(table)


def _table_of_options(name: str, options: TeacherOptions) -> Table:
    paths = [str(path) for path in options.weights]
    table: Table = {"kind": name}
    if options.class_map:
        table["class_map"] = options.class_map
    if name == "grounded-sam":
        table["weights"] = paths
    elif len(paths) > 1:
        raise SettingsError(f"expected one file of weights for {name}, got {len(paths)}")
    elif paths:
        table["weights"] = paths[0]
    return table


class _Opener:
    """Turns tables into teachers."""

    def __init__(self, folder: Path, place: str, labelling: LabellingSettings, options: TeacherOptions) -> None:
        self._folder, self._place, self._labelling, self._options = folder, place, labelling, options

    def open(self, table: Table) -> Teacher:
        """The teacher of a table."""
        kind = table.get("kind")
        if kind not in _KINDS:
            raise SettingsError(f"{unknown('kind of teacher', str(kind), _KINDS)} (in {self._place})")
        required, optional, opener = _KINDS[kind]
        allowed = {**required, **optional}
        for key, value in table.items():
            if key == "kind":
                continue
            if key not in allowed:
                raise SettingsError(f"{unknown('key', key, allowed)} (in {self._place}, {kind})")
            if not isinstance(value, allowed[key]):
                raise SettingsError(f"expected `{key}` of {kind} to be {_SAID[allowed[key]]}, got {value!r}")
        for key in required:
            if key not in table:
                raise SettingsError(f"expected `{key}` of {kind} in {self._place}, got none")
        return opener(self, {key: value for key, value in table.items() if key != "kind"})

    def student(self, table: Table) -> Teacher:
        """`kind = "student"`."""
        from models.teachers.student import StudentTeacher

        return StudentTeacher(self._path(table["weights"]) if "weights" in table else None, self._options.threads)

    def onnx(self, table: Table) -> Teacher:
        """`kind = "onnx"`."""
        from models.teachers.class_map import MOSAIC, ClassMap
        from models.teachers.onnx_semantic import OnnxSemantic

        chosen = table["class_map"]
        class_map = ClassMap.read(MOSAIC if chosen == MOSAIC.stem else self._path(chosen))
        return OnnxSemantic(self._path(table["weights"]), class_map, self._options.threads)

    def grounded_sam(self, table: Table) -> Teacher:
        """`kind = "grounded-sam"`."""
        import torch

        from models.teachers.grounded_sam import open_grounded_sam
        from models.weights.official import GROUNDING_DINO, SAM

        for key, sizes in (("detector", GROUNDING_DINO), ("sam", SAM)):
            if table.get(key, next(iter(sizes))) not in sizes:
                raise SettingsError(f"{unknown(key, table[key], sizes)} (in {self._place})")
        weights = table.get("weights", [])
        if not all(isinstance(path, str) for path in weights):
            raise SettingsError(f"expected `weights` of grounded-sam to be paths, got {weights} (in {self._place})")
        torch.set_num_threads(self._options.threads)
        return open_grounded_sam(
            self._labelling.class_config.prompts(),
            self._labelling.select_boxes,
            detector_size=table.get("detector", "swint"),
            sam_size=table.get("sam", "vit_b"),
            weights=[self._path(path) for path in weights],
            device=self._options.device,
        )

    def ensemble(self, table: Table) -> Teacher:
        """`kind = "ensemble"`."""
        from models.teachers.ensemble import Ensemble

        for member in table["members"]:
            if not isinstance(member, dict):
                raise SettingsError(f"expected each of `members` to be a table, got {member!r} (in {self._place})")
        tables = [dict(member) for member in table["members"]]
        weights = [member.pop("weight", 1.0) for member in tables]
        for weight in weights:
            if isinstance(weight, bool) or not isinstance(weight, (int, float, dict)):
                raise SettingsError(f"expected `weight` to be a number, or numbers by class, got {weight!r}")
        members = [self.open(member) for member in tables]
        try:
            return Ensemble(
                members,
                weights,
                mirror=table.get("mirror", True),
                scales=table.get("scales", (1.0,)),
            )
        except (ValueError, TypeError) as error:
            raise SettingsError(f"{self._place}: {error}") from error

    def python(self, table: Table) -> Teacher:
        """`kind = "python"`: somebody else's teacher."""
        if not self._options.allow_python:
            raise SettingsError(
                f"{self._place} names Python code, {table['object']!r}, which would run here; "
                "--allow-python permits it where you trust the file"
            )
        sys.path.append(str(Path.cwd()))  # last: what is installed goes before what lies there
        module, _, name = table["object"].partition(":")
        try:
            teacher = getattr(importlib.import_module(module), name)(**table.get("arguments", {}))
        except Exception as error:  # it is somebody else's code
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise SettingsError(f"expected a teacher from {table['object']!r} in {self._place}, got {told}") from error
        if not all(hasattr(teacher, part) for part in ("name", "fingerprint", "look")):
            raise SettingsError(f"expected a teacher from {table['object']!r} in {self._place}, got {teacher!r}")
        return teacher  # type: ignore[no-any-return]

    def _path(self, path: str) -> Path:
        return self._folder / path


Keys = Mapping[str, type]

_KINDS: dict[str, tuple[Keys, Keys, Callable[[_Opener, Table], Teacher]]] = {
    "grounded-sam": ({}, {"detector": str, "sam": str, "weights": list}, _Opener.grounded_sam),
    "student": ({}, {"weights": str}, _Opener.student),
    "onnx": ({"weights": str, "class_map": str}, {}, _Opener.onnx),
    "ensemble": ({"members": list}, {"mirror": bool, "scales": list}, _Opener.ensemble),
    "python": ({"object": str}, {"arguments": dict}, _Opener.python),
}
"""Of each kind: required keys, further keys, and what opens it."""

_SAID = {str: "text", list: "a list", bool: "true or false", dict: "a table"}
