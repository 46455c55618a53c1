"""The rules' names: all are known, documented, and can be left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autolabel.labelling.class_config import SettingsError
from autolabel.labelling.labeller import LabellingSettings
from autolabel.rules.registry import BELIEF_RULES, PROPOSAL_RULES, RULES, require_rules

DOCUMENT = Path(__file__).parents[3] / "docs" / "rules.md"


def test_an_unknown_rule_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"unknown rule 'speks'; did you mean 'specks'\?") as caught:
        LabellingSettings(without=frozenset({"speks"}))
    assert caught.value.exit_code == 11
    assert "\n" not in str(caught.value)


def test_a_rule_like_no_other_is_told_all_names() -> None:
    with pytest.raises(SettingsError) as caught:
        require_rules(["specks", "!"])
    assert all(name in str(caught.value) for name in RULES)


def test_every_rule_can_be_left_out() -> None:
    assert require_rules(RULES) == frozenset(RULES)
    fingerprints = {LabellingSettings(without=frozenset({name})).fingerprint for name in RULES}
    assert len(fingerprints | {LabellingSettings().fingerprint}) == len(RULES) + 1


def test_the_document_tells_of_every_rule_and_of_no_other() -> None:
    told = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(told) == sorted(RULES)


def test_rules_of_both_kinds_of_teachers_come_in_the_documents_order() -> None:
    assert [name for name in RULES if name in PROPOSAL_RULES] == list(PROPOSAL_RULES)
    assert set(BELIEF_RULES) <= set(RULES)
