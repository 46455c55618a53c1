from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from labelstudio.active_learning import QUEUES, Candidate, measure_candidate, order_photos, read_candidates
from surfaces.datasets.codec import encode_jpeg
from surfaces.errors import SurfacesError
from surfaces.store.label_store import LabelStore
from surfaces.store.records import ScoredLabels
from tests.autolabel.label_stores import add_photo
from tests.labelstudio.review_scenes import labels_of_masks


def candidate(name: str, place: float = 0.0, **known: object) -> Candidate:
    plain = Candidate(
        name,
        score=0.5,
        disagreement=None,
        class_shares=np.full(4, 0.25, np.float32),
        class_errors=np.full(4, 0.1, np.float32),
        border_share=0.05,
        tables=0,
        descriptor=np.array([place, 0], np.float32),
    )
    return replace(plain, **known)  # type: ignore[arg-type]


def doubt(wall: float = 0.0, floor: float = 0.0, table: float = 0.0) -> np.ndarray:
    return np.array([wall + floor + table, wall, floor, table], np.float32)


def names(queue: str, candidates: list[Candidate], limit: int | None = None, seed: int = 0) -> str:
    return "".join(found.sha256 for found in order_photos(queue, candidates, limit, seed))


def half_wall(score: float = 0.8, height: int = 60, width: int = 80) -> ScoredLabels:
    """Wall in the upper half, floor in the left of the lower one, the rest of which is unsure."""
    wall, floor = np.zeros((2, height, width), bool)
    wall[: height // 2] = True
    floor[height // 2 :, : width // 2] = True
    return labels_of_masks([("wall", wall), ("floor", floor)], ~(wall | floor), score)


BY_SCORE = [candidate("a", score=0.9), candidate("b", score=0.2), candidate("c", score=0.4), candidate("d", score=0.2)]
BY_DISAGREEMENT = [
    *(candidate("a", disagreement=0.1), candidate("b", disagreement=0.7)),
    *(candidate("c", score=0.4), candidate("d", score=0.3)),
]
SHARES = np.array([0.5, 0.4, 0.096, 0.004], np.float32)
RARE = [
    candidate("a", 0, class_shares=SHARES, class_errors=doubt(wall=0.05)),
    candidate("b", 9, class_shares=SHARES, class_errors=doubt(table=0.05)),
    candidate("c", 18, class_shares=SHARES, class_errors=doubt(floor=0.05)),
]
BORDERS = [
    candidate("a", 0),
    candidate("b", 9, class_errors=doubt(table=0.9)),
    candidate("c", 18, class_errors=doubt(floor=0.9)),
    candidate("d", 27, class_errors=doubt(wall=0.9)),
    candidate("e", 36, border_share=0.2),
]
DISAGREED = [candidate("a", 0), candidate("b", 9, disagreement=0.5)]
WALLS_ALONE = [
    candidate(letter, 9.0 * i, class_shares=doubt(wall=0.5 - 0.1 * i), class_errors=doubt(wall=0.1), border_share=0)
    for i, letter in enumerate("dcba")
]
TURNS = [
    *(candidate(letter, class_errors=doubt(wall=0.5 - 0.1 * i)) for i, letter in enumerate("abcd")),
    *(candidate(letter, class_errors=doubt(floor=0.2 - 0.05 * i)) for i, letter in enumerate("efg")),
    *(candidate(letter, class_errors=doubt(table=0.02 - 0.01 * i)) for i, letter in enumerate("hi")),
]


@pytest.mark.parametrize(
    ("queue", "candidates", "first"),
    [
        pytest.param("doubtful", BY_SCORE, "bdca", id="by score"),
        pytest.param("disagreement", BY_DISAGREEMENT, "badc", id="ties by score"),
        pytest.param("class-balanced", TURNS, "heaifb", id="classes take turns"),
        pytest.param("class-balanced", DISAGREED, "ba", id="disagreement raises utility"),
        pytest.param("class-balanced", WALLS_ALONE, "dcba", id="a class that is nowhere loses its turns"),
        pytest.param("expected-gain", RARE, "bca", id="the rare class first"),
        pytest.param("expected-gain", BORDERS, "bcdea", id="borders have their turn"),
        pytest.param("expected-gain", DISAGREED, "ba", id="disagreement raises utility there too"),
        pytest.param("expected-gain", WALLS_ALONE, "dcba", id="a class that is nowhere loses its turns there too"),
    ],
)
def test_order_of_a_queue(queue: str, candidates: list[Candidate], first: str) -> None:
    order = names(queue, candidates)
    assert order.startswith(first)
    assert sorted(order) == sorted(each.sha256 for each in candidates)


def test_random_is_another_order_for_another_seed_and_keeps_it_when_photos_are_gone() -> None:
    given = [candidate(letter) for letter in "abcdefghijklmnop"]
    order = names("random", given, seed=1)
    assert sorted(order) == list("abcdefghijklmnop")
    assert order not in (names("random", given, seed=2), "abcdefghijklmnop")
    assert names("random", given[3:], seed=1) == "".join(letter for letter in order if letter not in "abc")


def test_near_duplicates_do_not_fill_the_queue() -> None:
    many = [candidate(letter, 10 + 0.01 * i, class_errors=doubt(0.3, 0.3, 0.3)) for i, letter in enumerate("abcdefgh")]
    others = [candidate("x", 0), candidate("y", 20), candidate("z", 30)]
    assert set(names("doubtful", many + others, 4)) == set("abcd")
    chosen = names("expected-gain", many + others, 4)
    assert chosen[0] == "a"
    assert set(chosen[1:]) == set("xyz")
    assert sorted(names("expected-gain", many + others)) == sorted("abcdefghxyz")


@settings(max_examples=30)
@given(st.data())
def test_every_queue_is_an_order_that_does_not_depend_on_the_one_given(data: st.DataObject) -> None:
    numbers = st.floats(0, 1, width=16)
    count = data.draw(st.integers(0, 12))
    known = [
        candidate(
            hashlib.sha256(bytes([index])).hexdigest(),
            data.draw(numbers),
            score=data.draw(numbers),
            disagreement=data.draw(st.none() | numbers),
            class_errors=np.array([data.draw(numbers) for _ in range(4)], np.float32),
            class_shares=np.array([data.draw(numbers) for _ in range(4)], np.float32),
            border_share=data.draw(numbers),
        )
        for index in range(count)
    ]
    shuffled = data.draw(st.permutations(known))
    limit = data.draw(st.none() | st.integers(0, 14))
    for queue in QUEUES:
        order = order_photos(queue, known, limit, seed=3)
        assert [c.sha256 for c in order] == [c.sha256 for c in order_photos(queue, shuffled, limit, seed=3)]
        assert len(order) == (count if limit is None else min(count, limit))
        assert max(Counter(c.sha256 for c in order).values(), default=1) == 1
        assert order == order_photos(queue, known, None, seed=3)[: len(order)]


def test_an_unknown_queue_is_one_line() -> None:
    with pytest.raises(SurfacesError, match=r"expected a queue out of doubtful, disagreement, .*, got 'best'"):
        order_photos("best", [])


def test_labels_without_soft_labels_are_measured_by_their_scores() -> None:
    measured = measure_candidate("a", half_wall(0.8), b"")
    np.testing.assert_allclose(measured.class_shares, [0.2125, 0.4625, 0.2625, 0.0625], atol=0.001)
    wall_wrong = 0.5 * 0.2 + 0.25 * 0.25  # of its pixels, and of the unsure ones
    floor_wrong = 0.25 * 0.2 + 0.25 * 0.25
    np.testing.assert_allclose(measured.class_errors[1:], [wall_wrong, floor_wrong, 0.25 * 0.25], atol=0.001)
    assert (measured.score, measured.disagreement, measured.tables) == (0.8, None, 0)


def test_soft_labels_are_measured_if_there_are_any_and_disagreement_is_of_the_least_agreement() -> None:
    soft_labels = np.empty((4, 16, 16), np.uint8)
    soft_labels[:] = np.round(255 * np.array([0.1, 0.6, 0.1, 0.2]))[:, None, None]
    qualities = {"score": 0.4, "flips": 0.9, "backends": 0.7}
    measured = measure_candidate("a", ScoredLabels((), np.zeros((60, 80), bool), qualities, soft_labels), b"")
    np.testing.assert_allclose(measured.class_shares, [0.1, 0.6, 0.1, 0.2], atol=0.005)
    np.testing.assert_allclose(measured.class_errors, [0.1, 0.4, 0.1, 0.2], atol=0.005)
    assert measured.border_share == 0
    assert measured.disagreement == pytest.approx(0.3)


def test_borders_do_not_depend_on_the_size_of_a_photo() -> None:
    small, large = (measure_candidate("a", half_wall(height=h, width=w), b"") for h, w in ((120, 160), (960, 1280)))
    assert small.border_share == pytest.approx(large.border_share, abs=0.002)
    # The unsure quarter is taken for "other" by argmax: a line across, and one down its left side.
    assert large.border_share == pytest.approx((96 + 36) / (96 * 72), abs=0.002)


def test_photos_that_look_alike_are_near_and_those_beyond_the_limits_are_not_decoded() -> None:
    rng = np.random.default_rng(0)
    room, other = (
        cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    )
    brighter = np.clip(room.astype(int) + 6, 0, 255).astype(np.uint8)
    Pillow.new("1", (10_000, 8_000)).save(huge := io.BytesIO(), "PNG")
    files = [*map(encode_jpeg, (room, brighter, other)), huge.getvalue(), b"no photo", b""]
    first, again, different, *unreadable = (measure_candidate("a", half_wall(), file).descriptor for file in files)
    assert 4 * np.linalg.norm(first - again) < np.linalg.norm(first - different)
    assert first.shape == unreadable[0].shape
    for found in unreadable:
        np.testing.assert_array_equal(found, unreadable[0])


def test_candidates_are_the_photos_that_nobody_reviewed(tmp_path: Path) -> None:
    table = np.zeros((60, 80), bool)
    table[40:50, 20:60] = True
    with LabelStore.create(tmp_path / "labels") as store:
        shas = []
        for number in range(3):
            path = tmp_path / f"{number}.jpg"
            path.write_bytes(encode_jpeg(np.full((60, 80, 3), 60 * number, np.uint8)))
            shas.append(add_photo(store, path, labels_of_masks([("dining table", table)], ~table, 0.1 * number)))
        store.add_review(shas[1], half_wall(), "me")
        (tmp_path / "2.jpg").unlink()
        found = read_candidates(store)
    assert [one.sha256 for one in found] == sorted([shas[0], shas[2]])
    assert {one.sha256: one.score for one in found} == {shas[0]: 0, shas[2]: pytest.approx(0.2)}
    assert [one.tables for one in found] == [1, 1]


@pytest.mark.parametrize("queue", ["doubtful", "expected-gain"])
def test_contradictions_come_first(queue: str) -> None:
    plain = [candidate(name, place, score=0.1) for place, name in enumerate("abcd")]
    contradicting = [candidate(name, place, score=0.9, contradicts=True) for place, name in enumerate("xy", 4)]
    assert set(names(queue, [*plain, *contradicting], 2)) == {"x", "y"}
    assert len(names(queue, [*plain, *contradicting])) == 6


def test_a_low_score_for_image_labels_is_a_contradiction() -> None:
    for score, contradicts in ((0.1, True), (1.0, False)):
        labels = replace(half_wall(), quality_scores={"score": 0.5, "image_labels": score})
        assert measure_candidate("a", labels, b"").contradicts is contradicts
    assert not measure_candidate("a", half_wall(), b"").contradicts
