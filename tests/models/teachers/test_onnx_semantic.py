"""Foreign semantic networks, read by a class map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from models.teachers.class_map import MOSAIC, ClassMap, InputForm, OutputForm
from models.teachers.onnx_semantic import OnnxSemantic
from surfaces.detections import Detection, Image
from surfaces.errors import WeightsError
from surfaces.images.load import load_image
from tests.models.teachers.networks import COLOURS, colour_logits, write_network

SHARED_WEIGHTS = Path(__file__).parents[4] / "shared" / "weights"

OURS = ((1, 4), (2,), ())
"""Red and yellow are wall, green is floor, nothing is a dining table."""


def class_map(size: tuple[int, int] | None = (6, 8), **output: str) -> ClassMap:
    form = InputForm(size) if size else InputForm(multiple_of=4, longest_side=8)
    return ClassMap(form, OutputForm(len(COLOURS), **output), OURS)


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def expected_belief(image: Image) -> np.ndarray:
    logits = colour_logits(image).astype(np.float64)
    soft = np.exp(logits - logits.max(axis=0))
    soft /= soft.sum(axis=0)
    return np.stack([soft[0] + soft[3], soft[1] + soft[4], soft[2], np.zeros_like(soft[0])])


def semantic(weights: Path, how: ClassMap, image: Image) -> np.ndarray:
    prediction = OnnxSemantic(weights, how, threads=1).predict(image)
    assert prediction.instances == ()
    assert prediction.semantic is not None
    assert not prediction.semantic.disagreement.any()
    assert prediction.semantic.disagreement.shape == prediction.semantic.probabilities.shape[1:]
    assert prediction.semantic.probabilities.dtype == np.float32
    return prediction.semantic.probabilities


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_classes_are_summed_after_the_softmax(tmp_path: Path, kind: str, layout: str) -> None:
    weights = write_network(tmp_path / "n.onnx", (6, 8), kind, layout)
    how = ClassMap(InputForm((6, 8), layout=layout), OutputForm(len(COLOURS), kind, layout), OURS)
    image = noise(6, 8)
    np.testing.assert_allclose(semantic(weights, how, image), expected_belief(image), atol=1e-5)


def test_class_numbers_are_sure(tmp_path: Path) -> None:
    image = noise(6, 8)
    winner = colour_logits(image).argmax(axis=0)
    got = semantic(write_network(tmp_path / "n.onnx", (6, 8), "argmax"), class_map(kind="argmax"), image)
    np.testing.assert_array_equal(got[1], np.isin(winner, (1, 4)))
    np.testing.assert_array_equal(got[2], winner == 2)
    np.testing.assert_array_equal(got.sum(axis=0), 1)


@pytest.mark.parametrize("input_type", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8])
def test_element_types(tmp_path: Path, input_type: int) -> None:
    image = noise(6, 8)
    weights = write_network(tmp_path / "n.onnx", (6, 8), input_type=input_type)
    np.testing.assert_allclose(semantic(weights, class_map(), image), expected_belief(image), atol=1e-5)


def test_colours_are_ordered_and_normalised(tmp_path: Path) -> None:
    image = noise(6, 8)
    weights = write_network(tmp_path / "n.onnx", (6, 8), bgr=True, mean=127.5, std=127.5)
    form = InputForm((6, 8), channels="bgr", mean=(127.5,) * 3, std=(127.5,) * 3)
    how = ClassMap(form, OutputForm(len(COLOURS)), OURS)
    np.testing.assert_allclose(semantic(weights, how, image), expected_belief(image), atol=1e-4)


def test_photos_of_any_size_land_on_the_right_pixels(tmp_path: Path) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[:30, :20] = COLOURS[1]  # a wall in the upper left quarter's left half
    fixed = semantic(write_network(tmp_path / "f.onnx", (6, 8)), class_map(), image)
    shaped = semantic(write_network(tmp_path / "s.onnx"), class_map(size=None), image)
    assert fixed.shape == (4, 6, 8)
    assert shaped.shape == (4, 8, 8)
    for got, rows in ((fixed, 3), (shaped, 4)):
        expected = np.zeros(got.shape[1:], bool)
        expected[:rows, :2] = True
        np.testing.assert_array_equal(got[1] > 0.5, expected)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([1, 16, 32]), st.integers(32, 1024))
def test_photo_shaped_inputs(height: int, width: int, multiple: int, longest: int) -> None:
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
        OnnxSemantic(weights, class_map(kind="probabilities"), 1),
        OnnxSemantic(other, class_map(), 1),
    ]
    assert len({teacher.fingerprint for teacher in teachers}) == 3
    assert OnnxSemantic(weights, class_map(), 1).fingerprint == teachers[0].fingerprint
    assert teachers[0].name == "onnx (n)"


@pytest.mark.parametrize(
    ("network", "how", "words"),
    [
        ({"kind": "logits"}, {"kind": "argmax"}, "rows x columns of class numbers"),
        ({"kind": "argmax"}, {"kind": "logits"}, r"1 x 5 classes x rows x columns \(nchw\), got \[1, 6, 8\]"),
        ({"kind": "logits"}, {"layout": "nhwc"}, r"\(nhwc\), got \[1, 8, 5, 6\]"),
        ({"size_hw": (6, 9)}, {}, r"to take \[1, 3, 6, 8\]"),
    ],
)
def test_networks_that_are_not_what_the_class_map_says(
    tmp_path: Path, network: dict[str, str], how: dict[str, str], words: str
) -> None:
    weights = write_network(tmp_path / "n.onnx", **({"size_hw": (6, 8)} | network))
    teacher = OnnxSemantic(weights, class_map(**how), threads=1)
    with pytest.raises(WeightsError, match=words) as caught:
        teacher.predict(noise(6, 8))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not weights")
    for name, words in (("none.onnx", "expected weights at"), ("text.onnx", "expected an ONNX file at")):
        with pytest.raises(WeightsError, match=words):
            OnnxSemantic(tmp_path / name, class_map())


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
    assert ClassMap.read(tmp_path / "map.toml") == class_map()
    mosaic = ClassMap.read(MOSAIC)
    assert (mosaic.input.size, mosaic.output.classes, mosaic.classes) == ((512, 512), 32, ((1,), (4,), (16,)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size =", "sice =", "got 'sice'"),
        ("size = [6, 8]", "size = [6]", "rows and columns"),
        ("size = [6, 8]", "size = 6", "class map"),
        ("size = [6, 8]", "multiple_of = 32", "`longest_side`"),
        ("size = [6, 8]", 'size = [6, 8]\nlayout = "chw"', "nchw or nhwc, got 'chw'"),
        ("size = [6, 8]", "size = [6, 8]\nstd = [1, 1, 0]", "above 0"),
        ("classes = 5", 'classes = 5\nkind = "softmax"', "got 'softmax'"),
        ("classes = 5", "", "classes"),
        ("[output]", "[outputs]", "got 'outputs'"),
        ("wall = [1, 4]", "walls = [1, 4]", "got 'walls'"),
        ("wall = [1, 4]", "wall = [1, 5]", "from 0 to 4"),
        ("wall = [1, 4]", "wall = [1, 2]", "each class number once"),
        ("wall = [1, 4]", 'wall = ["1"]', "whole numbers"),
        ("wall = [1, 4]\nfloor = [2]", "", "got none"),
        ("wall", "wall = [", "class map"),
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
    with pytest.raises(WeightsError, match=r"expected a class map at .*No such file"):
        ClassMap.read(tmp_path / "none.toml")


@pytest.mark.skipif(not SHARED_WEIGHTS.is_dir(), reason="the MOSAIC files are in ../shared/weights, which is absent")
@pytest.mark.parametrize("name", ["mosaic_ade20k", "mosaic_nyuv2"])
def test_mosaic_sees_a_rendered_room(name: str, room_path: Path, room_detections: list[Detection]) -> None:
    room = load_image(str(room_path))
    got = semantic(SHARED_WEIGHTS / f"{name}.onnx", ClassMap.read(MOSAIC), room)
    assert got.shape == (4, 128, 128)
    np.testing.assert_allclose(got.sum(axis=0), 1, atol=1e-5)
    for detection in room_detections:
        inside = cv2.resize(detection.mask.astype(np.uint8), (128, 128), interpolation=cv2.INTER_NEAREST) > 0
        likely = got[detection.surface.coco_id]
        assert likely[inside].mean() > likely[~inside].mean() + 0.1
