"""Which photos a corpus keeps, and why it drops the others."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autolabel.crawling.filters.image_filter import FilterResult, FilterSettings, ImageFilter, Reason
from autolabel.crawling.filters.interiors import InteriorClassifier, SceneShares, interior_features, scene_shares
from autolabel.crawling.filters.statistics import ImageStats
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.images.load import decode_image, load_image
from tests.autolabel.crawling.drawn_pictures import (
    collage,
    framed,
    gray,
    jpeg,
    meadow,
    page,
    plan,
    poster,
    scaled,
    watermarked,
)
from tests.conftest import ROOMS

ROOM_PATHS = sorted((ROOMS / "images").iterdir())
SHARED = Path(__file__).parents[4] / "shared" / "data"

A_ROOM = SceneShares(wall=0.3, floor=0.2, table=0.0, room=0.9)
SMALL = FilterSettings(side_min=300)
ANYTHING = FilterSettings(any_picture=True)


def make_filter(
    chosen: FilterSettings = SMALL, scene: SceneShares = A_ROOM, known: tuple[ImageStats, ...] = ()
) -> ImageFilter:
    """A filter whose network finds the same scene in every photo."""
    return ImageFilter(chosen, known, lambda _: scene)


def classify(image_filter: ImageFilter, data: bytes) -> FilterResult:
    return image_filter.classify(image_filter.measure(data))


def reason(image: Image, chosen: FilterSettings = SMALL, scene: SceneShares = A_ROOM) -> Reason:
    return classify(make_filter(chosen, scene), jpeg(image)).reason


def noise(seed: int, height: int = 320, width: int = 400) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def rooms() -> list[Image]:
    return [load_image(str(path)) for path in ROOM_PATHS]


@pytest.fixture(scope="module")
def student_filter() -> ImageFilter:
    return ImageFilter(SMALL)


def test_rooms_are_kept(student_filter: ImageFilter) -> None:
    for path in ROOM_PATHS[:5]:
        stats = student_filter.measure(path.read_bytes())
        assert student_filter.classify(stats).kept, path.name
        assert stats.wall is not None
        assert stats.wall > 0.05


def test_meadows_show_no_interior(student_filter: ImageFilter) -> None:
    for seed in range(3):
        stats = student_filter.measure(jpeg(meadow(seed)))
        assert stats.room is not None
        assert stats.room < 0.3
        assert student_filter.classify(stats).reason is Reason.NOT_INTERIOR


@pytest.mark.parametrize(("room", "expected"), [(0.5, Reason.KEPT), (0.499, Reason.NOT_INTERIOR)])
def test_the_limit_of_the_interior_score(rooms: list[Image], room: float, expected: Reason) -> None:
    assert reason(rooms[0], scene=A_ROOM._replace(room=room)) is expected


def test_copies_are_dropped(rooms: list[Image]) -> None:
    image_filter, data = make_filter(), jpeg(rooms[0])
    stats = image_filter.measure(data)
    assert image_filter.classify(stats).kept
    again = classify(image_filter, data)
    assert (again.reason, again.duplicate_of) == (Reason.DUPLICATE, stats.sha256)
    assert image_filter.classify(stats).reason is Reason.DUPLICATE, "measured before the first one was kept"
    near = classify(image_filter, jpeg(rooms[0][4:-4, 4:-4], 40))
    assert (near.reason, near.duplicate_of) == (Reason.NEAR_DUPLICATE, stats.sha256)
    assert classify(image_filter, jpeg(rooms[1])).kept
    resumed = make_filter(known=(stats,))
    assert classify(resumed, data).reason is Reason.DUPLICATE
    assert classify(resumed, jpeg(rooms[0], 40)).reason is Reason.NEAR_DUPLICATE


@pytest.mark.parametrize("resumed", [False, True])
def test_the_better_copy_is_kept(rooms: list[Image], resumed: bool) -> None:
    """More pixels are better, then more bytes, then the first."""
    image_filter, small = make_filter(), jpeg(rooms[0], 40)
    first = image_filter.measure(small)
    assert image_filter.classify(first).kept
    for better in (jpeg(rooms[0], 90), jpeg(scaled(rooms[0], 1.5), 60)):
        if resumed:
            image_filter = make_filter(known=(first,))
        stats = image_filter.measure(better)
        result = image_filter.classify(stats)
        assert result.kept
        (superseded,) = result.supersedes
        assert (superseded.sha256, superseded.reason) == (first.sha256, Reason.NEAR_DUPLICATE)
        assert f"superseded by a copy of {stats.width}x{stats.height} pixels" in superseded.detail
        again = classify(image_filter, small)
        assert (again.reason, again.duplicate_of) == (Reason.NEAR_DUPLICATE, stats.sha256)
        first, small = stats, better


def test_of_equal_copies_the_first_is_kept() -> None:
    known = ImageStats("ab" * 32, 1000, 640, 480, near_hash="0f" * 64)
    result = ImageFilter(ANYTHING, (known,)).classify(replace(known, sha256="cd" * 32))
    assert (result.reason, result.duplicate_of) == (Reason.NEAR_DUPLICATE, known.sha256)


def test_a_copy_has_to_be_better_than_all_that_it_resembles() -> None:
    """Two kept photos, not near each other, and one between them."""
    left, right, between = (f"{bits:064x}" * 2 for bits in (0x0000, 0xFFF0, 0x00F0))
    small = ImageStats("aa" * 32, 1000, 640, 480, near_hash=left)
    large = ImageStats("bb" * 32, 1000, 1280, 960, near_hash=right)
    middle = ImageStats("cc" * 32, 1000, 800, 600, near_hash=between)
    image_filter = ImageFilter(replace(ANYTHING, near_max=8), (small, large))
    result = image_filter.classify(middle)
    assert (result.reason, result.duplicate_of) == (Reason.NEAR_DUPLICATE, large.sha256)
    best = replace(middle, sha256="dd" * 32, width=1600, height=1200)
    assert {old.sha256 for old in image_filter.classify(best).supersedes} == {small.sha256, large.sha256}


def test_a_copy_of_a_photo_that_was_superseded_meanwhile_is_a_duplicate(rooms: list[Image]) -> None:
    image_filter, small = make_filter(), jpeg(rooms[0], 40)
    assert classify(image_filter, small).kept
    measured = image_filter.measure(small)
    assert classify(image_filter, jpeg(rooms[0], 90)).kept
    assert image_filter.classify(measured).reason is Reason.DUPLICATE


def test_dropped_photos_have_no_copies(rooms: list[Image]) -> None:
    image_filter = make_filter(FilterSettings(side_min=384))
    assert classify(image_filter, jpeg(scaled(rooms[0], 0.9))).reason is Reason.TOO_SMALL
    assert classify(image_filter, jpeg(rooms[0])).kept


@pytest.mark.parametrize("data", [b"", b"<html>", jpeg(noise(0))[:3000], b"\xff\xd8\xff" + bytes(100)])
def test_the_unreadable_are_dropped(data: bytes) -> None:
    result = classify(make_filter(), data)
    assert result.reason is Reason.UNREADABLE
    assert result.detail


def test_small_photos_are_dropped(rooms: list[Image]) -> None:
    height = rooms[0].shape[0]
    assert reason(rooms[0], FilterSettings(side_min=height)) is Reason.KEPT
    assert reason(rooms[0], FilterSettings(side_min=height + 1)) is Reason.TOO_SMALL


@pytest.mark.parametrize(
    "drawn",
    [page(0), page(0, "#1e1e28", "#e6e6e6"), page(0, "#c8e1f0"), *map(plan, range(4))],
    ids=["page", "dark page", "blue page", *(f"plan {seed}" for seed in range(4))],
)
def test_pages_and_plans_are_dropped(drawn: Image) -> None:
    assert reason(drawn) is Reason.TEXT


def test_posters_are_dropped_and_watermarks_are_not(rooms: list[Image]) -> None:
    found = Counter(reason(poster(room, seed)) for seed, room in enumerate(rooms))
    assert found[Reason.KEPT] == 0
    assert found[Reason.TEXT] >= len(rooms) - 2
    assert all(reason(watermarked(room)) is Reason.KEPT for room in rooms)


@pytest.mark.parametrize("gutter", [0, 2, 4, 8, 24])
@pytest.mark.parametrize("colour", [0, 255])
def test_collages_are_dropped(rooms: list[Image], gutter: int, colour: int) -> None:
    groups = [(rooms[:2], 1), (rooms[2:4], 2), (rooms[4:8], 2), (rooms[8:17], 3)]
    assert all(reason(collage(some, rows, gutter, colour)) is Reason.COLLAGE for some, rows in groups)


@pytest.mark.parametrize("colour", [0, 255])
def test_margins_make_no_collage(rooms: list[Image], colour: int) -> None:
    for room in rooms[:6]:
        assert reason(framed(room, 40, colour)) is Reason.KEPT
        assert reason(np.pad(room, ((90, 90), (0, 0), (0, 0)), constant_values=colour)) is Reason.KEPT


def test_black_and_white_photos_are_dropped(rooms: list[Image]) -> None:
    for room in rooms[:6]:
        assert reason(gray(room)) is Reason.GREY
        assert reason((gray(room) * np.array((1.0, 0.95, 0.85))).astype(np.uint8)) is Reason.GREY
        assert reason(room) is Reason.KEPT


def test_any_picture_is_kept_without_a_network(rooms: list[Image]) -> None:
    image_filter = ImageFilter(FilterSettings(side_min=16, any_picture=True, weights=Path("there is none")))
    pictures = [page(0), plan(1), collage(rooms[1:5], 2, 8), gray(rooms[5]), rooms[0]]
    for image in (*pictures, np.zeros((16, 4000, 3), np.uint8)):
        stats = image_filter.measure(jpeg(image))
        assert image_filter.classify(stats).kept
        assert stats.wall is None
    assert classify(image_filter, jpeg(rooms[0], 40)).reason is Reason.NEAR_DUPLICATE


def test_a_missing_network_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        ImageFilter(FilterSettings(weights=tmp_path / "none.onnx"))


def test_the_network_runs_only_if_nothing_else_drops_the_photo(rooms: list[Image]) -> None:
    seen: list[tuple[int, ...]] = []

    def scene_of(image: Image) -> SceneShares:
        seen.append(image.shape)
        return A_ROOM

    image_filter = ImageFilter(SMALL, scene_of=scene_of)
    room = jpeg(rooms[0])
    for data in (b"", jpeg(page(0)), jpeg(collage(rooms[:4], 2, 8)), jpeg(rooms[0][:200]), room):
        classify(image_filter, data)
    image_filter.measure(room)
    assert seen == [rooms[0].shape]


def test_thumbnails_are_small_and_upright() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[:, :300] = (200, 40, 40)
    thumbnail = decode_image(io.BytesIO(make_filter().measure(jpeg(image)).thumbnail))
    assert thumbnail.shape == (80, 160, 3)
    assert thumbnail[40, 20, 0] > 150
    assert thumbnail[40, 140, 0] < 60


@given(
    st.sampled_from([jpeg(noise(0)), jpeg(page(0))]),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), max_size=20),
    st.integers(1, 40_000),
)
@settings(deadline=None, max_examples=40)
def test_no_photo_makes_it_raise(data: bytes, changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(data[:length])
    for at, value in changes:
        damaged[at % len(damaged)] = value
    classify(make_filter(), bytes(damaged))


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 3000), (3000, 16), (17, 700), (16, 60_000), (60_000, 16)])
def test_odd_shapes_are_measured(size_hw: tuple[int, int]) -> None:
    for image in (noise(0, *size_hw), np.full((*size_hw, 3), 255, np.uint8)):
        assert make_filter(FilterSettings(side_min=16)).measure(jpeg(image)).text is not None


def test_results_do_not_depend_on_threads(rooms: list[Image]) -> None:
    image_filter = ImageFilter(SMALL)
    photos = [jpeg(room) for room in rooms[:3]]
    alone = [image_filter.measure(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(image_filter.measure, photos * 2))
    assert together == alone * 2


def _photos(*folders: str) -> Iterator[bytes]:
    for folder in folders:
        for path in sorted((SHARED / folder).iterdir()):
            yield path.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are not here")
def test_real_interiors_and_what_is_made_of_them() -> None:
    """Prints a table: how many of each kind are kept, and why the others are not."""
    listings = list(_photos("houses", "ikea"))
    images = [decode_image(io.BytesIO(data)) for data in listings[::12]]
    made: dict[str, Callable[[int], Image]] = {
        "watermarked": lambda number: watermarked(images[number]),
        "in a white frame": lambda number: framed(images[number], 40),
        "pages": page,
        "plans": plan,
        "posters": lambda number: poster(images[number], number),
        "collages of 4, gutter 4": lambda number: collage(images[number : number + 4], 2, 4),
        "collages of 4, no gutter": lambda number: collage(images[number : number + 4], 2, 0),
        "black and white": lambda number: gray(images[number]),
    }
    kinds: dict[str, Iterator[bytes] | list[bytes]] = {"listings and catalogues": listings}
    kinds["NYUv2"] = list(_photos("nyuv2/images"))[::4]
    kinds |= {kind: [jpeg(make(number)) for number in range(100)] for kind, make in made.items()}
    kept: dict[str, float] = {}
    for kind, photos in kinds.items():
        image_filter = ImageFilter(FilterSettings(side_min=100))
        found = Counter(classify(image_filter, data).reason for data in photos)
        kept[kind] = found[Reason.KEPT] / found.total()
        reasons = ", ".join(f"{count} {why}" for why, count in found.most_common() if why is not Reason.KEPT)
        print(f"\n{kind:<26}{found.total():>6}{kept[kind]:>8.1%} kept   {reasons}", end="")
    assert min(kept[kind] for kind in ("listings and catalogues", "NYUv2", "watermarked")) > 0.9
    assert max(kept[kind] for kind in ("pages", "plans", "black and white", "collages of 4, gutter 4")) <= 0.02
    assert max(kept[kind] for kind in ("posters", "collages of 4, no gutter")) <= 0.2


def probabilities() -> np.ndarray:
    """Wall above, floor below, half of each in between; a table in a corner of the floor."""
    made = np.zeros((4, 48, 48), np.float32)
    made[1, :16], made[0, :16] = 0.9, 0.1
    made[1:3, 16:32] = 0.5
    made[2, 32:] = 1.0
    made[2, 44:, :12], made[3, 44:, :12] = 0.0, 1.0
    return made


def test_features_are_logarithms_of_shares_and_means() -> None:
    shares = {
        "table": 1 / 48,
        "wall sure": 1 / 3,
        "floor sure": 1 / 3 - 1 / 48,
        "wall top": 0.9,
        "wall middle": 0.5,
        "wall bottom": 0,
        "floor top": 0,
        "floor middle": 0.5,
    }
    means = {
        "other top": 0.1,
        "wall steps": (0.4 + 0.5) / 47,
        "entropy": (-0.9 * math.log(0.9) - 0.1 * math.log(0.1) + math.log(2)) / 3,
    }
    expected = {name: math.log(share + 1e-3) for name, share in shares.items()} | means
    large = np.stack([np.repeat(np.repeat(plane, 4, axis=0), 2, axis=1) for plane in probabilities()])
    for planes in (probabilities(), large):  # features do not depend on the size
        assert interior_features(planes) == pytest.approx(expected, abs=1e-4)
    assert set(InteriorClassifier.load().weights) == set(expected), "the weights that are shipped"


def test_a_score_is_a_logistic_function_of_the_sum() -> None:
    classifier = InteriorClassifier({"a": 2.0, "b": -1.0}, 0.5)
    assert classifier.score({"a": 1.0, "b": 3.0, "c": 9.0}) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert classifier.score({"a": 1e9, "b": 0.0}) == pytest.approx(1)
    assert classifier.score({"a": -1e9, "b": 0.0}) == pytest.approx(0, abs=1e-12)


def test_a_scene_has_mean_probabilities_and_the_score() -> None:
    classifier = InteriorClassifier({"table": 0.5}, 1.0)
    scene = scene_shares(probabilities(), classifier)
    wall, floor, table = 0.9 / 3 + 0.5 / 3, 0.5 / 3 + 1 / 3 - 1 / 48, 1 / 48
    assert (scene.wall, scene.floor, scene.table) == pytest.approx((wall, floor, table))
    assert scene.room == classifier.score(interior_features(probabilities()))


@pytest.mark.parametrize(
    "text", [None, "", "bias = 1.0", "bias = 'a'\n[weights]", "[weights]\na = 1.0", "weights = 1\nbias = 0.0", "a b"]
)
def test_a_file_that_is_no_classifier(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "classifier.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(WeightsError, match="expected an interior classifier at"):
        InteriorClassifier.load(path)
