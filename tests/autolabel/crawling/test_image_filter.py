"""What a corpus keeps, and why it drops the rest."""

from __future__ import annotations

import io
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

from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter, Reason
from autolabel.crawling.filters.interiors import InteriorClassifier, SceneShares, interior_features, scene_shares
from autolabel.crawling.filters.statistics import ImageStats
from surfaces.detections import Image
from surfaces.errors import WeightsError
from surfaces.images.load import decode_image, load_image
from tests.autolabel.crawling.drawn_pictures import collage, framed, jpeg, meadow, page, plan, poster, watermarked
from tests.conftest import ROOMS

ROOM_PATHS = sorted((ROOMS / "images").iterdir())
SHARED = Path(__file__).parents[4] / "shared" / "data"

A_ROOM = SceneShares(wall=0.3, floor=0.2, table=0.0, room=0.9)
SMALL = FilterSettings(side_min=300)


def judge(
    chosen: FilterSettings = SMALL, scene: SceneShares = A_ROOM, known: tuple[ImageStats, ...] = ()
) -> ImageFilter:
    """A judge whose network sees the same in every photo."""
    return ImageFilter(chosen, known, lambda _: scene)


def reason(image: Image, chosen: FilterSettings = SMALL, scene: SceneShares = A_ROOM) -> Reason:
    asked = judge(chosen, scene)
    return asked.classify(asked.measure(jpeg(image))).reason


def noise(seed: int, height: int = 320, width: int = 400) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def rooms() -> list[Image]:
    return [load_image(str(path)) for path in ROOM_PATHS]


@pytest.fixture(scope="module")
def real_judge() -> ImageFilter:
    return ImageFilter(SMALL)


def test_rooms_are_kept(real_judge: ImageFilter) -> None:
    for path in ROOM_PATHS[:5]:
        stats = real_judge.measure(path.read_bytes())
        result = real_judge.classify(stats)
        assert result.kept, f"{path.name}: {result}"
        assert stats.wall is not None
        assert stats.wall > 0.05


def test_meadows_show_no_interior(real_judge: ImageFilter) -> None:
    for seed in range(3):
        stats = real_judge.measure(jpeg(meadow(seed)))
        assert stats.room is not None
        assert stats.room < 0.3
        assert real_judge.classify(stats).reason is Reason.NOT_INTERIOR


@pytest.mark.parametrize(("room", "expected"), [(0.5, Reason.KEPT), (0.499, Reason.NOT_INTERIOR)])
def test_what_is_less_than_half_like_a_room_is_dropped(rooms: list[Image], room: float, expected: Reason) -> None:
    assert reason(rooms[0], scene=A_ROOM._replace(room=room)) is expected


def test_a_scene_sums_a_belief_up() -> None:
    belief = np.zeros((4, 6, 4), np.float32)
    belief[0] = 1
    belief[:, 0, 0] = (0.1, 0.0, 0.9, 0.0)
    belief[:, 2, :] = np.array((0.0, 0.9, 0.1, 0.0))[:, None]
    belief[:, 5, :2] = np.array((0.3, 0.0, 0.2, 0.5))[:, None]
    rule = InteriorClassifier({"table": 0.5}, 1.0)
    scene = scene_shares(belief, rule)
    assert (scene.wall, scene.floor, scene.table) == pytest.approx((3.6 / 24, 1.7 / 24, 1.0 / 24))
    assert scene.room == rule.score(interior_features(belief))


def test_facts_of_an_older_ledger_are_read() -> None:
    told = ImageStats.from_json('{"sha256":"ab","size":7,"wall":0.4,"sure":0.2,"floor_above":0.0}')
    assert told == ImageStats("ab", 7, wall=0.4)


def test_copies_are_dropped(rooms: list[Image]) -> None:
    asked, data = judge(), jpeg(rooms[0])
    stats = asked.measure(data)
    assert asked.classify(stats).kept
    again = asked.classify(asked.measure(data))
    assert (again.reason, again.duplicate_of) == (Reason.DUPLICATE, stats.sha256)
    assert asked.classify(stats).reason is Reason.DUPLICATE, "measured before the first one was kept"
    near = asked.classify(asked.measure(jpeg(rooms[0][4:-4, 4:-4], 40)))
    assert (near.reason, near.duplicate_of) == (Reason.NEAR_DUPLICATE, stats.sha256)
    assert asked.classify(asked.measure(jpeg(rooms[1]))).kept


def test_copies_of_what_an_earlier_run_kept_are_dropped(rooms: list[Image]) -> None:
    data = jpeg(rooms[0])
    stats = judge().measure(data)
    resumed = judge(known=(stats,))
    assert resumed.classify(resumed.measure(data)).reason is Reason.DUPLICATE
    assert resumed.classify(resumed.measure(jpeg(rooms[0], 40))).reason is Reason.NEAR_DUPLICATE


