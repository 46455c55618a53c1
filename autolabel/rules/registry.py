"""All rules by name, in the order in which they are applied; any can be left out to see what it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from autolabel.labelling.class_config import ClassConfig, SettingsError, unknown
from autolabel.rules.boxes import BOX_RULES
from autolabel.rules.candidates import Candidates, MaskRule
from autolabel.rules.masks import (
    area_limits,
    ceiling_as_floor,
    duplicate_tables,
    low_scores,
    negative_regions,
    outside_box,
    part_of_box,
    pinholes,
    specks,
    table_leaks,
    wall_or_floor,
)
from autolabel.rules.semantic import PIXEL_RULES, low_beliefs


def _by_name(*rules: MaskRule) -> Mapping[str, MaskRule]:
    return {rule.__name__: rule for rule in rules}


PROPOSAL_RULES = _by_name(
    pinholes,
    part_of_box,
    negative_regions,
    outside_box,
    table_leaks,
    duplicate_tables,
    low_scores,
    wall_or_floor,
    ceiling_as_floor,
    specks,
    area_limits,
)
"""For what a detector and SAM proposed."""

BELIEF_RULES = _by_name(low_beliefs, ceiling_as_floor, specks, pinholes, area_limits)
"""For the belief of a semantic teacher, after the pixel rules."""

RULES = tuple(dict.fromkeys([*BOX_RULES, *PROPOSAL_RULES, *PIXEL_RULES, *BELIEF_RULES]))
"""The names of all rules."""


def apply_rules(
    candidates: Candidates, rules: Mapping[str, MaskRule], class_config: ClassConfig, without: frozenset[str]
) -> Candidates:
    """The draft after the rules, but for those in `without`."""
    for name, rule in rules.items():
        if name not in without:
            candidates = rule(candidates, class_config)
    return candidates


def require_rules(names: Iterable[str]) -> frozenset[str]:
    """The names of rules, passed through.

    Raises:
        SettingsError: one of them is unknown.
    """
    names = frozenset(names)
    for name in sorted(names):
        if name not in RULES:
            raise SettingsError(f"{unknown('rule', name, RULES)}")
    return names
