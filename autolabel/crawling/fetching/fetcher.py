"""One request and its result: the work of a crawl's worker threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial

from autolabel.crawling.blob_store import BlobStore, blob_name
from autolabel.crawling.fetching.robots import BYTES_MAX, OPT_OUTS, directives
from autolabel.crawling.filters.image_filter import ImageFilter, Reason
from autolabel.crawling.records import (
    FORGOTTEN,
    PRIVATE_ADDRESS,
    AnyRequest,
    CrawlRequest,
    Delayed,
    Ended,
    Kind,
    Outcome,
    Photo,
    QueuedRequest,
    Redirected,
    RobotsRequest,
    RobotsText,
    State,
)
from autolabel.crawling.sources.pages import parse_page
from autolabel.crawling.sources.parsing import BusyError, Found, ParseError, ParseSettings, RefusedError
from autolabel.crawling.sources.searches import parse_openverse, parse_wikimedia
from autolabel.crawling.sources.sitemaps import parse_sitemap
from autolabel.crawling.sources.urls import normalize
from surfaces.errors import DecodeError, FetchError, SurfacesError
from surfaces.io.http import (
    TRANSIENT_STATUSES,
    USER_AGENT,
    WHOLE_STATUSES,
    FetchLimits,
    Response,
    UnavailableError,
    ask,
)
from surfaces.io.storage import read_bytes
from surfaces.io.urls import AddressError, PrivateAddressError, Resolver, look_up

KEPT_HEADERS = (
    *("cache-control", "content-length", "content-type", "date", "etag", "expires", "last-modified", "link", "server"),
    *("tdm-policy", "tdm-reservation", "x-robots-tag"),
)
"""Response headers that are part of a photo's provenance."""

_ACCEPT = {
    Kind.PAGE: {"Accept": "text/html, application/xhtml+xml;q=0.9"},
    Kind.SITEMAP: {"Accept": "application/xml, text/xml, text/plain;q=0.8, */*;q=0.5"},
    Kind.OPENVERSE: {"Accept": "application/json"},
    Kind.WIKIMEDIA: {"Accept": "application/json"},
}


@dataclass(frozen=True)
class FetchSettings:
    """How requests are made."""

    limits: FetchLimits = field(default_factory=FetchLimits)  # of one request
    redirects_max: int = 5
    parsing: ParseSettings = field(default_factory=ParseSettings)
    contact: str = ""  # a web or mail address for the User-Agent
    filter_threads: int = 2  # photos decoded and filtered at once; each needs memory
    resolve: Resolver = look_up


