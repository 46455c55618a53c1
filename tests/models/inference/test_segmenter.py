from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image as Pillow

from models import Segmenter
from models.inference.model_output import MAX_AREA, MAX_SIDE, SIZE_MULTIPLE, TARGET_AREA, choose_input_size
from models.weights.registry import shipped
from surfaces.classes import FLOOR, IGNORE, WALL, SurfaceClass
from surfaces.datasets import Labels, open_dataset
from surfaces.detections import Detection, Image
from surfaces.errors import DeviceError, FetchError, SurfacesError, WeightsError
from surfaces.images.load import load_image

ROOT = Path(__file__).parents[3]
ROOMS = ROOT / "tests" / "data" / "rooms"

LEAST_MEAN_IOU = {WALL: 0.7, FLOOR: 0.7}
"""Below what the network reaches on these rooms: it is trained on other ones."""


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threads=1)


@pytest.fixture(scope="module")
def room() -> Image:
    return open_dataset(ROOMS)[0].image()


def iou(detections: list[Detection], labels: Labels, surface: SurfaceClass) -> float:
    known = labels.semantic != IGNORE
    truth = labels.semantic == surface.coco_id
    mask = np.zeros_like(truth)
    for detection in detections:
        mask |= detection.mask & (detection.surface is surface)
    return float((mask & truth).sum() / max(1, ((mask | truth) & known).sum()))


def test_walls_and_floors_of_rendered_rooms(segmenter: Segmenter) -> None:
    scores: dict[SurfaceClass, list[float]] = {WALL: [], FLOOR: []}
    for sample in open_dataset(ROOMS):
        labels = sample.labels()
        detections = segmenter.predict(sample.image())
        for surface, found in scores.items():
            found.append(iou(detections, labels, surface))
    for surface, least in LEAST_MEAN_IOU.items():
        assert np.mean(scores[surface]) > least


def test_the_same_photo_gives_the_same_segments(segmenter: Segmenter, room: Image) -> None:
    first, second = segmenter.predict(room), Segmenter(threads=1).predict(room)
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.surface is other.surface
        assert one.score == other.score
        np.testing.assert_array_equal(one.mask, other.mask)


def test_an_accurate_one_averages_the_photo_and_its_mirror_image(segmenter: Segmenter, room: Image) -> None:
    accurate = Segmenter(threads=1, accurate=True)
    straight, mirrored = segmenter.infer(room), segmenter.infer(np.ascontiguousarray(room[:, ::-1]))
    both = accurate.infer(room)
    expected = (straight.probabilities + mirrored.probabilities[..., ::-1]) / 2
    np.testing.assert_array_equal(both.probabilities, expected)
    np.testing.assert_array_equal(both.boxes, straight.boxes)
    assert np.abs(expected - straight.probabilities).max() > 0.01


