"""The parser of each kind of response, and the headers of its requests."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from autolabel.crawling.requests import CrawlRequest, Kind
from autolabel.crawling.sources.openverse import parse_openverse
from autolabel.crawling.sources.pages import parse_page
from autolabel.crawling.sources.parsing import ParseSettings
from autolabel.crawling.sources.sitemaps import parse_sitemap
from autolabel.crawling.sources.wikimedia import parse_wikimedia
from surfaces.io.http import Response

Parser = Callable[[CrawlRequest, Response], list[CrawlRequest]]
"""Returns the crawl requests that a response with status 200 leads to; raises only ParseError and its subclasses."""

OPENVERSE_TOKEN = "OPENVERSE_TOKEN"
"""The environment variable with the access token of a registered Openverse user."""

API_KINDS = frozenset({Kind.OPENVERSE, Kind.WIKIMEDIA})
"""Kinds whose robots.txt is not fetched: these APIs are published for programs, under terms of their own, and Wikimedia
Commons' robots.txt excludes unknown crawlers from all of `/w/`. The robots.txt of the photos that they list is kept."""


def parsers_by_kind(settings: ParseSettings) -> dict[Kind, Parser]:
    """Returns a parser for each kind but photos and files."""
    return {
        Kind.PAGE: partial(parse_page, settings=settings),
        Kind.SITEMAP: parse_sitemap,
        Kind.OPENVERSE: partial(parse_openverse, settings=settings),
        Kind.WIKIMEDIA: partial(parse_wikimedia, settings=settings),
    }


def headers_for(kind: Kind, url: str, settings: ParseSettings) -> dict[str, str]:
    """Returns additional headers of a request: Openverse's token, at Openverse's own address only (not in redirects).

    The token is read from the environment each time and stored nowhere.
    """
    token = os.environ.get(OPENVERSE_TOKEN)
    if token and kind is Kind.OPENVERSE and url.startswith(f"{settings.openverse}/"):
        return {"Authorization": f"Bearer {token}"}
    return {}
