"""What the crawler works through: addresses with what is known of them before they are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is expected behind an address, and so who reads the answer."""

    PHOTO = "photo"
    PAGE = "page"
    SITEMAP = "sitemap"
    OPENVERSE = "openverse"
    WIKIMEDIA = "wikimedia"
    FILE = "file"


@dataclass(frozen=True)
class CrawlRequest:
    """An address to look at.

    Attributes:
        url: http(s), without fragment; of a file its absolute path.
        kind: what is expected there.
        source: what led to it first: `urls`, `pages`, `sitemaps`, `openverse`, `wikimedia`, `folder`.
        page: the web page on which the photo is shown; empty where unknown, as are the following.
        title: of the photo.
        author: who made it.
        licence: its short name, such as `CC BY 4.0`.
        licence_url: where the licence stands.
    """

    url: str
    kind: Kind
    source: str
    page: str = ""
    title: str = ""
    author: str = ""
    licence: str = ""
    licence_url: str = ""
