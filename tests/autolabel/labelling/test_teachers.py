"""Teachers by name and by TOML file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from autolabel.__main__ import main
from autolabel.labelling.labeller import LabellingSettings, label_prediction
from autolabel.labelling.teachers import TeacherOptions, open_teacher
from models.teachers.base import SemanticPrediction, Teacher
from models.weights.registry import shipped
from surfaces.classes import WALL
from surfaces.cli.settings_files import SettingsError
from surfaces.errors import WeightsError
from tests.autolabel.corpora import ColourTeacher, make_corpus

pytestmark = pytest.mark.security

CORPORA = "tests.autolabel.corpora"
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)

CLASS_MAP = """
[input]
size = [8, 8]
[output]
kind = "probabilities"
classes = 3
[classes]
wall = [0]
floor = [1]
"dining table" = [2]
"""


def _open(path: Path, content: str | None = None, **options: object) -> Teacher:
    if content is not None:
        path.write_text(content)
    options = {"allow_python": True} | options
    return open_teacher(str(path), LabellingSettings(), TeacherOptions(**options))  # type: ignore[arg-type]


def _wall(teacher: Teacher) -> float:
    semantic = teacher.predict(IMAGE).semantic
    assert semantic is not None
    return float(semantic.probabilities[1].mean())


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network whose output is its input; in its class map the red channel is wall."""
    scaled = helper.make_node("Mul", ["input", "scale"], ["output"])
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [1], [1 / 255])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("input", "output")]
    graph = helper.make_graph([scaled], "echo", values[:1], values[1:], [scale])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "net.onnx"))
    (tmp_path / "map.toml").write_text(CLASS_MAP)
    return tmp_path / "net.onnx"


def test_the_student_by_name_and_by_file(tmp_path: Path) -> None:
    named = open_teacher("student", LabellingSettings(), TeacherOptions())
    assert named.name == "student (surfaces)"
    weights = shipped("onnx").path
    filed = _open(tmp_path / "t.toml", f'kind = "student"\nweights = "{weights}"\n')
    given = open_teacher("student", LabellingSettings(), TeacherOptions(weights=(weights,)))
    assert named.fingerprint == filed.fingerprint == given.fingerprint


