"""One request and what became of it: everything of a crawl that happens in worker threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from autolabel.crawling.arrivals import Arrival, Arrivals
from autolabel.crawling.blob_store import BlobStore, photo_name
from autolabel.crawling.fetching.robots import BYTES_MAX, OPT_OUTS, directives
from autolabel.crawling.judging import Judge
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.readers import headers_for, readers
from autolabel.crawling.reading import BusyError, Leads, ReadError, ReadSettings, RefusedError
from autolabel.crawling.records import (
    PRIVATE_ADDRESS,
    Delayed,
    Ended,
    Outcome,
    Photo,
    Redirected,
    Request,
    RobotsRequest,
    RobotsText,
    State,
)
from autolabel.crawling.urls import normalised
from surfaces.addresses import AddressError, PrivateAddressError, Resolver, look_up
from surfaces.errors import DecodeError, FetchError, SurfacesError
from surfaces.fetch import PASSING_STATUSES, USER_AGENT, WHOLE_STATUSES, Answer, FetchLimits, UnavailableError, ask
from surfaces.places import read_bytes

KEPT_HEADERS = (
    *("cache-control", "content-length", "content-type", "date", "etag", "expires", "last-modified", "link", "server"),
    *("tdm-policy", "tdm-reservation", "x-robots-tag"),
)
"""Headers of a photo's answer that belong to its provenance."""

_ROBOTS_ACCEPT = {"Accept": "text/plain, text/*;q=0.8"}
_ACCEPT = {
    Kind.PAGE: {"Accept": "text/html, application/xhtml+xml;q=0.9"},
    Kind.SITEMAP: {"Accept": "application/xml, text/xml, text/plain;q=0.8, */*;q=0.5"},
    Kind.OPENVERSE: {"Accept": "application/json"},
    Kind.WIKIMEDIA: {"Accept": "application/json"},
}


@dataclass(frozen=True)
class FetchSettings:
    """How hosts are asked.

    Attributes:
        limits: of one request.
        redirects_max: most redirects that a lead is followed through.
        reading: what is taken from answers, and whether `X-Robots-Tag: noai` and the like are honoured.
        contact: a web or mail address for whoever runs a host that is asked; empty where none is given.
        judging: how many photos are decoded and judged at once; each takes memory.
        resolve: looks names up.
    """

    limits: FetchLimits = field(default_factory=FetchLimits)
    redirects_max: int = 5
    reading: ReadSettings = field(default_factory=ReadSettings)
    contact: str = ""
    judging: int = 2
    resolve: Resolver = look_up


