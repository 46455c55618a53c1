from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from labelstudio.errors import AnnotationError
from labelstudio.project.labeling_config import label_config
from labelstudio.sync.brush import encode_brush
from labelstudio.sync.regions import annotation_to_labels, labels_to_prediction, rasterize_polygon
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import entry, labels_of_masks
from tests.labelstudio.sync.drawn_labels import any_labels, drawing_of, drawn, mask_of

ROOM = drawn("wwww.??.", "w..w11..", "wwww1122", "ffffff22")
HEIGHT, WIDTH = ROOM.ignore_mask.shape


def pushed(labels: ScoredLabels = ROOM) -> list[dict[str, Any]]:
    """The regions of a prediction as a person's annotation has them who changed nothing."""
    regions: list[dict[str, Any]] = json.loads(json.dumps(labels_to_prediction(labels, "teacher 1")))["result"]
    return [region | {"origin": "prediction"} for region in regions]


def brush(label: str, *rows: str, **changes: Any) -> dict[str, Any]:
    mask = mask_of(*rows)
    rle = encode_brush(mask)
    return entry("brush", "brushlabels", mask.shape, format="rle", rle=rle, brushlabels=[label]) | changes


def polygon(points: Any, label: str = "dining table", **changes: Any) -> dict[str, Any]:
    size_hw = (HEIGHT, WIDTH)
    return entry("polygon", "polygonlabels", size_hw, points=points, closed=True, polygonlabels=[label]) | changes


@given(any_labels)
def test_accepted_predictions_restore_the_labels(labels: ScoredLabels) -> None:
    size = labels.ignore_mask.shape
    for predicted in (labels, None):
        back = annotation_to_labels(pushed(labels), *size, predicted).labels
        assert np.array_equal(back.ignore_mask, labels.ignore_mask)
        assert len(back.segments) == len(labels.segments)
        for ours, theirs in zip(back.segments, labels.segments, strict=True):
            assert ours.detection.surface == theirs.detection.surface
            assert np.array_equal(ours.detection.mask, theirs.detection.mask)


def test_a_prediction_has_regions_scores_and_stable_ids() -> None:
    prediction = labels_to_prediction(ROOM, "student abc")
    assert prediction["model_version"] == "student abc"
    assert prediction["score"] == 0.5
    assert [(region["id"], region["value"]["brushlabels"]) for region in prediction["result"]] == [
        ("wall", ["wall"]),
        ("floor", ["floor"]),
        ("dining-table-1", ["dining table"]),
        ("dining-table-2", ["dining table"]),
        ("unsure", ["unsure"]),
    ]
    assert [region.get("score") for region in prediction["result"]] == [0.5, 0.5, 0.5, 0.5, None]
    assert prediction == labels_to_prediction(ROOM, "student abc")
    assert LabelInterface(label_config()).validate_prediction(prediction, return_errors=True) == []


RATING = entry("quality", "rating", rating=4)
RELATION = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
EDITOR_FIELDS = {
    "hidden": True,
    "locked": True,
    "readonly": True,
    "parentID": "",
    "meta": {"text": ["a"]},
    "score": 0.2,
}
OF_A_REGION = entry("age", "choices", choices=["old"], format="rle", rle=[]) | {"id": "wall"}
ROWS = drawing_of(ROOM)
NOTHING = ["........"] * 4
ERASED_FLOOR = brush("floor", *NOTHING, id="floor")
PAINTED_FLOOR = brush("floor", "........", "........", "xxxx....", "........")
TABLES = [polygon([[0, 50], [50, 50], [50, 100], [0, 100]]), polygon([[50, 50], [120, 50], [120, 90], [50, 90]])]


