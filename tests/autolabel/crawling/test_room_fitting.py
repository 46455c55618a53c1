"""Fitting the rule for rooms: what it is fitted to, what it is tested on, and the command."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOMS

from autolabel.crawling.room_fitting import Look, Tried, fit, main, read_looks, rule_text, table, try_out
from autolabel.crawling.room_rule import RoomRule, room_features
from tests.autolabel.crawling.drawn_pictures import meadow, page


def looks(kind: str, source: str, mean: float, count: int = 200, seed: int = 0) -> list[Look]:
    """Feature `a` tells the kinds apart, `b` is noise."""
    rng = np.random.default_rng(seed)
    return [
        Look(kind, source, str(number), {"a": float(rng.normal(mean)), "b": float(rng.normal(0, 9))})
        for number in range(count)
    ]


def two_sources_each() -> list[Look]:
    means = {("interiors", "one"): 3, ("interiors", "two"): 3.2, ("others", "three"): -3, ("others", "four"): -2}
    return [look for seed, (key, mean) in enumerate(means.items()) for look in looks(*key, mean=mean, seed=seed)]


def dropped(rule: RoomRule, some: Sequence[Look]) -> float:
    return float(np.mean([rule.score(look.features) < 0.5 for look in some]))


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.1])
def test_a_rule_gives_up_the_share_of_interiors_that_it_may(loss: float) -> None:
    some = two_sources_each()
    rule = fit(some, loss)
    assert dropped(rule, [look for look in some if look.kind == "interiors"]) == pytest.approx(loss, abs=0.003)
    assert dropped(rule, [look for look in some if look.kind == "others"]) > 0.9
    assert abs(rule.weights["a"]) > 20 * abs(rule.weights["b"])


def test_the_units_of_a_feature_do_not_matter() -> None:
    some = two_sources_each()
    scaled = [replace(look, features=look.features | {"a": 1000 * look.features["a"]}) for look in some]
    rule, other = fit(some, 0.02), fit(scaled, 0.02)
    assert [rule.score(look.features) for look in some] == pytest.approx(
        [other.score(look.features) for look in scaled], abs=1e-3
    )


def test_no_source_is_tested_by_a_rule_that_has_seen_it() -> None:
    """A source whose labels are wrong ruins the rule that is fitted to it, so the table tells who was fitted."""
    upside_down = looks("interiors", "odd", mean=-3, count=50, seed=9)
    some = two_sources_each()
    tried = {one.source: one for one in try_out([*some, *upside_down], {"odd"}, 0.02)}
    assert tried["odd"].dropped > 0.8 * tried["odd"].count
    assert not tried["odd"].fitted
    alone = {one.source: one for one in try_out(some, [], 0.02)}
    assert all(tried[source] == alone[source] for source in alone)
    without = fit([look for look in some if look.source != "one"], 0.02)
    assert alone["one"].dropped == sum(without.score(look.features) < 0.5 for look in some if look.source == "one")
    both = {one.source: one for one in try_out([*some, *upside_down], [], 0.02)}
    assert both["odd"].dropped == tried["odd"].dropped
    assert both["four"].dropped < alone["four"].dropped


def test_the_table() -> None:
    text = table([Tried("interiors", "one", True, 1, 40), Tried("others", "two", False, 9, 10)])
    assert text.splitlines()[2:] == ["| interiors | one | yes | 40 | 2.5% |", "| others | two | no | 10 | 90.0% |"]


def test_a_rule_survives_its_file(tmp_path: Path) -> None:
    some = two_sources_each()
    rule = fit(some, 0.02)
    path = tmp_path / "rule.toml"
    path.write_text(rule_text(rule, some, 0.02))
    assert "#   interiors/one: 200\n" in path.read_text()
    assert [RoomRule.load(path).score(look.features) for look in some] == pytest.approx(
        [rule.score(look.features) for look in some], abs=1e-3
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for name in ("interiors/one", "interiors/two", "others/drawn", "others/grass", "others/meadows"):
        (folder / name).mkdir(parents=True)
    rooms = sorted((ROOMS / "images").iterdir())
    for number in range(3):
        shutil.copy(rooms[number], folder / "interiors" / ("one", "two")[number % 2])
        picture = cv2.cvtColor(meadow(number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "others" / ("drawn", "grass", "meadows")[number] / f"{number}.png"), picture)
    cv2.imwrite(str(folder / "others/drawn/page.png"), page(0))
    return folder


def test_the_command_looks_goes_on_and_writes(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks_path, rule_path = tmp_path / "looks.csv", tmp_path / "rule.toml"
    arguments = [str(pictures), "--looks", str(looks_path), "--test", "meadows", "--write", str(rule_path)]
    assert main(arguments) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[1:5] for row in rows] == [
        [" interiors ", " one ", " yes ", " 2 "],
        [" interiors ", " two ", " yes ", " 1 "],
        [" others ", " drawn ", " yes ", " 1 "],
        [" others ", " grass ", " yes ", " 1 "],
        [" others ", " meadows ", " no ", " 1 "],
    ]
    assert "page.png" not in {look.name for look in read_looks(looks_path)}, "other rules drop it"
    found, rule = looks_path.read_text(), RoomRule.load(rule_path)
    assert set(rule.weights) == set(room_features(np.zeros((4, 9, 9), np.float32)))

    kept = found.splitlines(keepends=True)
    looks_path.write_text("".join(kept[:3] + kept[4:]))
    assert main(arguments) == 0
    assert sorted(looks_path.read_text().splitlines()) == sorted(found.splitlines())
    assert RoomRule.load(rule_path).weights == pytest.approx(rule.weights)


def test_one_source_of_a_kind_is_not_enough(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(pictures), "--looks", str(tmp_path / "looks.csv"), "--test", "meadows", "grass"]) == 8
    assert "room_fitting: expected two or more sources of others that rules are fitted to" in capsys.readouterr().err


def test_pictures_of_one_kind_are_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "interiors/one").mkdir(parents=True)
    shutil.copy(min((ROOMS / "images").iterdir()), tmp_path / "interiors/one")
    assert main([str(tmp_path), "--looks", str(tmp_path / "looks.csv")]) == 8
    assert capsys.readouterr().err == f"room_fitting: expected pictures in {tmp_path / 'others'}/SOURCE/, got none\n"