class Fetcher:
    """Makes requests; for many threads at once.

    Args:
        settings: limits and what is honoured.
        judge: decides which photos are kept.
        vault: where those go.
        arrivals: where photos lie until they are judged; what is found there is not asked for.
    """

    def __init__(self, settings: FetchSettings, judge: Judge, vault: BlobStore, arrivals: Arrivals) -> None:
        self._settings, self._judge, self._vault, self._arrivals = settings, judge, vault, arrivals
        self._readers = readers(settings.reading)
        self._agent = {"User-Agent": f"{USER_AGENT} ({settings.contact})"} if settings.contact else {}
        self._looking = threading.BoundedSemaphore(settings.judging)
        self._deciding = threading.Lock()

    def ask(self, request: Request) -> tuple[Outcome, float]:
        """Makes a lead's next request.

        Returns:
            What became of it, and when the host had answered (`time.monotonic`): judging comes after that.

        Raises:
            OutputError: a photo could not be stored.
        """
        if request.lead.kind is Kind.FILE:
            return self._read_file(request.lead), time.monotonic()
        if arrival := self._arrivals.find(request):
            return self._judged(arrival), time.monotonic()
        kind = request.lead.kind
        headers = _ACCEPT.get(kind, {}) | headers_for(kind, request.address, self._settings.reading)
        try:
            answer = self._get(request.address, headers)
        except FetchError as error:
            return _failure(error), time.monotonic()
        answered = time.monotonic()
        return self._told(request, answer), answered

    def fetch_robots(self, request: RobotsRequest) -> tuple[RobotsText | Outcome, float]:
        """Asks for a robots.txt; too many redirects mean that there is none (RFC 9309, section 2.3.1.2).

        Returns:
            What came, or `Ended` where the host may not be asked, and when (`time.monotonic`).
        """
        try:
            answer = self._get(request.address, _ROBOTS_ACCEPT)
            if answer.redirect is not None and request.redirects < self._settings.redirects_max:
                return Redirected(normalised(answer.redirect)), time.monotonic()
        except AddressError as error:
            return _failure(error), time.monotonic()
        except FetchError as error:
            return Delayed("unreachable", f"robots.txt: {error}"), time.monotonic()
        if answer.status in PASSING_STATUSES or answer.status >= 500:
            return _delayed(answer), time.monotonic()
        return RobotsText(answer.status, answer.body[:BYTES_MAX]), time.monotonic()

    def recorded(self, request: Request) -> None:
        """The ledger knows how a request's lead ended."""
        self._arrivals.forget(request)

    def _get(self, address: str, headers: Mapping[str, str]) -> Answer:
        return ask(address, self._settings.limits, {**headers, **self._agent}, self._settings.resolve)

    def _told(self, request: Request, answer: Answer) -> Outcome:
        try:
            target = answer.redirect
            if target is not None:
                return self._redirected(request, target)
        except FetchError as error:
            return _failure(error)
        if answer.status in PASSING_STATUSES:
            return _delayed(answer)
        if answer.status not in WHOLE_STATUSES:
            return Ended(State.FAILED, f"http-{answer.status}")
        if request.lead.kind is not Kind.PHOTO:
            return self._read(request.lead, answer)
        refused = OPT_OUTS & directives(answer.headers)
        if refused and not self._settings.reading.ignore_opt_outs:
            return Ended(State.REFUSED, "noai", f"X-Robots-Tag: {', '.join(sorted(refused))}")
        headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
        arrival = Arrival(answer.body, time.time(), headers)
        self._arrivals.keep(request, arrival)
        return self._judged(arrival)

    def _redirected(self, request: Request, target: str) -> Outcome:
        if request.redirects >= self._settings.redirects_max:
            return Ended(State.FAILED, "too-many-redirects", f"at last to {target}")
        return Redirected(normalised(target))

    def _read(self, lead: Lead, answer: Answer) -> Outcome:
        try:
            leads = self._readers[lead.kind](lead, answer)
            is_cut = isinstance(leads, Leads) and leads.is_cut
            return Ended(State.DONE, "read", "in part" if is_cut else "", tuple(leads), is_cut)
        except RefusedError as error:
            return Ended(State.REFUSED, "noai", str(error))
        except BusyError as error:
            return Delayed("busy", str(error), retry_after_s(answer.headers, time.time()))
        except ReadError as error:
            return Ended(State.FAILED, "not-as-expected", str(error))

    def _read_file(self, lead: Lead) -> Outcome:
        try:
            data = read_bytes(lead.url, self._settings.limits.bytes_max)
        except FetchError as error:
            return Ended(State.FAILED, "no-file", str(error))
        except DecodeError as error:
            return Ended(State.FAILED, "too-large", str(error))
        return self._judged(Arrival(data, time.time(), {}))

    def _judged(self, arrival: Arrival) -> Ended:
        data = arrival.body
        with self._looking:
            facts = self._judge.look(data)
        with self._deciding:
            verdict = self._judge.decide(facts)
        # Its bytes lie in the vault before the ledger says so: a kill between the two loses nothing.
        path = self._vault.put(photo_name(facts.sha256, data), data) if verdict.kept else ""
        photo = Photo(facts, path, arrival.time, arrival.headers, verdict.duplicate_of)
        return Ended(State.DONE, str(verdict.reason), verdict.detail, photo=photo, supersedes=verdict.supersedes)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long a server asks to be left alone: `Retry-After`, seconds or a date (RFC 9110, section 10.2.3).

    Args:
        headers: of the answer, by lower-case name.
        now: seconds since 1970.

    Returns:
        Seconds, from 0; None where it says nothing that can be understood.
    """
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


def _delayed(answer: Answer) -> Delayed:
    return Delayed(f"http-{answer.status}", f"HTTP {answer.status}", retry_after_s(answer.headers, time.time()))
