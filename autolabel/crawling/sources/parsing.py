"""Functions and settings that all parsers of responses share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lxml import html

from autolabel.crawling.records import CrawlRequest
from autolabel.crawling.sources.licences import GROUPS
from surfaces.errors import SurfacesError
from surfaces.io.http import Response

OPENVERSE = "https://api.openverse.org"
WIKIMEDIA = "https://commons.wikimedia.org"
_JSON_BYTES_MAX = 5_000_000  # results are below 0.5 MB; parsed, hostile ones take 25 times their size
_MARKUP_MAX = 10_000


class ParseError(SurfacesError):
    """A response is not what was expected."""

    exit_code = 21


class RefusedError(ParseError):
    """A page does not permit the use of its photos."""


class BusyError(ParseError):
    """An API asks for a later request; its header `Retry-After` may say when."""


class Found(list[CrawlRequest]):
    """Crawl requests that a response leads to; `is_cut` where there were more than are taken from one response."""

    is_cut = False


@dataclass(frozen=True)
class ParseSettings:
    """Settings of parsers."""

    licences: frozenset[str] = GROUPS["any"]  # codes of the photos that are taken from search APIs
    follow: bool = False  # whether the pages of the same host that a page links to are read; these lead no further
    ignore_opt_outs: bool = False  # take photos from pages that say `noai` and the like; follow `nofollow` links
    openverse: str = OPENVERSE  # the API's address, without path
    wikimedia: str = WIKIMEDIA  # the same


def parse_json_object(response: Response, api: str) -> dict[str, Any]:
    """Parses the JSON object of an API. Raises ParseError for anything else, or over 5 MB."""
    if len(response.body) > _JSON_BYTES_MAX:
        raise ParseError(f"expected {api}'s JSON of at most {_JSON_BYTES_MAX / 1e6:g} MB, it is larger")
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"expected {api}'s JSON, got something else") from error
    if not isinstance(document, dict):
        raise ParseError(f"expected {api}'s JSON object, got {type(document).__name__}")
    return document


def objects_of(value: Any) -> list[dict[str, Any]]:
    """Returns the JSON objects of a list; none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    """Returns a JSON string, or a number as text; empty for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def one_line(text: str, length_max: int = 500) -> str:
    """Returns text with single spaces, without control characters, cut at a length."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length_max]).split())
    return text if len(text) <= length_max else text[: length_max - 1] + "…"


def html_to_line(markup: str) -> str:
    """Returns the text of a piece of HTML in one line."""
    markup = "".join(c if c.isprintable() else " " for c in markup[:_MARKUP_MAX])
    if not markup.strip():
        return ""
    tree = html.fragment_fromstring(markup, create_parent="div")
    html.etree.strip_elements(tree, html.etree.Comment, "script", "style", with_tail=False)
    return one_line(str(tree.text_content()))