@pytest.mark.parametrize(
    ("result", "predicted", "expected"),
    [
        ([], ROOM, NOTHING),
        ([entry("comment", "textarea", text="empty")], ROOM, NOTHING),
        ([ERASED_FLOOR, *(each for each in pushed() if each["id"] != "floor")], ROOM, [*ROWS[:3], "......22"]),
        ([*pushed(), PAINTED_FLOOR], ROOM, ["wwww.??.", "w..w11..", "ffff1122", "ffffff22"]),
        (TABLES, None, ["........", "........", "11112222", "11112222"]),
        ([*pushed(), polygon([[0, 0], [25, 0], [25, 25], [0, 25]])], ROOM, ["33ww.??.", *ROWS[1:]]),
        ([region | {"image_rotation": 90} for region in pushed()], None, ROWS),
        ([region | EDITOR_FIELDS for region in pushed()], None, ROWS),
        ([RATING, RELATION, OF_A_REGION, *pushed()], ROOM, ROWS),
    ],
    ids=[
        *("nothing", "a comment alone", "an erased region", "paint over the prediction", "polygons are tables"),
        *("a polygon beside predicted tables", "rotation in the editor", "further fields of the editor"),
        "relations and answers to other controls",
    ],
)
def test_annotations_become_labels(result: list[Any], predicted: ScoredLabels | None, expected: list[str]) -> None:
    labels = annotation_to_labels(result, HEIGHT, WIDTH, predicted).labels
    assert drawing_of(labels) == expected
    assert labels.quality_scores == {}
    assert labels.soft_labels is None
    assert {segment.detection.score for segment in labels.segments} <= {1.0}
    assert labels_to_prediction(labels, "x")["score"] == 1


RECT = {"x": 10, "y": 50, "width": 40, "height": 40, "rotation": 0}
UNUSABLE = {
    "box": entry("box", "rectanglelabels", **RECT, rectanglelabels=["dining table"]),
    "box of zero size": entry("box", "rectanglelabels", **RECT | {"width": 0}, rectanglelabels=["wall"]),
    "box turned": entry("box", "rectanglelabels", **RECT | {"rotation": 30}, rectanglelabels=["wall"]),
    "box without label": entry("box", "rectangle", **RECT),
    "box of another control": entry("boxes", "rectanglelabels", **RECT, rectanglelabels=["dining table"]),
    "box told as a brush": entry("brush", "rectanglelabels", **RECT, rectanglelabels=["wall"]),
    "labels apart": entry("label", "labels", **RECT, labels=["wall"]),
    "ellipse": entry("ring", "ellipselabels", x=50, y=50, radiusX=9, radiusY=9, ellipselabels=["dining table"]),
    "click": entry("click", "keypointlabels", x=1, y=1, width=1, keypointlabels=["floor"]),
    "bitmask": entry("bits", "bitmasklabels", imageDataURL="data:image/png;base64,", bitmasklabels=["wall"]),
    "vector": entry("line", "vectorlabels", vertices=[{"x": 1, "y": 1}], vectorlabels=["wall"]),
    "video": entry("video", "videorectangle", sequence=[RECT], labels=["wall"]),
    "text": entry("ner", "hypertextlabels", start="/p", end="/p", hypertextlabels=["wall"]),
    "no type": {"id": "zz", "from_name": "box", "to_name": "photo", "value": RECT},
    "choice told as a brush": entry("brush", "choices", choices=["wall"]),
    "polygon without area": polygon([[0, 0], [50, 50], [100, 100]]),
    "polygon of one point": polygon([[20, 20]] * 4),
    "polygon beside the photo": polygon([[101, 0], [150, 0], [150, 50]]),
    "polygon of another control": polygon([[0, 0], [50, 0], [50, 50]], from_name="outline"),
    "polygon with two labels": entry("polygon", "polygonlabels", points=[], polygonlabels=["dining table", "wall"]),
    "label in another case": brush("Wall", *["xxxxxxxx"] * 4),
}


