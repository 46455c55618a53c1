"""What teachers say of where their labels come from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from models.inference.segmenter import TRAINING_PHOTOS_KEY
from models.teachers.base import Prediction, teacher_licences
from models.teachers.class_map import ClassMap
from models.teachers.ensemble import Ensemble
from models.teachers.grounded_sam import GroundedSam
from models.teachers.huggingface.semantic import open_huggingface
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.sam.segmenter import Sam
from models.teachers.student import StudentTeacher
from models.weights.official import GROUNDING_DINO, SAM
from models.weights.training_photos import TrainingPhotos
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.licences import NOT_STATED, Licence, not_stated
from tests.models.teachers.huggingface.checkpoints import save_checkpoint
from tests.models.teachers.huggingface.hub_server import Hub, serve
from tests.models.teachers.networks import write_network
from tests.models.teachers.sam.tiny_sam import tiny_sam
from tests.models.teachers.test_grounded_sam import PROMPTS, FakeDetector, nothing

RENDERS = Licence("renders", "CC0-1.0", "yes")
CLASS_MAP = """
[input]
size = [6, 8]
[output]
classes = 5
kind = "logits"
[classes]
wall = [1]
floor = [2]
"dining table" = [3]
"""


class UsersTeacher:
    """A teacher as users wrote them before there were licences."""

    name = "mine"
    fingerprint = "0" * 64

    def predict(self, _: Image) -> Prediction:
        return Prediction()


def onnx_teacher(folder: Path, recorded: str | None) -> OnnxSemantic:
    """A network with this record of its training in its metadata."""
    path = write_network(folder / "net.onnx", (6, 8))
    if recorded is not None:
        model = onnx.load(path)
        onnx.helper.set_model_props(model, {TRAINING_PHOTOS_KEY: recorded})
        onnx.save(model, path)
    (folder / "net.toml").write_text(CLASS_MAP)
    return OnnxSemantic(path, ClassMap.read(folder / "net.toml"), threads=1)


def test_a_teacher_without_licences_is_named() -> None:
    assert teacher_licences(UsersTeacher()) == (not_stated("teacher tests.models.teachers.test_licences.UsersTeacher"),)


def test_the_shipped_student_states_nothing() -> None:
    assert StudentTeacher().licences == (not_stated("surfaces.onnx"),)


def test_a_network_says_what_its_file_records(tmp_path: Path) -> None:
    assert onnx_teacher(tmp_path, None).licences == (not_stated("net.onnx"),)
    recorded = TrainingPhotos.of([1], licences=[RENDERS, NOT_STATED]).to_text()
    assert onnx_teacher(tmp_path, recorded).licences == (not_stated("net.onnx"), RENDERS)


@pytest.mark.parametrize("damaged", ["{", "[]", '{"hashes": "", "complete": true, "licences": "[1]"}'])
def test_a_damaged_record(tmp_path: Path, damaged: str) -> None:
    with pytest.raises(WeightsError, match=r"expected a record of training photos in .*net\.onnx, got "):
        onnx_teacher(tmp_path, damaged)


def test_an_ensemble_has_the_licences_of_its_members(tmp_path: Path) -> None:
    recorded = TrainingPhotos.of([1], licences=[RENDERS]).to_text()
    members = [onnx_teacher(tmp_path, recorded), UsersTeacher(), onnx_teacher(tmp_path, recorded)]
    assert teacher_licences(Ensemble(members)) == (RENDERS, *teacher_licences(UsersTeacher()))


def test_grounded_sam_has_those_of_its_checkpoints() -> None:
    detector, sam = FakeDetector(), Sam(tiny_sam(), "sam vit_b", SAM["vit_b"].sha256)
    assert GroundedSam(detector, sam, PROMPTS, nothing).licences == (
        Licence("sam_vit_b_01ec64.pth", "Apache-2.0", "yes"),
        not_stated("weights of fake"),
    )
    detector.weights_sha256 = GROUNDING_DINO["swint"].sha256
    assert {licence.commercial for licence in GroundedSam(detector, sam, PROMPTS, nothing).licences} == {"yes"}


def test_a_checkpoint_of_the_hub_has_that_of_its_model_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_checkpoint(tmp_path / "net", "segformer", ["wall", "floor, flooring", "table"])
    monkeypatch.setenv("INTERIOR_SURFACES_CACHE", str(tmp_path / "cache"))
    with serve(Hub("some-lab/rooms", folder)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        teacher = open_huggingface("some-lab/rooms", device="cpu")
    assert teacher.licences == (Licence("some-lab/rooms", "mit", "yes"),)
    assert open_huggingface(str(folder), device="cpu").licences == (Licence("net", "unknown", "unknown"),)
