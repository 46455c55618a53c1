"""Reads web pages: which photos they show, each in its largest version, and where else they lead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autolabel.crawling.fetching.robots import AGENT, OPT_OUTS, directives
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.licences import name_at
from autolabel.crawling.linked_data import described_photos
from autolabel.crawling.markup import MOST_BYTES, Tag, decoded, one_line, tokens
from autolabel.crawling.reading import Leads, ReadError, ReadSettings, RefusedError
from autolabel.crawling.srcset import Candidate, largest, read_srcset
from autolabel.crawling.urls import may_be_photo, names_photo, resolved, suffix

if TYPE_CHECKING:
    from surfaces.io.http import Response

_MOST_TOKENS = 50_000
_MOST_PHOTOS = 2000
_MOST_LINKS = 500
# Scripts that load photos when they come into view keep the real addresses in attributes such as these.
_VERSIONS = ("srcset", "data-srcset", "data-lazy-srcset")
_PLAIN = ("data-src", "data-lazy-src", "data-original", "src")
_PREVIEWS = frozenset({"og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"})
_UNDECODED_TYPES = frozenset({"image/svg+xml", "image/jxl", "image/jp2", "image/jxr"})
_PAGE_SUFFIXES = frozenset({"", ".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp"})
_ROBOTS = frozenset({"robots", AGENT})
_WORDS = re.compile(r"[\s,]+")


def read_page(lead: Lead, answer: Response, settings: ReadSettings) -> Leads:
    """Tells what a page leads to.

    Photos come from `<img>` and `<picture>` (the largest version of all that `srcset` names), links to image files
    (rather than the small version inside of the link), `og:image` and `twitter:image`, and JSON-LD. A photo's licence
    is its own in JSON-LD, else the page's (`rel=license`) if that names just one.

    Args:
        lead: what the page was asked for.
        answer: its bytes; what lies behind the first 4 MB or 50,000 tags and texts is not read.
        settings: whether it leads to other pages, and whether its refusals are honoured.

    Returns:
        At most 2,000 photos and 500 pages, each address once and of at most 2,000 characters, in the order of the page.

    Raises:
        ReadError: it is not HTML.
        RefusedError: it asks that its photos be left alone.
    """
    content_type = answer.headers.get("content-type", "text/html").lower()
    if "html" not in content_type:
        raise ReadError(f"expected a web page, got {one_line(content_type, 60)!r}")
    page = _Page(lead, answer.url, settings.ignore_opt_outs)
    page.directives |= directives(answer.headers)
    remaining = tokens(decoded(answer.body, content_type))
    for token in islice(remaining, _MOST_TOKENS):
        page.take(token)
    opt_outs = OPT_OUTS & page.directives
    if opt_outs and not settings.ignore_opt_outs:
        raise RefusedError(f"the page asks not to be used: {', '.join(sorted(opt_outs))}")
    # What was found by following is not followed further.
    follow = settings.follow and page.may_follow and not lead.page
    leads = Leads(page.photos() + (page.links() if follow else []))
    more_links = follow and page.has_more_links
    leads.is_cut = (
        page.has_more_photos or more_links or len(answer.body) > MOST_BYTES or next(remaining, None) is not None
    )
    return leads


class _Page:
    """Takes a page's tags one after the other.

    Attributes:
        directives: for robots, in lower case; those of the header `X-Robots-Tag` as those of `<meta>`.
        has_more_photos: whether there are more than are taken; the same of links.
        has_more_links: see above.
    """

    def __init__(self, lead: Lead, url: str, ignore_nofollow: bool) -> None:
        self.directives: set[str] = set()
        self.has_more_photos = self.has_more_links = False
        self._ignore_nofollow = ignore_nofollow
        self._source, self._url, self._base = lead.source, url, url
        self._has_base = False
        self._photos: dict[str, Lead] = {}
        self._links: dict[str, None] = {}
        self._licences: dict[str, None] = {}
        self._picture: list[Candidate] | None = None
        self._linked_photo = ""
        self._linked_data_follows = False

    def take(self, token: Tag | str) -> None:
        """Takes the next tag or text."""
        if isinstance(token, str):
            if self._linked_data_follows:
                self._take_linked_data(token)
            return
        self._linked_data_follows = False
        attributes = token.attributes
        match token.name:
            case "base":
                self._take_base(attributes)
            case "meta":
                self._take_meta(attributes)
            case "link":
                self._take_licence(attributes)
            case "a" | "area":
                self._take_link(attributes)
            case "/a":
                self._linked_photo = ""
            case "picture":
                self._picture = []
            case "/picture":
                self._picture = None
            case "source" if self._picture is not None:
                self._picture += _versions(attributes)
            case "img" | "amp-img":
                self._take_image(attributes)
            case "script":
                self._linked_data_follows = attributes.get("type", "").strip().lower() == "application/ld+json"

    @property
    def may_follow(self) -> bool:
        """Whether links may be followed, as far as the page was read."""
        return self._ignore_nofollow or "nofollow" not in self.directives

    def photos(self) -> list[Lead]:
        """The photos, with the page's licence where they have none of their own."""
        licence_url = next(iter(self._licences)) if len(self._licences) == 1 else ""
        return [
            lead if lead.licence_url else replace(lead, licence=name_at(licence_url), licence_url=licence_url)
            for lead in self._photos.values()
        ]

    def links(self) -> list[Lead]:
        """The pages of the same host that the page links to."""
        return [Lead(url, Kind.PAGE, self._source, page=self._url) for url in self._links]

    def _take_base(self, attributes: Mapping[str, str]) -> None:
        base = resolved(self._url, attributes.get("href", ""))
        if base and not self._has_base:
            self._base, self._has_base = base, True

    def _take_meta(self, attributes: Mapping[str, str]) -> None:
        content = attributes.get("content", "")
        name = (attributes.get("property") or attributes.get("name", "")).strip().lower()
        if name in _ROBOTS:
            self.directives.update(_WORDS.split(content.lower()[:1000]))
        elif name in _PREVIEWS:
            self._add_photo(content)

    def _take_link(self, attributes: Mapping[str, str]) -> None:
        self._linked_photo = ""
        self._take_licence(attributes)
        url = resolved(self._base, attributes.get("href", ""))
        if not url or not self.may_follow or _relations(attributes) & {"nofollow", "license"}:
            return
        if names_photo(url):
            self._linked_photo = url
            self._add_photo(url)
        elif _is_page_beside(url, self._url) and url not in self._links:
            self.has_more_links = len(self._links) == _MOST_LINKS
            if not self.has_more_links:
                self._links[url] = None

    def _take_licence(self, attributes: Mapping[str, str]) -> None:
        if "license" in _relations(attributes) and (url := resolved(self._base, attributes.get("href", ""))):
            self._licences.setdefault(url)

    def _take_image(self, attributes: Mapping[str, str]) -> None:
        versions = _versions(attributes) + (self._picture or [])
        self._picture = None
        title = attributes.get("alt", "")
        if self._linked_photo:  # this is the same, only smaller
            self._add_photo(self._linked_photo, title=title)
            self._linked_photo = ""
            return
        best = largest(version for version in versions if not _is_inline(version.url))
        plain = (attributes.get(name, "") for name in _PLAIN)
        url = best.url if best else next((url for url in plain if url.strip() and not _is_inline(url)), "")
        self._add_photo(url, title=title)

    def _take_linked_data(self, text: str) -> None:
        for photo in islice(described_photos(text), _MOST_PHOTOS):
            licence_url = resolved(self._base, photo.licence_url)
            self._add_photo(
                photo.url,
                title=photo.title,
                author=one_line(photo.author),
                licence=name_at(licence_url),
                licence_url=licence_url,
            )

    def _add_photo(self, reference: str, title: str = "", **provenance: str) -> None:
        """Notes a photo; of one that was noted before, what was unknown."""
        url = resolved(self._base, reference)
        if url in ("", self._url) or not may_be_photo(url):
            return
        lead = Lead(url, Kind.PHOTO, self._source, page=self._url, title=one_line(title), **provenance)
        known = self._photos.get(url)
        if known:
            lead = replace(
                known,
                title=known.title or lead.title,
                author=known.author or lead.author,
                licence=known.licence or lead.licence,
                licence_url=known.licence_url or lead.licence_url,
            )
        if known or len(self._photos) < _MOST_PHOTOS:
            self._photos[url] = lead
        else:
            self.has_more_photos = True


def _versions(attributes: Mapping[str, str]) -> list[Candidate]:
    if attributes.get("type", "").strip().lower() in _UNDECODED_TYPES:
        return []
    return [version for name in _VERSIONS for version in read_srcset(attributes.get(name, ""))]


def _relations(attributes: Mapping[str, str]) -> set[str]:
    return set(attributes.get("rel", "").lower().split())


def _is_inline(url: str) -> bool:
    return url.lstrip()[:5].lower() == "data:"


def _is_page_beside(url: str, other: str) -> bool:
    return url != other and urlsplit(url).netloc == urlsplit(other).netloc and suffix(url) in _PAGE_SUFFIXES