@pytest.mark.parametrize("others", ["alone", "beside labels", "beside a comment"])
@pytest.mark.parametrize("region", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_regions_that_cannot_be_used_are_errors(region: dict[str, Any], others: str) -> None:
    beside = {"alone": [], "beside labels": pushed(), "beside a comment": [entry("comment", "textarea", text="hm")]}
    with pytest.raises(AnnotationError, match=r"^region '.*': expected "):
        annotation_to_labels([*beside[others], region], HEIGHT, WIDTH, ROOM)


EMPTY = brush("wall", *NOTHING)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([EMPTY], "expected regions with pixels, got only empty ones"),
        ([EMPTY, ERASED_FLOOR, RATING], "expected regions with pixels"),
        ([RATING], "expected regions, or an annotation without any result, got only 'rating' of 'quality'"),
        ([RELATION], "got only 'relation' of None"),
        ([entry("room", "choices", choices=["kitchen"]), RATING], "got only 'choices' of 'room', 'rating' of"),
        *(
            (no, "expected an annotation's result as a list of regions, got ")
            for no in (None, {}, "[]", [None], [["a"]])
        ),
    ],
)
def test_annotations_are_empty_only_on_purpose_and_lists_of_regions(result: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        annotation_to_labels(result, HEIGHT, WIDTH, ROOM)


def test_more_tables_than_can_be_numbered_are_rejected() -> None:
    def strip(number: int) -> dict[str, Any]:
        mask = np.zeros((1, 300), bool)
        mask[0, number] = True
        return labels_to_prediction(labels_of_masks([("dining table", mask)]), "x")["result"][0] | {"id": f"{number}"}

    assert len(annotation_to_labels([strip(number) for number in range(254)], 1, 300).labels.segments) == 254
    with pytest.raises(AnnotationError, match="expected at most 254 tables, got 255"):
        annotation_to_labels([strip(number) for number in range(255)], 1, 300)


@pytest.mark.parametrize("verdict", ["unsure", "reject"])
def test_verdict_and_comment(verdict: str) -> None:
    said = [
        entry("verdict", "choices", choices=[verdict]),
        entry("comment", "textarea", text=["two rooms", " mirror\n"]),
    ]
    assert annotation_to_labels([entry("comment", "textarea", text="dark")], 3, 3).comment == "dark", "may be one text"
    without = annotation_to_labels(pushed(), HEIGHT, WIDTH, ROOM)
    assert (without.verdict, without.comment) == (None, "")
    reviewed = annotation_to_labels([*said, *pushed()], HEIGHT, WIDTH, ROOM)
    assert reviewed.verdict == verdict
    assert reviewed.comment == "two rooms\n mirror"
    assert drawing_of(reviewed.labels) == drawing_of(ROOM)


FULL = ["xxxxxxxx"] * 4
OPEN = entry("polygon", "polygonlabels", (HEIGHT, WIDTH), points=[], closed=False, polygonlabels=["dining table"])


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (brush("sofa", *FULL), "region 'Ab-3_x': expected the label wall, floor, dining table or unsure, got 'sofa'"),
        (brush("wall", *FULL[1:]), "region 'Ab-3_x': expected a photo of 8x4 pixels, got 8x3"),
        (brush("wall", *FULL, original_width=None), "expected a photo of 8x4 pixels, got Nonex4"),
        (brush("wall", *FULL[1:], original_height=4), "expected brush RLE of 128 values (8x4), got 96"),
        (brush("wall", *FULL, value={"brushlabels": ["wall"]}), "expected brush RLE as a list of bytes, got NoneType"),
        (
            brush("wall", *FULL, value={"brushlabels": ["wall", "floor"], "rle": []}),
            "expected one label, got ['wall', 'floor']",
        ),
        (brush("wall", *FULL, value={"rle": []}), "expected one label, got None"),
        (brush("wall", *FULL, value={"rle": [], "brushlabels": [["wall"]]}), "got ['wall']"),
        (brush("wall", *FULL, value=None), "expected a region with a value, got None"),
        (brush("wall", *FULL, value={"brushlabels": ["wall"], "touches": [{}]}), "got a draft's strokes"),
        (brush("wall", *FULL, from_name="pencil"), "got 'brushlabels' of 'pencil'"),
        (brush("wall", *FULL, type="brush"), "got 'brush' of 'brush'"),
        (brush("wall", *FULL, type=[]), "got [] of 'brush'"),
        (polygon([[0, 0], [50, 50]]), "expected a polygon of 3 points or more, got [[0, 0], [50, 50]]"),
        (polygon([[0, 0, 1]] * 4), "expected a polygon of 3 points or more"),
        (polygon([]), "expected a polygon of 3 points or more, got []"),
        (polygon(None), "expected a polygon of 3 points or more, got None"),
        (polygon([[0, 0], [1], [2, 2]]), "expected a polygon's points as pairs of numbers"),
        (polygon([[-10_000, -10_000], [10_000, 10_000]] * 10_000), "a polygon that crosses at most 1000000 pixels"),
        (polygon([[0, 0], [10**400, 1], [2, 2]]), "expected a polygon's points as pairs of numbers"),
        (polygon([[0, 0], ["a\nb", 1], [2, 2]]), "expected a polygon's points as pairs of numbers"),
        (polygon([[0, 0], [float("nan"), 1], [2, 2]]), "in per cent of the photo"),
        (polygon([[0, 0], [1e300, 1], [2, 2]]), "in per cent of the photo"),
        (polygon([[0, 0], [9, 1], [2, 2]], original_width=9), "expected a photo of 8x4 pixels, got 9x4"),
        (OPEN, "expected a closed polygon, got an open one"),
        (entry("verdict", "choices", choices=["maybe"]), "expected the verdict unsure or reject, got ['maybe']"),
        (entry("verdict", "choices", choices=["unsure", "reject"]), "expected the verdict unsure or reject, got"),
        (entry("verdict", "choices"), "expected the verdict unsure or reject, got [None]"),
        (entry("comment", "textarea", text=[4]), "expected the comment as text, got [4]"),
    ],
)
def test_invalid_regions_are_rejected_in_one_line(region: dict[str, Any], message: str) -> None:
    given_regions = [*pushed(), region]
    untouched = copy.deepcopy(given_regions)
    with pytest.raises(AnnotationError) as caught:
        annotation_to_labels(given_regions, HEIGHT, WIDTH, ROOM)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert json.dumps(given_regions) == json.dumps(untouched)