def test_a_network_by_flags_and_by_file(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TeacherOptions(weights=(network,), class_map=str(tmp_path / "map.toml"))
    given = open_teacher("onnx", LabellingSettings(), options)
    monkeypatch.chdir("/")  # paths are relative to the file
    filed = _open(tmp_path / "t.toml", 'kind = "onnx"\nweights = "net.onnx"\nclass_map = "map.toml"\n')
    assert given.fingerprint == filed.fingerprint
    assert _wall(filed) == pytest.approx(IMAGE[:, :, 0].mean() / IMAGE.sum(axis=2).mean(), abs=0.05)
    shipped_map = _open(tmp_path / "u.toml", 'kind = "onnx"\nweights = "net.onnx"\nclass_map = "mosaic"\n')
    assert shipped_map.fingerprint != filed.fingerprint


def test_a_python_teacher(tmp_path: Path) -> None:
    content = f'kind = "python"\nobject = "{CORPORA}:ColourTeacher"\narguments = {{bias = 0.25}}\n'
    teacher = _open(tmp_path / "t.toml", content)
    assert teacher.fingerprint == ColourTeacher(bias=0.25).fingerprint
    assert isinstance(teacher, ColourTeacher)


class OldTeacher:
    """A teacher for version 0.1: it has `look()` rather than `predict()`."""

    def __init__(self, proposes: bool) -> None:
        self.name, self.fingerprint, self._proposes = "old", "0" * 64, proposes

    def look(self, image: np.ndarray) -> SimpleNamespace:
        semantic = SemanticPrediction(np.full((4, 2, 2), 0.25, np.float32), np.zeros((2, 2), np.float32))
        box, mask = np.array([0, 0, 2, 2], np.float32), np.ones(image.shape[:2], bool)
        proposal = SimpleNamespace(
            surface=WALL, prompt="wall", score=0.5, box_xyxy=box, mask=mask, qualities={"predicted_iou": 0.9}
        )
        found = {"proposals": (proposal,), "belief": None} if self._proposes else {"proposals": (), "belief": semantic}
        return SimpleNamespace(**found, agreement={"flips": 0.8})


@pytest.mark.parametrize("proposes", [False, True])
def test_a_teacher_for_version_0_1_is_adapted(tmp_path: Path, proposes: bool) -> None:
    arguments = f"arguments = {{proposes = {str(proposes).lower()}}}"
    teacher = _open(tmp_path / "t.toml", f'kind = "python"\nobject = "{__name__}:OldTeacher"\n{arguments}\n')
    assert (teacher.name, teacher.fingerprint) == ("old", "0" * 64)
    found = teacher.predict(IMAGE)
    assert found.agreement == {"flips": 0.8}
    if proposes:
        (instance,) = found.instances
        assert (instance.surface, instance.prompt, instance.score) == (WALL, "wall", 0.5)
        assert instance.quality_scores == {"predicted_iou": 0.9}
        assert instance.mask.shape == IMAGE.shape[:2]
        assert found.semantic is None
    else:
        assert found.instances == ()
        assert found.semantic is not None
        assert found.semantic.probabilities.shape == (4, 2, 2)
    labels = label_prediction(found, (IMAGE.shape[0], IMAGE.shape[1]), LabellingSettings())
    assert labels.ignore_mask.shape == IMAGE.shape[:2]


@pytest.mark.parametrize("member", [False, True], ids=["alone", "in-an-ensemble"])
def test_python_code_runs_only_if_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("evil", None)
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\n")
    named = 'kind = "python"\nobject = "evil:make"\n'
    (tmp_path / "t.toml").write_text(f'kind = "ensemble"\n[[members]]\n{named}' if member else named)
    make_corpus(tmp_path / "photos", 1)
    command = ["run", "photos", "--out", "labels", "--teacher", "t.toml"]
    assert main(command) == 11
    assert capsys.readouterr().err == (
        "autolabel: t.toml names Python code, 'evil:make', which would run here; "
        "--allow-python permits it where you trust the file\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.py", "photos", "t.toml"]
    assert main([*command, "--allow-python"]) == 11  # there is no `make`, but the code ran
    assert (tmp_path / "ran").exists()


def test_an_ensemble(tmp_path: Path) -> None:
    member = f'[[members]]\nkind = "python"\nobject = "{CORPORA}:ColourTeacher"\n'
    one = _open(tmp_path / "t.toml", f'kind = "ensemble"\nmirror = false\n{member}')
    assert _wall(one) == pytest.approx(_wall(ColourTeacher()), abs=1e-6)
    assert one.predict(IMAGE).agreement == {}
    other = f"{member}arguments = {{bias = 0.5}}\n"
    plain = _open(tmp_path / "u.toml", f'kind = "ensemble"\n{member}{other}')
    assert set(plain.predict(IMAGE).agreement) == {"flips", "backends"}
    heavier = _open(tmp_path / "v.toml", f'kind = "ensemble"\n{member}{other}weight = 9.0\n')
    assert _wall(ColourTeacher()) < _wall(plain) < _wall(heavier)
    by_class = _open(tmp_path / "w.toml", f'kind = "ensemble"\n{member}{other}weight = {{wall = 9.0, floor = 9.0}}\n')
    assert len({teacher.fingerprint for teacher in (one, plain, heavier, by_class)}) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind = ", "expected a TOML file at"),
        ("", "unknown kind of teacher 'None'"),
        ("kind = [1]", "unknown kind of teacher '[1]'"),
        ('kind = "enssemble"', "unknown kind of teacher 'enssemble'; did you mean 'ensemble'?"),
        ('kind = "student"\nweihgts = "x"', "(student): unknown key 'weihgts'; did you mean 'weights'?"),
        ('kind = "student"\nweights = 3', "(student): expected `weights` to be text, got 3"),
        ('kind = "student"\nweight = 1.0', "(student): unknown key 'weight'; did you mean 'weights'?"),
        ('kind = "onnx"\nweights = "x"', "(onnx): expected `class_map`, got none"),
        ('kind = "ensemble"\nmembers = []', "got 0 members"),
        ('kind = "ensemble"\nmembers = [3]', "(ensemble): expected `members` to be a table, got 3"),
        ('kind = "ensemble"\nscales = [0.5]\nmembers = [{kind = "student"}]', "scales"),
        ('kind = "ensemble"\nscales = ["1"]\nmembers = []', "expected `scales` to be a number, got '1'"),
        ('kind = "ensemble"\nmembers = [{kind = "student", weight = -1}]', "expected weights from 0"),
        (
            'kind = "ensemble"\nmembers = [{kind = "student", weight = "2"}]',
            "expected `weight` to be a number, got '2'",
        ),
        ('kind = "ensemble"\nmembers = [{kind = "student", weight = true}]', "expected `weight` to be a number"),
        ('kind = "grounded-sam"\nsam = "vit_x"', "expected `sam` to be 'vit_b', 'vit_l' or 'vit_h', got 'vit_x'"),
        ('kind = "grounded-sam"\nsam = "tiny"', "expected `sam` to be 'vit_b', 'vit_l' or 'vit_h', got 'tiny'"),
        ('kind = "grounded-sam2"\nsam = "vit_b"', "expected `sam` to be 'tiny', 'small', 'base-plus' or 'large', got"),
        (
            'kind = "grounded-sam2"\nimplementation = "mmdet"',
            "expected `implementation` to be 'transformers' or 'groundingdino-py', got 'mmdet'",
        ),
        ('kind = "sam3"\nweights = ["x"]', "(sam3): expected `weights` to be text, got"),
        ('kind = "grounded-sam"\nweights = [3]', "(grounded-sam): expected `weights` to be text, got 3"),
        ('kind = "python"\nobject = "nowhere:make"', "ModuleNotFoundError: No module named 'nowhere'"),
        ('kind = "python"\nobject = "corpora"', "expected a teacher from 'corpora'"),
        (f'kind = "python"\nobject = "{CORPORA}:ROOT"', "not callable"),
        (f'kind = "python"\nobject = "{CORPORA}:environment"', f"expected a teacher from '{CORPORA}:environment'"),
        (f'kind = "python"\nobject = "{CORPORA}:ColourTeacher"\narguments = {{colour = 1}}', "unexpected keyword"),
    ],
)
def test_an_error_is_one_line_that_names_the_file(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _open(tmp_path / "t.toml", content)
    assert message in str(raised.value)
    assert "t.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_weights_and_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.onnx"):
        _open(tmp_path / "t.toml", 'kind = "onnx"\nweights = "none.onnx"\nclass_map = "mosaic"\n')
    with pytest.raises(SettingsError, match=r"in .*t\.toml rather than on the command line"):
        _open(tmp_path / "t.toml", 'kind = "student"', weights=(Path("x"),))
    for name, options, shown in (
        ("student", TeacherOptions(weights=(Path("a"), Path("b"))), "expected one file of weights for student, got 2"),
        ("sam3", TeacherOptions(weights=(Path("a"), Path("b"))), "expected one file of weights for sam3, got 2"),
        ("grounded-sam2", TeacherOptions(class_map="mosaic"), "unknown key 'class_map'"),
        ("student", TeacherOptions(class_map="mosaic"), "unknown key 'class_map'"),
        ("onnx", TeacherOptions(class_map="mosaic"), "expected `weights`, got none"),
        ("dino", TeacherOptions(), "unknown teacher 'dino'"),
    ):
        with pytest.raises(SettingsError, match=shown):
            open_teacher(name, LabellingSettings(), options)
