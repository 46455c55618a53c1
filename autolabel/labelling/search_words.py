"""What the search words that found a photo say of it as a whole."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from surfaces.classes import BY_NAME
from surfaces.cli.settings_files import read_toml, validate
from surfaces.datasets.sample import ALL_LABELLED, LabelScope

SHIPPED = Path(__file__).with_name("search_words.toml")

_OPERATORS = re.compile(r"(?:^|[\s(])[-!]\S|\b(?:NOT|OR)\b|\|")


class _Rooms(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...]
    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = ()

    def scope(self) -> LabelScope:
        absent, present = (frozenset(BY_NAME[name].coco_id for name in names) for names in (self.absent, self.present))
        return LabelScope(absent=absent, present=present)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rooms: tuple[_Rooms, ...]


@cache
def scope_of_query(query: str) -> LabelScope:
    """The classes that are absent from photos found by a query, or present, as `search_words.toml` has them.

    A query says nothing if it names rooms of which different things are known, or uses NOT, OR, `|`, `-` or `!`.
    """
    if _OPERATORS.search(query):
        return ALL_LABELLED
    plain = " ".join(re.findall(r"[^\W_]+", query.casefold()))
    named = {rooms.scope() for rooms in _rooms() if any(f" {words} " in f" {plain} " for words in rooms.words)}
    return named.pop() if len(named) == 1 else ALL_LABELLED


@cache
def _rooms() -> tuple[_Rooms, ...]:
    return validate(_File, read_toml(SHIPPED), SHIPPED.name).rooms