def filled(points: list[tuple[float, float]], height: int = 4, width: int = 5) -> np.ndarray:
    return rasterize_polygon(np.array(points, np.float64), height, width)


SQUARE = [(1.4, 0.6), (3.6, 0.6), (3.6, 2.4), (1.4, 2.4)]


@pytest.mark.parametrize(
    ("points", "rows"),
    [
        (SQUARE, [".....", ".xxx.", ".....", "....."]),
        (SQUARE[::-1], [".....", ".xxx.", ".....", "....."]),
        ([(0, 0), (4, 4), (0, 4)], [".....", "x....", "xx...", "xxx.."]),
        ([(-50, -60), (90, -60), (90, 70), (-50, 70)], ["xxxxx"] * 4),
        ([(3, -9), (99, -9), (99, 2), (3, 2)], ["...xx", "...xx", ".....", "....."]),
        ([(-9, -9), (-1, -9), (-1, -1)], ["....."] * 4),
        ([(0, 0), (5, 4), (5, 0), (0, 4)], ["x...x", "xx.xx", "xx.xx", "x...x"]),
        ([(0, 0), (5, 0), (5, 4), (0, 4)] * 2, ["xxxxx"] * 4),
        ([(0, 1.5), (5, 1.5), (2, 1.5)], ["....."] * 4),
        ([(2.5, 2.5)] * 3, ["....."] * 4),
    ],
    ids=[
        *("pixels whose centres are inside", "turned round", "triangle", "around the photo", "clipped", "outside"),
        *("bow tie", "twice round", "line", "point"),
    ],
)
def test_polygons_are_filled_as_a_canvas_fills_them(points: list[tuple[float, float]], rows: list[str]) -> None:
    assert np.array_equal(filled(points), mask_of(*rows))


def test_polygons_that_meet_share_no_pixel_and_a_star_is_filled() -> None:
    left, right = [(0, 0), (2.5, 0), (2.5, 4), (0, 4)], [(2.5, 0), (5, 0), (5, 4), (2.5, 4)]
    assert np.array_equal(filled(left) ^ filled(right), np.ones((4, 5), bool))
    star = filled([(3.5, 0), (5.6, 6.5), (0.1, 2.5), (6.9, 2.5), (1.4, 6.5)], 7, 7)
    assert star[3, 3], "the even-odd rule would not fill it"


@given(st.lists(st.tuples(st.floats(-9, 19), st.floats(-9, 19)), min_size=3, max_size=9), st.integers(0, 8))
def test_where_a_polygon_begins_does_not_matter(points: list[tuple[float, float]], turn: int) -> None:
    turn %= len(points)
    assert np.array_equal(filled(points, 11, 13), filled(points[turn:] + points[:turn], 11, 13))
