"""Who reads the answers of each kind, and what the requests for them carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.openverse import read_openverse
from autolabel.crawling.pages import read_page
from autolabel.crawling.reading import ReadSettings
from autolabel.crawling.sitemaps import read_sitemap
from autolabel.crawling.wikimedia import read_wikimedia

if TYPE_CHECKING:
    from surfaces.io.http import Response

Reader = Callable[[Lead, "Response"], list[Lead]]
"""Tells what an answer with status 200 leads to. Raises `reading.RefusedError`, `reading.BusyError` or another
`reading.ReadError`, and nothing else."""

OPENVERSE_TOKEN = "OPENVERSE_TOKEN"
"""The environment variable of the access token of who has registered with Openverse."""

API_KINDS = frozenset({Kind.OPENVERSE, Kind.WIKIMEDIA})
"""Kinds for which no robots.txt is asked: these addresses are published for programs, under terms of their own, and
robots.txt of Wikimedia Commons keeps crawlers that know nothing of the API out of all of `/w/`. What robots.txt says of
the photos that they lead to holds."""


def readers(settings: ReadSettings) -> dict[Kind, Reader]:
    """A reader for each kind but photos and files."""
    return {
        Kind.PAGE: partial(read_page, settings=settings),
        Kind.SITEMAP: read_sitemap,
        Kind.OPENVERSE: partial(read_openverse, settings=settings),
        Kind.WIKIMEDIA: partial(read_wikimedia, settings=settings),
    }


def headers_for(kind: Kind, address: str, settings: ReadSettings) -> dict[str, str]:
    """What a request carries besides what all do: Openverse's token, at Openverse's own address only.

    The token is read from the environment each time and stands nowhere else.

    Args:
        kind: of the lead.
        address: what is asked now, which after a redirect is another than the lead's.
        settings: where Openverse is.
    """
    token = os.environ.get(OPENVERSE_TOKEN)
    if token and kind is Kind.OPENVERSE and address.startswith(f"{settings.openverse}/"):
        return {"Authorization": f"Bearer {token}"}
    return {}
