from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from models import Segmenter
from models.teachers.base import InstancePrediction, Prediction, SemanticPrediction, Teacher
from models.teachers.class_map import MOSAIC, ClassMap, InputForm, OutputForm
from models.teachers.onnx_semantic import OnnxSemantic
from models.teachers.student import StudentTeacher
from models.teachers.teacher import Belief, Opinion, Proposal
from models.weights.registry import shipped
from surfaces.classes import WALL
from surfaces.detections import Detection, Image
from surfaces.errors import WeightsError
from surfaces.images.load import load_image
from tests.models.teachers.networks import COLOURS, colour_logits, write_network

SHARED_WEIGHTS = Path(__file__).parents[4] / "shared" / "weights"


def class_map(output: dict[str, str] | None = None, **form: Any) -> ClassMap:
    """Red and yellow are wall, green is floor, nothing is a dining table."""
    return ClassMap(
        input=InputForm(**(form or {"size": (6, 8)})),
        output=OutputForm(classes=len(COLOURS), **(output or {})),
        classes={"wall": (1, 4), "floor": (2,)},
    )


def noise(height: int = 6, width: int = 8) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def expected_probabilities(image: Image) -> np.ndarray:
    logits = colour_logits(image).astype(np.float64)
    soft = np.exp(logits - logits.max(axis=0))
    soft /= soft.sum(axis=0)
    return np.stack([soft[0] + soft[3], soft[1] + soft[4], soft[2], np.zeros_like(soft[0])])


def semantic(teacher: Teacher, image: Image) -> np.ndarray:
    prediction = teacher.predict(image)
    assert (prediction.instances, prediction.agreement) == ((), {})
    assert prediction.semantic is not None
    assert not prediction.semantic.disagreement.any()
    assert prediction.semantic.disagreement.shape == prediction.semantic.probabilities.shape[1:]
    assert prediction.semantic.probabilities.dtype == np.float32
    return prediction.semantic.probabilities


@pytest.mark.parametrize(
    ("network", "form", "output"),
    [
        *(
            ({"kind": kind, "layout": layout}, {"layout": layout}, {"kind": kind, "layout": layout})
            for kind in ("logits", "probabilities")
            for layout in ("nchw", "nhwc")
        ),
        ({"input_type": TensorProto.FLOAT16}, {}, {}),
        ({"input_type": TensorProto.UINT8}, {}, {}),
        (
            {"bgr": True, "mean": 127.5, "std": 127.5},
            {"channels": "bgr", "mean": (127.5,) * 3, "std": (127.5,) * 3},
            {},
        ),
    ],
)
def test_photos_are_converted_and_classes_summed_after_the_softmax(
    tmp_path: Path, network: dict[str, Any], form: dict[str, Any], output: dict[str, str]
) -> None:
    weights = write_network(tmp_path / "n.onnx", (6, 8), **network)
    got = semantic(OnnxSemantic(weights, class_map(output, size=(6, 8), **form), 1), noise())
    np.testing.assert_allclose(got, expected_probabilities(noise()), atol=1e-4 if "bgr" in network else 1e-5)


def test_class_numbers_are_certain(tmp_path: Path) -> None:
    winner = colour_logits(noise()).argmax(axis=0)
    weights = write_network(tmp_path / "n.onnx", (6, 8), "argmax")
    got = semantic(OnnxSemantic(weights, class_map({"kind": "argmax"}), 1), noise())
    np.testing.assert_array_equal(got[1], np.isin(winner, (1, 4)))
    np.testing.assert_array_equal(got[2], winner == 2)
    np.testing.assert_array_equal(got.sum(axis=0), 1)


@pytest.mark.parametrize(
    ("form", "size_hw", "wall_rows"),
    [({"size": (6, 8)}, (6, 8), 3), ({"multiple_of": 4, "longest_side": 8}, (8, 8), 4)],
    ids=["fixed", "photo's shape"],
)
def test_photos_of_any_size_keep_their_pixels(
    tmp_path: Path, form: dict[str, Any], size_hw: tuple[int, int], wall_rows: int
) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:30, :20] = COLOURS[1]  # a wall in the upper left quarter's left half
    got = semantic(OnnxSemantic(write_network(tmp_path / "n.onnx", form.get("size")), class_map(**form), 1), image)
    expected = np.zeros(size_hw, bool)
    expected[:wall_rows, :2] = True
    np.testing.assert_array_equal(got[1] > 0.5, expected)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([1, 16, 32]), st.integers(32, 1024))