def enlarged(image: Image, factor: float) -> Image:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_better_copy_is_kept(rooms: list[Image], resumed: bool) -> None:
    """More pixels are better, then more bytes, then what came first."""
    asked = judge()
    small = jpeg(rooms[0], 40)
    first = asked.measure(small)
    assert asked.classify(first).kept
    for better in (jpeg(rooms[0], 90), jpeg(enlarged(rooms[0], 1.5), 60)):
        if resumed:
            asked = judge(known=(first,))
        stats = asked.measure(better)
        result = asked.classify(stats)
        assert result.kept
        (superseded,) = result.supersedes
        assert (superseded.sha256, superseded.reason) == (first.sha256, Reason.NEAR_DUPLICATE)
        assert f"superseded by a copy of {stats.width}x{stats.height} pixels" in superseded.detail
        again = asked.classify(asked.measure(small))
        assert (again.reason, again.duplicate_of) == (Reason.NEAR_DUPLICATE, stats.sha256)
        first, small = stats, better


def test_of_equal_copies_the_first_is_kept() -> None:
    known = ImageStats("ab" * 32, 1000, 640, 480, near_hash="0f" * 64)
    asked = ImageFilter(FilterSettings(any_picture=True), (known,))
    result = asked.classify(replace(known, sha256="cd" * 32))
    assert (result.reason, result.duplicate_of) == (Reason.NEAR_DUPLICATE, known.sha256)


def test_a_copy_has_to_be_better_than_all_that_it_resembles() -> None:
    """Two kept photos, not near each other, and one between them."""
    near = FilterSettings(any_picture=True, near_max=8)
    left, right, between = (f"{bits:064x}" * 2 for bits in (0x0000, 0xFFF0, 0x00F0))
    small, large = (
        ImageStats("aa" * 32, 1000, 640, 480, near_hash=left),
        ImageStats("bb" * 32, 1000, 1280, 960, near_hash=right),
    )
    middle, best = (
        ImageStats("cc" * 32, 1000, 800, 600, near_hash=between),
        ImageStats("dd" * 32, 1000, 1600, 1200, near_hash=between),
    )
    asked = ImageFilter(near, (small, large))
    result = asked.classify(middle)
    assert (result.reason, result.duplicate_of) == (Reason.NEAR_DUPLICATE, large.sha256)
    assert {old.sha256 for old in asked.classify(best).supersedes} == {small.sha256, large.sha256}


def test_a_copy_of_what_was_superseded_meanwhile_is_a_duplicate(rooms: list[Image]) -> None:
    asked, small = judge(), jpeg(rooms[0], 40)
    assert asked.classify(asked.measure(small)).kept
    looked = asked.measure(small)
    assert asked.classify(asked.measure(jpeg(rooms[0], 90))).kept
    assert asked.classify(looked).reason is Reason.DUPLICATE


def test_what_was_dropped_has_no_copies(rooms: list[Image]) -> None:
    asked = judge(FilterSettings(side_min=384))
    assert asked.classify(asked.measure(jpeg(cv2.resize(rooms[0], None, fx=0.9, fy=0.9)))).reason is Reason.TOO_SMALL
    assert asked.classify(asked.measure(jpeg(rooms[0]))).kept


@pytest.mark.parametrize("data", [b"", b"<html>", jpeg(noise(0))[:3000], b"\xff\xd8\xff" + bytes(100)])
def test_the_unreadable_are_dropped(data: bytes) -> None:
    asked = judge()
    result = asked.classify(asked.measure(data))
    assert result.reason is Reason.UNREADABLE
    assert result.detail


def test_small_photos_are_dropped(rooms: list[Image]) -> None:
    height = rooms[0].shape[0]
    assert reason(rooms[0], FilterSettings(side_min=height)) is Reason.KEPT
    assert reason(rooms[0], FilterSettings(side_min=height + 1)) is Reason.TOO_SMALL


@pytest.mark.parametrize("paper", [("white", "black"), ("#1e1e28", "#e6e6e6"), ("#c8e1f0", "black")])
def test_pages_are_dropped(paper: tuple[str, str]) -> None:
    assert reason(page(0, *paper)) is Reason.TEXT


def test_plans_are_dropped() -> None:
    assert all(reason(plan(seed)) is Reason.TEXT for seed in range(4))


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
        grey = cv2.cvtColor(room, cv2.COLOR_RGB2GRAY)
        assert reason(np.repeat(grey[:, :, None], 3, axis=2)) is Reason.GREY
        toned = grey[:, :, None] * np.array((1.0, 0.95, 0.85))
        assert reason(toned.astype(np.uint8)) is Reason.GREY
        assert reason(room) is Reason.KEPT


