from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from autolabel.crawling.filters.interiors import InteriorClassifier, interior_features
from tests.autolabel.crawling.drawn_pictures import meadow, page
from tests.conftest import ROOMS
from tools.fit_interior_classifier import Measured, Trial, classifier_toml, fit, main, read_measured, run_trials, table


def measured(kind: str, source: str, mean: float, count: int = 200, seed: int = 0) -> list[Measured]:
    """Feature `a` tells the kinds apart, `b` is noise."""
    rng = np.random.default_rng(seed)
    features = [{"a": float(rng.normal(mean)), "b": float(rng.normal(0, 9))} for _ in range(count)]
    return [Measured(kind, source, str(number), of) for number, of in enumerate(features)]


def two_sources_each() -> list[Measured]:
    interiors = [*measured("interiors", "one", 3, seed=0), *measured("interiors", "two", 3.2, seed=1)]
    return [*interiors, *measured("others", "three", -3, seed=2), *measured("others", "four", -2, seed=3)]


def scores(rule: InteriorClassifier, some: Iterable[Measured]) -> np.ndarray:
    return np.array([rule.score(measure.features) for measure in some])


def dropped(rule: InteriorClassifier, some: Iterable[Measured], name: str) -> int:
    """How many of a kind or source of that name."""
    return int((scores(rule, [one for one in some if name in (one.kind, one.source)]) < 0.5).sum())


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.1])
def test_a_rule_gives_up_the_share_of_interiors_that_it_may(loss: float) -> None:
    some = two_sources_each()
    rule = fit(some, loss)
    assert dropped(rule, some, "interiors") / 400 == pytest.approx(loss, abs=0.003)
    assert dropped(rule, some, "others") / 400 > 0.9
    assert abs(rule.weights["a"]) > 20 * abs(rule.weights["b"])


def test_the_units_of_a_feature_do_not_matter() -> None:
    some = two_sources_each()
    scaled = [replace(measure, features=measure.features | {"a": 1000 * measure.features["a"]}) for measure in some]
    assert scores(fit(some, 0.02), some) == pytest.approx(scores(fit(scaled, 0.02), scaled), abs=1e-3)


def test_no_source_is_tested_by_a_rule_that_has_seen_it() -> None:
    # A source whose labels are wrong ruins the rule that is fitted to it.
    upside_down = measured("interiors", "odd", mean=-3, count=50, seed=9)
    some = two_sources_each()
    trials = {one.source: one for one in run_trials([*some, *upside_down], {"odd"}, 0.02)}
    assert trials["odd"].dropped > 0.8 * trials["odd"].count
    assert not trials["odd"].fitted
    alone = {one.source: one for one in run_trials(some, [], 0.02)}
    assert all(trials[source] == alone[source] for source in alone)
    without = fit([measure for measure in some if measure.source != "one"], 0.02)
    assert alone["one"].dropped == dropped(without, some, "one")
    both = {one.source: one for one in run_trials([*some, *upside_down], [], 0.02)}
    assert both["odd"].dropped == trials["odd"].dropped
    assert both["four"].dropped < alone["four"].dropped


def test_the_table() -> None:
    text = table([Trial("interiors", "one", True, 1, 40), Trial("others", "two", False, 9, 10)])
    assert text.splitlines()[2:] == ["| interiors | one | yes | 40 | 2.5% |", "| others | two | no | 10 | 90.0% |"]


def test_a_rule_survives_its_file(tmp_path: Path) -> None:
    some = two_sources_each()
    rule = fit(some, 0.02)
    path = tmp_path / "rule.toml"
    path.write_text(classifier_toml(rule, some, 0.02))
    assert "#   interiors/one: 200\n" in path.read_text()
    assert scores(InteriorClassifier.load(path), some) == pytest.approx(scores(rule, some), abs=1e-3)


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
    assert [" ".join(row.split("|")[1:5]).split() for row in rows] == [
        ["interiors", "one", "yes", "2"],
        ["interiors", "two", "yes", "1"],
        ["others", "drawn", "yes", "1"],
        ["others", "grass", "yes", "1"],
        ["others", "meadows", "no", "1"],
    ]
    assert "page.png" not in {measure.name for measure in read_measured(looks_path)}, "other rules drop it"
    found, rule = looks_path.read_text(), InteriorClassifier.load(rule_path)
    assert set(rule.weights) == set(interior_features(np.zeros((4, 9, 9), np.float32)))

    kept = found.splitlines(keepends=True)
    looks_path.write_text("".join(kept[:3] + kept[4:]))
    assert main(arguments) == 0
    assert sorted(looks_path.read_text().splitlines()) == sorted(found.splitlines())
    assert InteriorClassifier.load(rule_path).weights == pytest.approx(rule.weights)


def test_one_source_of_a_kind_is_not_enough(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(pictures), "--looks", str(tmp_path / "looks.csv"), "--test", "meadows", "grass"]) == 8
    error = "fit_interior_classifier: expected two or more sources of others that rules are fitted to"
    assert error in capsys.readouterr().err


def test_pictures_of_one_kind_are_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "interiors/one").mkdir(parents=True)
    shutil.copy(min((ROOMS / "images").iterdir()), tmp_path / "interiors/one")
    assert main([str(tmp_path), "--looks", str(tmp_path / "looks.csv")]) == 8
    error = f"fit_interior_classifier: expected pictures in {tmp_path / 'others'}/SOURCE/, got none\n"
    assert capsys.readouterr().err == error