def test_inputs_of_the_photos_shape(height: int, width: int, multiple: int, longest: int) -> None:
    rows, columns = InputForm(multiple_of=multiple, longest_side=longest).size_for(height, width)
    assert rows % multiple == columns % multiple == 0
    assert multiple <= min(rows, columns)
    assert abs(max(rows, columns) - longest) <= multiple / 2
    for got, side in ((rows, height), (columns, width)):
        assert abs(got - max(multiple, side * longest / max(height, width))) <= multiple / 2 + 1e-6


def test_fingerprints_follow_weights_and_class_map(tmp_path: Path) -> None:
    weights = write_network(tmp_path / "n.onnx", (6, 8))
    other = write_network(tmp_path / "n2.onnx", (6, 8), mean=1)
    teachers = [
        OnnxSemantic(weights, class_map(), 1),
        OnnxSemantic(weights, class_map({"kind": "probabilities"}), 1),
        OnnxSemantic(other, class_map(), 1),
    ]
    assert len({teacher.fingerprint for teacher in teachers}) == 3
    assert OnnxSemantic(weights, class_map(), 1).fingerprint == teachers[0].fingerprint
    assert teachers[0].name == "onnx (n)"


@pytest.mark.parametrize(
    ("network", "output", "words"),
    [
        ({"kind": "logits"}, {"kind": "argmax"}, "rows x columns of class numbers"),
        ({"kind": "argmax"}, {"kind": "logits"}, r"1 x 5 classes x rows x columns \(nchw\), got \[1, 6, 8\]"),
        ({"kind": "logits"}, {"layout": "nhwc"}, r"\(nhwc\), got \[1, 8, 5, 6\]"),
        ({"size_hw": (6, 9)}, {}, r"to take \[1, 3, 6, 8\]"),
    ],
)
def test_networks_that_differ_from_the_class_map(
    tmp_path: Path, network: dict[str, str], output: dict[str, str], words: str
) -> None:
    weights = write_network(tmp_path / "n.onnx", **({"size_hw": (6, 8)} | network))
    teacher = OnnxSemantic(weights, class_map(output), threads=1)
    with pytest.raises(WeightsError, match=rf"\A.*{words}.*\Z"):
        teacher.predict(noise())


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not weights")
    for name, words in (("none.onnx", "expected weights at"), ("text.onnx", "expected an ONNX file at")):
        with pytest.raises(WeightsError, match=words):
            OnnxSemantic(tmp_path / name, class_map())
        with pytest.raises(WeightsError, match=words):
            StudentTeacher(tmp_path / name)


TOML = """
[input]
size = [6, 8]
[output]
classes = 5
[classes]
wall = [1, 4]
floor = [2]
"""