class Fetcher:
    """Makes requests, filters photos and stores those that are kept. Thread-safe."""

    def __init__(self, settings: FetchSettings, image_filter: ImageFilter, store: BlobStore) -> None:
        self._settings, self._filter, self._store = settings, image_filter, store
        self._parsers = parsers_by_kind(settings.parsing)
        self._agent = {"User-Agent": f"{USER_AGENT} ({settings.contact})"} if settings.contact else {}
        self._measuring = threading.BoundedSemaphore(settings.filter_threads)
        self._classifying = threading.Lock()

    def fetch(self, request: AnyRequest) -> tuple[Outcome | RobotsText, float]:
        """Returns the outcome of a request and the time of the response (`time.monotonic`), before the filtering.

        Raises:
            OutputError: a photo could not be stored.
        """
        if isinstance(request, RobotsRequest):
            return self._fetch_robots(request), time.monotonic()
        kind = request.request.kind
        if kind is Kind.FILE:
            return self._read_file(request.url), time.monotonic()
        headers = _ACCEPT.get(kind, {}) | headers_for(kind, request.url, self._settings.parsing)
        try:
            response = self._get(request.url, headers)
        except FetchError as error:
            return _failure(error), time.monotonic()
        responded = time.monotonic()
        return self._outcome(request, response), responded

    def _fetch_robots(self, request: RobotsRequest) -> Outcome | RobotsText:
        try:
            response = self._get(request.url, {"Accept": "text/plain, text/*;q=0.8"})
            # Too many redirects mean that there is none (RFC 9309, section 2.3.1.2).
            if response.redirect is not None and request.redirects < self._settings.redirects_max:
                return Redirected(normalize(response.redirect))
        except AddressError as error:
            return _failure(error)
        except FetchError as error:
            return Delayed("unreachable", f"robots.txt: {error}")
        if response.status in TRANSIENT_STATUSES or response.status >= 500:
            return _delay(response)
        return RobotsText(response.status, response.body[:BYTES_MAX])

    def _get(self, url: str, headers: Mapping[str, str]) -> Response:
        return ask(url, self._settings.limits, {**headers, **self._agent}, self._settings.resolve)

    def _outcome(self, queued: QueuedRequest, response: Response) -> Outcome:
        try:
            target = response.redirect
            if target is not None and queued.redirects >= self._settings.redirects_max:
                return Ended(State.FAILED, "too-many-redirects", f"at last to {target}")
            if target is not None:
                return Redirected(normalize(target))
        except FetchError as error:
            return _failure(error)
        if response.status in TRANSIENT_STATUSES:
            return _delay(response)
        if response.status not in WHOLE_STATUSES:
            return Ended(State.FAILED, f"http-{response.status}")
        if queued.request.kind is not Kind.PHOTO:
            return self._parse(queued.request, response)
        refused = OPT_OUTS & directives(response.headers)
        if refused and not self._settings.parsing.ignore_opt_outs:
            return Ended(State.REFUSED, "noai", f"X-Robots-Tag: {', '.join(sorted(refused))}")
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        return self._filter_photo(response.body, headers)

    def _parse(self, request: CrawlRequest, response: Response) -> Outcome:
        try:
            found = self._parsers[request.kind](request, response)
        except RefusedError as error:
            return Ended(State.REFUSED, "noai", str(error))
        except BusyError as error:
            return Delayed("busy", str(error), retry_after_s(response.headers, time.time()))
        except ParseError as error:
            return Ended(State.FAILED, "not-as-expected", str(error))
        is_cut = isinstance(found, Found) and found.is_cut
        return Ended(State.DONE, "read", "in part" if is_cut else "", tuple(found), is_cut)

    def _read_file(self, path: str) -> Outcome:
        try:
            data = read_bytes(path, self._settings.limits.bytes_max)
        except FetchError as error:
            return Ended(State.FAILED, "no-file", str(error))
        except DecodeError as error:
            return Ended(State.FAILED, "too-large", str(error))
        return self._filter_photo(data, {})

    def _filter_photo(self, data: bytes, headers: Mapping[str, str]) -> Ended:
        fetched = time.time()
        with self._measuring:
            stats = self._filter.measure(data)
        with self._classifying:
            result = self._filter.classify(stats)
        if result.reason is Reason.FORGOTTEN:
            return Ended(State.REFUSED, FORGOTTEN, result.duplicate_of)
        # The bytes are stored before the database says so: a kill between the two loses nothing.
        path = self._store.put(blob_name(stats.sha256, data), data) if result.kept else ""
        photo = Photo(stats, path, fetched, headers, result.duplicate_of)
        return Ended(State.DONE, str(result.reason), result.detail, photo=photo, supersedes=result.supersedes)


def parsers_by_kind(settings: ParseSettings) -> dict[Kind, Callable[[CrawlRequest, Response], list[CrawlRequest]]]:
    """Returns a parser for each kind but photos and files: it returns the crawl requests that a response leads to, and
    raises only ParseError and its subclasses."""
    return {
        Kind.PAGE: partial(parse_page, settings=settings),
        Kind.SITEMAP: parse_sitemap,
        Kind.OPENVERSE: partial(parse_openverse, settings=settings),
        Kind.WIKIMEDIA: partial(parse_wikimedia, settings=settings),
    }


def headers_for(kind: Kind, url: str, settings: ParseSettings) -> dict[str, str]:
    """Returns additional headers of a request: Openverse's token, at Openverse's own address only (not in redirects).

    The token of a registered user is read from the environment each time and stored nowhere.
    """
    token = os.environ.get("OPENVERSE_TOKEN")
    if token and kind is Kind.OPENVERSE and url.startswith(f"{settings.openverse}/"):
        return {"Authorization": f"Bearer {token}"}
    return {}


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds to wait from `now` by `Retry-After`, a number or a date (RFC 9110, 10.2.3); None if it is invalid."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _failure(error: SurfacesError) -> Outcome:
    if isinstance(error, PrivateAddressError):
        return Ended(State.REFUSED, PRIVATE_ADDRESS, str(error))
    if isinstance(error, AddressError):
        return Ended(State.REFUSED, "address", str(error))
    if isinstance(error, UnavailableError):
        return Delayed("unreachable", str(error))
    return Ended(State.FAILED, "fetch", str(error))


def _delay(response: Response) -> Delayed:
    pause_s = retry_after_s(response.headers, time.time())
    return Delayed(f"http-{response.status}", f"HTTP {response.status}", pause_s)