@pytest.mark.parametrize("size", [(16, 16), (1, 300), (300, 1), (100, 1000), (1000, 100), (33, 47)])
def test_sizes_far_from_ordinary(segmenter: Segmenter, room: Image, size: tuple[int, int]) -> None:
    height, width = size
    tiled = np.tile(room, (3, 3, 1))[:height, :width]
    output = segmenter.infer(tiled)
    expected = choose_input_size(height, width)
    assert output.probabilities.shape == (4, expected[0] // 4, expected[1] // 4)
    np.testing.assert_allclose(output.probabilities.sum(axis=0), 1, atol=1e-4)
    assert (output.boxes >= 0).all()
    assert (output.boxes <= 1).all()
    assert (np.diff(output.scores) <= 0).all()
    assert all(detection.mask.shape == size for detection in segmenter.predict(tiled))


def test_strides_do_not_matter(segmenter: Segmenter, room: Image) -> None:
    expected = segmenter.infer(np.ascontiguousarray(room[:, ::-1])).probabilities
    np.testing.assert_array_equal(segmenter.infer(room[:, ::-1]).probabilities, expected)


def test_it_knows_which_weights_it_runs(segmenter: Segmenter) -> None:
    assert (segmenter.name, segmenter.sha256) == ("surfaces", shipped("onnx").sha256)
    for path in (shipped("onnx").path, str(shipped("onnx").path)):
        named = Segmenter(path, threads=1)
        assert (named.name, named.sha256, named.settings) == (segmenter.name, segmenter.sha256, segmenter.settings)


def same(one: list[Detection], other: list[Detection]) -> bool:
    return [d.score for d in one] == [d.score for d in other] and len(one) > 0


def test_a_photo_may_be_given_in_any_form(segmenter: Segmenter, room_path: Path) -> None:
    image = load_image(str(room_path))
    expected = segmenter.predict(image)
    assert same(segmenter.predict(room_path), expected)
    assert same(segmenter.predict(str(room_path)), expected)
    with Pillow.open(room_path) as photo:
        assert same(segmenter.predict(photo), expected)
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    assert same(segmenter.predict(opaque), expected)
    grey = np.asarray(Pillow.fromarray(image).convert("L"))
    expected = segmenter.predict(np.dstack([grey] * 3))
    assert same(segmenter.predict(grey), expected)
    assert same(segmenter.predict(grey[..., None]), expected)


def test_a_pillow_image_is_turned_upright(segmenter: Segmenter, room: Image) -> None:
    turned = Pillow.fromarray(room).transpose(Pillow.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    assert same(segmenter.predict(turned), segmenter.predict(room))


@pytest.mark.parametrize(
    ("photo", "came"),
    [
        (np.zeros((32, 32, 3)), "got an array of float64"),
        (np.zeros((32, 32, 3), np.uint16), "got an array of uint16"),
        (np.zeros((32, 32), bool), "got an array of bool"),
        (np.zeros((3, 32, 32), np.uint8), r"got an array of shape \(3, 32, 32\)"),
        (np.zeros((1, 32, 32, 3), np.uint8), r"got an array of shape \(1, 32, 32, 3\)"),
        (np.zeros((0, 32, 3), np.uint8), r"got an array of shape \(0, 32, 3\)"),
        (np.zeros(32, np.uint8), r"got an array of shape \(32,\)"),
        (None, "got NoneType"),
        ([[0]], "got list"),
        (b"\xff\xd8", "got bytes"),
    ],
    ids=["floats", "deep", "bools", "channels first", "batch", "empty", "line", "nothing", "list", "bytes"],
)
@pytest.mark.parametrize("kind", [SurfacesError, TypeError, ValueError])
def test_other_values_than_photos_are_refused(
    segmenter: Segmenter, photo: object, came: str, kind: type[Exception]
) -> None:
    words = rf"\Aexpected a photo's path, a Pillow image, or uint8 pixels of .*, {came}.*\Z"
    with pytest.raises(kind, match=words):
        segmenter.predict(photo)  # type: ignore[arg-type]


def test_a_missing_photo_is_reported(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="there is no such file"):
        segmenter.predict(tmp_path / "absent.jpg")


def check_refused(path: Path, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        Segmenter(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.onnx", "expected weights at .*: No such file")
    check_refused(tmp_path, "expected weights at .*: Is a directory")


def test_weights_for_training_must_be_exported_first() -> None:
    path = shipped("npz").path
    check_refused(path, rf"expected an ONNX file at .*; run `python -m distill export {path} --out")


@pytest.mark.parametrize("keep", [0, 1000, 1_000_000], ids=["empty", "head", "half"])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(shipped("onnx").path.read_bytes()[:keep])
    check_refused(tmp_path / "cut.onnx", "expected an ONNX file at")


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not weights\n" * 50)
    check_refused(tmp_path / "text.onnx", "expected an ONNX file at")
    value, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "foreign.onnx")
    check_refused(tmp_path / "foreign.onnx", "expected a network that `distill export` wrote")


def test_settings_come_with_the_file(tmp_path: Path, room: Image) -> None:
    model = onnx.load(shipped("onnx").path)
    settings = json.dumps({"smallest_share": 1.0, "table_score": 0.9})
    metadata = {entry.key: entry.value for entry in model.metadata_props} | {"interior-surfaces.merge": settings}
    helper.set_model_props(model, metadata)
    onnx.save(model, tmp_path / "wall.onnx")
    segmenter = Segmenter(tmp_path / "wall.onnx", threads=1)
    assert segmenter.settings.table_score == 0.9
    assert segmenter.predict(room) == []


sides = st.integers(1, 20_000)


def aspect_error(photo: tuple[int, int], size: tuple[int, int]) -> float:
    """By which factor the photo is stretched more in one direction than in the other."""
    return math.exp(abs(math.log(size[1] / size[0] * photo[0] / photo[1])))


@given(sides, sides)
def test_input_sizes_are_valid_and_turn_with_the_photo(height: int, width: int) -> None:
    size, turned = choose_input_size(height, width), choose_input_size(width, height)
    assert all(side % SIZE_MULTIPLE == 0 and SIZE_MULTIPLE <= side <= MAX_SIDE for side in size)
    assert size[0] * size[1] == turned[0] * turned[1] <= MAX_AREA
    assert aspect_error((height, width), size) == pytest.approx(aspect_error((width, height), turned))


@given(st.integers(100, 8000), st.floats(0.5, 2))
def test_ordinary_photos_keep_their_aspect(height: int, aspect: float) -> None:
    width = round(height * aspect)
    size = choose_input_size(height, width)
    assert 0.6 * TARGET_AREA <= size[0] * size[1] <= MAX_AREA
    assert aspect_error((height, width), size) < 1.25


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((480, 640), (512, 640)),
        ((640, 480), (640, 512)),
        ((3000, 3000), (512, 512)),
        ((1080, 1920), (384, 640)),
        ((400, 4000), (128, 1280)),
        ((4000, 400), (1280, 128)),
        ((1, 300), (128, 1536)),
    ],
)
def test_input_sizes_of_common_photos(photo: tuple[int, int], expected: tuple[int, int]) -> None:
    assert choose_input_size(*photo) == expected


def test_a_gpu_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=r"\Aexpected an ONNX Runtime for cuda \(pip install onnxruntime-gpu\)"):
        Segmenter(device="cuda")
    with pytest.raises(DeviceError, match=r"\Aexpected a device out of cpu, cuda, got 'cuda:0'\Z"):
        Segmenter(device="cuda:0")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU runtime")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_no_silent_fallback_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    with pytest.raises(DeviceError, match=r"\Aexpected ONNX Runtime to open .* on cuda, got CPUExecutionProvider\Z"):
        Segmenter(device="cuda")
