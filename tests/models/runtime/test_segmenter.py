"""The shipped network on a CPU, through `Segmenter`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image as Pillow

from models import Segmenter
from models.inference.model_output import choose_input_size
from models.weights.registry import shipped
from surfaces.classes import FLOOR, IGNORE, WALL, SurfaceClass
from surfaces.datasets import Labels, open_dataset
from surfaces.detections import Detection, Image
from surfaces.errors import FetchError, SurfacesError, WeightsError
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


@pytest.mark.parametrize("size", [(16, 16), (1, 300), (300, 1), (100, 1000), (1000, 100), (33, 47)])
def test_sizes_far_from_ordinary(segmenter: Segmenter, room: Image, size: tuple[int, int]) -> None:
    height, width = size
    tiled = np.tile(room, (3, 3, 1))[:height, :width]
    raw = segmenter.raw(tiled)
    expected = choose_input_size(height, width)
    assert raw.probabilities.shape == (4, expected[0] // 4, expected[1] // 4)
    np.testing.assert_allclose(raw.probabilities.sum(axis=0), 1, atol=1e-4)
    assert (raw.boxes >= 0).all()
    assert (raw.boxes <= 1).all()
    assert (np.diff(raw.scores) <= 0).all()
    assert all(detection.mask.shape == size for detection in segmenter.predict(tiled))


def test_views_and_strides_do_not_matter(segmenter: Segmenter, room: Image) -> None:
    expected = segmenter.raw(np.ascontiguousarray(room[:, ::-1])).probabilities
    np.testing.assert_array_equal(segmenter.raw(room[:, ::-1]).probabilities, expected)


def test_it_says_which_weights_it_runs(segmenter: Segmenter) -> None:
    assert segmenter.name == "surfaces"
    assert segmenter.sha256 == shipped("onnx").sha256
    named = Segmenter(shipped("onnx").path, threads=1)
    assert (named.name, named.sha256, named.settings) == (segmenter.name, segmenter.sha256, segmenter.settings)


def test_a_path_may_be_a_string(segmenter: Segmenter) -> None:
    assert Segmenter(str(shipped("onnx").path), threads=1).sha256 == segmenter.sha256


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
def test_what_is_no_photo_is_refused(segmenter: Segmenter, photo: object, came: str, kind: type[Exception]) -> None:
    with pytest.raises(
        kind, match=rf"\Aexpected a photo's path, a Pillow image, or uint8 pixels of .*, {came}"
    ) as caught:
        segmenter.predict(photo)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_missing_photo_is_told(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="there is no such file"):
        segmenter.predict(tmp_path / "absent.jpg")


def test_weights_for_training_are_to_be_exported_first() -> None:
    path = shipped("npz").path
    check_refused(path, rf"expected an ONNX file at .*; run `python -m distill export {path} --out")


def foreign_network() -> onnx.ModelProto:
    """A valid network of somebody else's."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def shipped_with(path: Path, **metadata: str) -> Path:
    model = onnx.load(shipped("onnx").path)
    kept = {entry.key: entry.value for entry in model.metadata_props} | metadata
    helper.set_model_props(model, kept)
    onnx.save(model, path)
    return path


def check_refused(path: Path, words: str) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        Segmenter(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.onnx", "expected weights at .*: No such file")
    check_refused(tmp_path, "expected weights at .*: Is a directory")


@pytest.mark.parametrize("keep", [0, 1000, 1_000_000], ids=["empty", "head", "cut off"])
def test_a_file_that_is_cut_off(tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(shipped("onnx").path.read_bytes()[:keep])
    check_refused(tmp_path / "cut.onnx", "expected an ONNX file at")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not weights\n" * 50)
    check_refused(tmp_path / "text.onnx", "expected an ONNX file at")


def test_another_network(tmp_path: Path) -> None:
    onnx.save(foreign_network(), tmp_path / "foreign.onnx")
    check_refused(tmp_path / "foreign.onnx", "expected a network that `distill export` wrote")


@pytest.mark.parametrize("settings", ["{}}", '{"colour": 1}', "[1]"])
def test_settings_that_are_none(tmp_path: Path, settings: str) -> None:
    check_refused(shipped_with(tmp_path / "odd.onnx", **{"interior-surfaces.merge": settings}), "expected an ONNX file")


def test_settings_come_with_the_file(tmp_path: Path, room: Image) -> None:
    path = shipped_with(
        tmp_path / "wall.onnx", **{"interior-surfaces.merge": json.dumps({"smallest_share": 1.0, "table_score": 0.9})}
    )
    segmenter = Segmenter(path, threads=1)
    assert segmenter.settings.table_score == 0.9
    assert segmenter.predict(room) == []