def test_any_picture_is_kept_without_a_network(rooms: list[Image]) -> None:
    anything = FilterSettings(side_min=16, any_picture=True, weights=Path("there is none"))
    asked = ImageFilter(anything)
    room = rooms[0]
    grey = np.repeat(cv2.cvtColor(rooms[5], cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    for image in (page(0), plan(1), collage(rooms[1:5], 2, 8), grey, room, np.zeros((16, 4000, 3), np.uint8)):
        stats = asked.measure(jpeg(image))
        assert asked.classify(stats).kept
        assert stats.wall is None
    assert asked.classify(asked.measure(jpeg(room, 40))).reason is Reason.NEAR_DUPLICATE


def test_a_network_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        ImageFilter(FilterSettings(weights=tmp_path / "none.onnx"))


def test_the_network_is_asked_only_where_nothing_else_speaks(rooms: list[Image]) -> None:
    asked: list[tuple[int, ...]] = []

    def scene_of(image: Image) -> SceneShares:
        asked.append(image.shape)
        return A_ROOM

    asker = ImageFilter(SMALL, scene_of=scene_of)
    room = jpeg(rooms[0])
    for data in (b"", jpeg(page(0)), jpeg(collage(rooms[:4], 2, 8)), jpeg(rooms[0][:200]), room):
        asker.classify(asker.measure(data))
    asker.measure(room)
    assert asked == [rooms[0].shape]


def test_thumbnails_are_small_and_upright() -> None:
    image = np.zeros((300, 600, 3), np.uint8)
    image[:, :300] = (200, 40, 40)
    stats = judge().measure(jpeg(image))
    thumbnail = decode_image(io.BytesIO(stats.thumbnail))
    assert thumbnail.shape == (80, 160, 3)
    assert thumbnail[40, 20, 0] > 150
    assert thumbnail[40, 140, 0] < 60


def test_facts_need_no_photo() -> None:
    asked = judge()
    for data in (b"", jpeg(page(0)), jpeg(noise(1))):
        stats = asked.measure(data)
        told = ImageStats.from_json(stats.to_json())
        assert told == stats
        assert judge().classify(told) == judge().classify(stats)


@given(
    st.builds(
        ImageStats,
        sha256=st.text(),
        size=st.integers(0),
        unreadable=st.text(),
        thumbnail=st.binary(),
        text=st.none() | st.floats(0, 1),
        seams=st.none() | st.integers(0),
        room=st.none() | st.floats(0, 1),
    )
)
def test_facts_survive_json(stats: ImageStats) -> None:
    assert ImageStats.from_json(stats.to_json()) == stats


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
    asked = judge()
    asked.classify(asked.measure(bytes(damaged)))


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 3000), (3000, 16), (17, 700), (16, 60_000), (60_000, 16)])
def test_odd_shapes_are_measured(size_hw: tuple[int, int]) -> None:
    for image in (noise(0, *size_hw), np.full((*size_hw, 3), 255, np.uint8)):
        assert judge(FilterSettings(side_min=16)).measure(jpeg(image)).text is not None


def test_many_threads_see_the_same(rooms: list[Image]) -> None:
    asked = ImageFilter(SMALL)
    photos = [jpeg(room) for room in rooms[:3]]
    alone = [asked.measure(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(asked.measure, photos * 2))
    assert together == alone * 2


def _photos(*folders: str) -> Iterator[bytes]:
    for folder in folders:
        for path in sorted((SHARED / folder).iterdir()):
            yield path.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared photos are not here")
def test_real_interiors_and_what_is_made_of_them() -> None:
    """Prints a table: how many of each kind are kept, and why the others are not."""
    chosen = FilterSettings(side_min=100)
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
        "black and white": lambda number: np.repeat(
            cv2.cvtColor(images[number], cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2
        ),
    }
    kinds: dict[str, Iterator[bytes] | list[bytes]] = {"listings and catalogues": listings}
    kinds["NYUv2"] = list(_photos("nyuv2/images"))[::4]
    kinds |= {kind: [jpeg(make(number)) for number in range(100)] for kind, make in made.items()}
    kept: dict[str, float] = {}
    for kind, photos in kinds.items():
        asked = ImageFilter(chosen)
        found = Counter(asked.classify(asked.measure(data)).reason for data in photos)
        kept[kind] = found[Reason.KEPT] / found.total()
        reasons = ", ".join(f"{count} {why}" for why, count in found.most_common() if why is not Reason.KEPT)
        print(f"\n{kind:<26}{found.total():>6}{kept[kind]:>8.1%} kept   {reasons}", end="")
    assert min(kept[kind] for kind in ("listings and catalogues", "NYUv2", "watermarked")) > 0.9
    assert max(kept[kind] for kind in ("pages", "plans", "black and white", "collages of 4, gutter 4")) <= 0.02
    assert max(kept[kind] for kind in ("posters", "collages of 4, no gutter")) <= 0.2