def test_class_maps_are_read(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(TOML)
    read = ClassMap.read(tmp_path / "map.toml")
    assert read == class_map()
    assert read.classes == ((1, 4), (2,), ())
    mosaic = ClassMap.read(MOSAIC)
    assert (mosaic.input.size, mosaic.output.classes, mosaic.classes) == ((512, 512), 32, ((1,), (4,), (16,)))


def test_fingerprints_of_class_maps_are_those_of_version_0_1(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(TOML.replace("[output]", "mean = [123, 117.5, 104]\n[output]"))
    described = ClassMap.read(tmp_path / "map.toml").model_dump()
    assert json.dumps(described, sort_keys=True) == (
        '{"classes": [[1, 4], [2], []], "input": {"channels": "rgb", "layout": "nchw", "longest_side": 0, '
        '"mean": [123, 117.5, 104], "multiple_of": 0, "size": [6, 8], "std": [1.0, 1.0, 1.0]}, '
        '"output": {"classes": 5, "kind": "logits", "layout": "nchw"}}'
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size =", "sice =", "unknown key 'sice'"),
        ("size = [6, 8]", "size = [6]", "rows and columns"),
        ("size = [6, 8]", "size = 6", "expected `size` in [input] to be a list, got 6"),
        ("size = [6, 8]", "multiple_of = 32", "`longest_side`"),
        ("size = [6, 8]", 'size = [6, 8]\nlayout = "chw"', "'nchw' or 'nhwc', got 'chw'"),
        ("size = [6, 8]", "size = [6, 8]\nstd = [1, 1, 0]", "above 0"),
        ("size = [6, 8]", "size = [6, 8]\nmean = [1, 1, true]", "expected `mean` in [input] to be"),
        ("classes = 5", 'classes = 5\nkind = "softmax"', "got 'softmax'"),
        ("classes = 5", "", "expected `classes` in [output], got none"),
        ("[output]", "[outputs]", "expected [output], got none"),
        ("[classes]", "[groups]", "expected `classes`, got none"),
        ("[classes]", "[[classes]]", "expected [classes] to be a table"),
        ("wall = [1, 4]", "walls = [1, 4]", "unknown key 'walls'; did you mean 'wall'?"),
        ("wall = [1, 4]", "wall = [1, 5]", "from 0 to 4"),
        ("wall = [1, 4]", "wall = [1, 2]", "each class number once"),
        ("wall = [1, 4]", 'wall = ["1"]', "a valid integer, got '1'"),
        ("wall = [1, 4]", "wall = 1", "expected `classes` to be a list, got 1"),
        ("wall = [1, 4]\nfloor = [2]", "", "got none"),
        ("wall", "wall = [", "TOML"),
    ],
)
def test_class_maps_with_a_mistake(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "map.toml"
    assert old in TOML
    path.write_text(TOML.replace(old, new, 1))
    with pytest.raises(WeightsError) as caught:
        ClassMap.read(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_class_map(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected a TOML file at .*none\.toml: .*No such file"):
        ClassMap.read(tmp_path / "none.toml")


@pytest.mark.skipif(not SHARED_WEIGHTS.is_dir(), reason="the MOSAIC files are in ../shared/weights, which is absent")
@pytest.mark.parametrize("name", ["mosaic_ade20k", "mosaic_nyuv2"])
def test_mosaic_on_a_rendered_room(name: str, room_path: Path, room_detections: list[Detection]) -> None:
    teacher = OnnxSemantic(SHARED_WEIGHTS / f"{name}.onnx", ClassMap.read(MOSAIC), 1)
    got = semantic(teacher, load_image(str(room_path)))
    assert got.shape == (4, 128, 128)
    np.testing.assert_allclose(got.sum(axis=0), 1, atol=1e-5)
    for detection in room_detections:
        inside = cv2.resize(detection.mask.astype(np.uint8), (128, 128), interpolation=cv2.INTER_NEAREST) > 0
        likely = got[detection.surface.coco_id]
        assert likely[inside].mean() > likely[~inside].mean() + 0.1


def test_a_student_predicts_its_semantic_branch(room_path: Path) -> None:
    room = load_image(str(room_path))
    teacher = StudentTeacher(threads=1)
    expected = Segmenter(threads=1, accurate=True).infer(room).probabilities
    np.testing.assert_array_equal(semantic(teacher, room), expected)
    named = StudentTeacher(shipped("onnx").path, threads=1)
    assert (named.name, named.fingerprint) == (teacher.name, teacher.fingerprint)
    assert teacher.name == "student (surfaces)"


def test_records_of_version_0_1_are_predictions() -> None:
    box, mask = np.array([0, 0, 2, 2], np.float32), np.ones((2, 2), bool)
    proposal = Proposal(WALL, "wall", 0.5, box, mask, qualities={"stability": 0.75})
    belief = Belief(np.full((4, 1, 1), 0.25, np.float32), np.zeros((1, 1), np.float32))
    opinion = Opinion(proposals=(proposal,), belief=belief, agreement={"flips": 1.0})
    assert isinstance(opinion, Prediction)
    assert isinstance(proposal, InstancePrediction)
    assert isinstance(belief, SemanticPrediction)
    assert opinion.instances == opinion.proposals == (proposal,)
    assert opinion.semantic is opinion.belief is belief
    assert opinion.agreement == {"flips": 1.0}
    assert proposal.quality_scores == proposal.qualities == {"stability": 0.75}
    assert (Opinion().instances, Opinion().semantic, Opinion().agreement) == ((), None, {})
    assert Proposal(None, "desk", 0.5, box, mask).quality_scores == {}
