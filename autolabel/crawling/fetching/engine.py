"""The crawl engine: hands requests to worker threads when their hosts are due, and records the results.

One thread owns the database and the schedule; workers only fetch, parse and filter. Memory holds the hosts' times and
no requests. An exception of one request (its photo, page, response, robots.txt) ends that request; only errors of the
database and the blob store, and interrupts, end the crawl.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from autolabel.crawling.database import FILE_LANES, CrawlDatabase
from autolabel.crawling.fetching.fetcher import Fetcher
from autolabel.crawling.fetching.robots import RULES_MAX, RobotsRules, robots_origin
from autolabel.crawling.fetching.schedule import Schedule
from autolabel.crawling.forgotten import REDIRECTED, forgotten_at
from autolabel.crawling.found_requests import FoundLimits, FoundRequests
from autolabel.crawling.records import (
    FORGOTTEN,
    ITEM_ERROR,
    TOO_MANY,
    AnyRequest,
    Delayed,
    Ended,
    Kind,
    Outcome,
    QueuedRequest,
    Redirected,
    RobotsRequest,
    RobotsText,
    State,
    Superseded,
)
from autolabel.crawling.sources.parsing import one_line
from surfaces.errors import DatasetError, OutputError
from surfaces.io.urls import AddressError, parse_url

_WAIT_MAX_S = 0.5  # so that an interrupt is noticed soon
_RULES_MEMORY, _RULES_OVERHEAD = 100_000, 200  # lines of robots.txt that stay parsed; one file counts for 200 more
_DETAIL_MAX = 300
# Without robots.txt: these APIs are published for programs, under terms of their own, and Wikimedia Commons' robots.txt
# excludes unknown crawlers from all of `/w/`. The robots.txt of the photos that they list is honoured.
_API_KINDS = frozenset({Kind.OPENVERSE, Kind.WIKIMEDIA})
_FINDING = _API_KINDS | {Kind.PAGE, Kind.SITEMAP}
_NO_ROBOTS = _API_KINDS | {Kind.FILE}
_PHOTOS = (Kind.PHOTO, Kind.FILE)


@dataclass(frozen=True)
class CrawlSettings:
    """Politeness and limits of a crawl."""

    rate: float = 1.0  # requests per second and host; a pause of 1 / rate follows each response
    workers: int = 16  # requests in flight
    limit: int | None = None  # photos to keep in this run
    tries_max: int = 3  # attempts at a request that fails transiently
    pause_s: float = 2.0  # after a transient failure; doubled after each further consecutive one
    failures_max: int = 5  # consecutive failures after which a host is suspended until the next run
    wait_max_s: float = 600.0  # a host that asks for a longer pause is suspended
    robots_age_s: float = 86_400.0  # how long a robots.txt is valid
    found: FoundLimits = field(default_factory=FoundLimits)  # on the URLs that responses name


@dataclass
class CrawlCounts:
    """Counts of one run."""

    requests: int = 0  # including robots.txt and files
    kept: int = 0  # increase in the number of photos of the corpus
    superseded: int = 0  # photos that are no longer kept because a better copy came
    ended: Counter[str] = field(default_factory=Counter)  # crawl requests by the reason of their end
    suspended: dict[str, str] = field(default_factory=dict)  # reasons by host
    cut: int = 0  # responses that name more URLs than are taken from one
    left_out: Counter[str] = field(default_factory=Counter)  # URLs beyond the limits, by the host that named them


class Crawl:
    """One run of a crawl.

    Args:
        on_end: called with each result and the number of active hosts.
        interrupted: when true, no more requests are started.
        resumed: whether each host pauses first, since an earlier run may have just contacted it.
    """

    def __init__(
        self,
        database: CrawlDatabase,
        fetcher: Fetcher,
        settings: CrawlSettings,
        on_end: Callable[[Ended, int], None] = lambda _ended, _hosts: None,
        interrupted: Callable[[], bool] = lambda: False,
        resumed: bool = True,
    ) -> None:
        self._database, self._fetcher, self._settings = database, fetcher, settings
        self._on_end, self._interrupted = on_end, interrupted
        self._first_pause_s = 1 / settings.rate if resumed else 0.0
        self._cooldowns = database.cooldowns()
        self._found = FoundRequests(database, settings.found)
        self._schedule = Schedule()
        self._rules: OrderedDict[str, tuple[RobotsRules, float]] = OrderedDict()
        self._refused_origins: dict[str, Ended] = {}
        self._delays: dict[str, float] = {}
        self._in_flight: dict[Future[tuple[Outcome | RobotsText, float]], tuple[str, AnyRequest]] = {}
        self._overtaken: dict[str, tuple[Superseded, str]] = {}
        self._counts = CrawlCounts()

    def run(self) -> CrawlCounts:
        """Makes requests until none is left that may be made, the limit is reached, or it is interrupted.

        Raises:
            OutputError: the database or the blob store can't be written to; recorded results stay.
        """
        for host in self._database.waiting_hosts():
            self._add_host(host)
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="fetcher") as pool:
            while self._in_flight or not (self._is_full(0) or self._interrupted() or self._schedule.wait_s() is None):
                wait_s = self._start_next(pool)
                if not self._in_flight:
                    time.sleep(wait_s)
                for future in wait(self._in_flight, wait_s, FIRST_COMPLETED).done:
                    host, request = self._in_flight.pop(future)
                    with self._isolated(host, request):
                        self._finish(host, request, *future.result())
        return self._counts

    def _add_host(self, host: str) -> None:
        """Schedules a host; the pause it asked for in an earlier run still applies."""
        wait_s = self._cooldowns.pop(host, 0.0) - time.time()
        if wait_s > self._settings.wait_max_s:
            self._suspend(host, f"asked for a pause of {wait_s:.0f} s more")
        else:
            self._schedule.add(host, max(wait_s, 0.0 if host in FILE_LANES else self._first_pause_s))

    def _is_full(self, more: int) -> bool:
        return self._settings.limit is not None and self._counts.kept + more >= self._settings.limit

    def _start_next(self, pool: ThreadPoolExecutor) -> float:
        """Starts a request if one is due and a worker is free; returns how long to wait for the next, seconds."""
        requests = (request for _, request in self._in_flight.values())
        photos = sum(isinstance(request, QueuedRequest) and request.request.kind in _PHOTOS for request in requests)
        if len(self._in_flight) >= self._settings.workers or self._interrupted() or self._is_full(photos):
            return _WAIT_MAX_S
        host = self._schedule.pop()
        if host is None:
            wait_s = self._schedule.wait_s()
            return _WAIT_MAX_S if wait_s is None else min(wait_s, _WAIT_MAX_S)
        request = self._next_request(host)
        if request is not None:
            self._in_flight[pool.submit(self._fetcher.fetch, request)] = host, request
            self._counts.requests += 1
        return 0.0

    def _next_request(self, host: str) -> AnyRequest | None:
        """The next request to a host that is due; None if its turn passes without one."""
        now = time.time()
        request = self._database.next_request(host, now)
        if request is None:
            due = self._database.next_time(host)
            if due is None:
                self._schedule.idle(host)
            else:
                self._pause(host, max(0.0, due - now), "the remaining requests are to be made later")
            return None
        if isinstance(request, RobotsRequest):
            return request
        if request.request.kind in _FINDING and self._found.room(host) <= 0:
            self._refuse(host, request, Ended(State.FAILED, TOO_MANY, f"no more of what {host} names is kept"))
            return None
        with self._isolated(host, request):
            return request if request.request.kind in _NO_ROBOTS else self._check_robots(host, request, now)
        return None

    def _check_robots(self, host: str, request: QueuedRequest, now: float) -> AnyRequest | None:
        """The request, or the one for robots.txt that must come before; None if neither may be made now."""
        origin = robots_origin(parse_url(request.url))
        rules = self._rules_of(origin, now)
        if origin in self._refused_origins:
            self._refuse(host, request, self._refused_origins[origin])
        elif rules is None:
            return self._request_robots(host, origin, now)
        elif rules.delay_s > self._delay_s(host):
            self._delays[host] = rules.delay_s
            self._pause(host, rules.delay_s, f"robots.txt asks for {rules.delay_s:g} s between requests")
        elif not rules.allows(request.url):
            too_long = f", which has more than {RULES_MAX} rules for this crawler" if rules.is_too_long else ""
            self._refuse(host, request, Ended(State.REFUSED, "robots", f"robots.txt of {origin}{too_long}"))
        else:
            return request
        return None

    def _rules_of(self, origin: str, now: float) -> RobotsRules | None:
        """The rules of an origin; None if its robots.txt is to be fetched."""
        if origin not in self._rules and (stored := self._database.robots_text(origin)):
            self._rules[origin] = RobotsRules(stored[0]), stored[1]
            sizes = [rules.size + _RULES_OVERHEAD for rules, _ in self._rules.values()]
            while len(self._rules) > 1 and sum(sizes[-len(self._rules) :]) > _RULES_MEMORY:
                self._rules.popitem(last=False)
        rules, time_fetched = self._rules.get(origin, (None, 0.0))
        if rules is None or abs(now - time_fetched) > self._settings.robots_age_s:
            return None
        self._rules.move_to_end(origin)
        return rules

    def _request_robots(self, host: str, origin: str, now: float) -> RobotsRequest | None:
        self._database.request_robots(origin)
        request = self._database.next_request(host, now)
        if isinstance(request, RobotsRequest):
            return request
        elsewhere = self._database.robots_host(origin)
        if elsewhere is not None and self._schedule.is_suspended(elsewhere):
            self._suspend(host, f"its robots.txt is at {elsewhere}, which was suspended")
        else:
            self._schedule.reschedule(host, self._delay_s(host))
        return None

    def _finish(self, host: str, request: AnyRequest, outcome: Outcome | RobotsText, responded: float) -> None:
        """Records an outcome; `responded` is the time of the response (`time.monotonic`)."""
        if isinstance(outcome, Delayed):
            self._retry(host, request, outcome)
            return
        self._schedule.reset_failures(host)
        self._schedule.reschedule(host, max(0.0, responded + self._delay_s(host) - time.monotonic()))
        if isinstance(outcome, Redirected):
            self._redirect(request, outcome.url)
        elif isinstance(request, QueuedRequest) and isinstance(outcome, Ended):
            self._end(request, outcome)
        elif isinstance(request, RobotsRequest):
            self._record_robots(request, outcome)

    @contextmanager
    def _isolated(self, host: str, request: AnyRequest) -> Iterator[None]:
        """Records an exception of the block as the request's result, unless it is one of the crawl itself."""
        try:
            yield
        except (OutputError, DatasetError):  # of the blob store and the database
            raise
        except Exception as error:
            detail = one_line(f"{type(error).__name__}: {error}", _DETAIL_MAX)
            if isinstance(request, QueuedRequest):
                self._end(request, Ended(State.FAILED, ITEM_ERROR, detail))
            else:
                with suppress(AddressError):  # then no request waits for it
                    self._record_robots(request, Ended(State.FAILED, ITEM_ERROR, f"robots.txt: {detail}"))
            if self._schedule.is_busy(host):
                self._schedule.reschedule(host, self._delay_s(host))

    def _redirect(self, request: AnyRequest, url: str) -> None:
        forgotten = forgotten_at(self._database, url)
        if isinstance(request, QueuedRequest) and forgotten is not None:
            self._end(request, Ended(State.REFUSED, FORGOTTEN, forgotten))
        elif isinstance(request, QueuedRequest) and self._database.is_known(url, request):
            self._end(request, Ended(State.DONE, "duplicate", REDIRECTED.format(url)))
        else:
            self._add_host(self._database.redirect(request, url))

    def _record_robots(self, request: RobotsRequest, outcome: Ended | RobotsText) -> None:
        if isinstance(outcome, RobotsText):
            self._rules.pop(request.origin, None)
            self._database.store_robots(request, outcome, time.time())
        else:
            self._refused_origins[request.origin] = outcome
            self._database.forget_robots(request)
        self._add_host(parse_url(request.origin).host)

    def _refuse(self, host: str, request: QueuedRequest, refused: Ended) -> None:
        self._end(request, refused)
        self._schedule.reschedule(host, 0.0)

    def _end(self, request: QueuedRequest, ended: Ended) -> None:
        if ended.photo and ended.kept and ended.photo.stats.sha256 in self._overtaken:
            # A better copy was recorded while this photo was stored.
            old, better = self._overtaken.pop(ended.photo.stats.sha256)
            photo = replace(ended.photo, path="", duplicate_of=better)
            ended = replace(ended, reason=old.reason, detail=old.detail, photo=photo)
        superseded = {old.sha256 for old in ended.supersedes if self._database.is_kept(old.sha256)}
        if ended.photo:
            pending = (old for old in ended.supersedes if old.sha256 not in superseded)
            self._overtaken |= {old.sha256: (old, ended.photo.stats.sha256) for old in pending}
        if ended.found:
            host = parse_url(request.url).host
            found, left_out = self._found.take(host, ended.found)
            ended = replace(ended, found=tuple(found))
            if left_out:
                self._counts.left_out[host] += left_out
        for host in self._database.end(request, ended):
            self._add_host(host)
        self._counts.kept += ended.kept - len(superseded)
        self._counts.superseded += len(superseded)
        self._counts.ended[ended.reason] += 1
        self._counts.cut += ended.is_cut
        self._on_end(ended, self._schedule.num_active)

    def _retry(self, host: str, request: AnyRequest, delayed: Delayed) -> None:
        """Schedules the next attempt after a transient failure, with exponential backoff or the pause asked for."""
        failures = self._schedule.count_failure(host)
        pause_s = self._settings.pause_s * 2 ** (failures - 1) if delayed.pause_s is None else delayed.pause_s
        pause_s = max(pause_s, self._delay_s(host))
        until = time.time() + pause_s
        if delayed.pause_s is not None:
            self._database.set_cooldown(host, until)
        if isinstance(request, QueuedRequest) and request.tries + 1 >= self._settings.tries_max:
            self._end(request, Ended(State.FAILED, delayed.reason, delayed.detail))
        else:
            self._database.delay(request, until, delayed.reason)
        if failures >= self._settings.failures_max:
            self._suspend(host, delayed.detail)
        else:
            self._pause(host, pause_s, delayed.detail)

    def _pause(self, host: str, wait_s: float, why: str) -> None:
        if wait_s > self._settings.wait_max_s:
            self._suspend(host, why)
        else:
            self._schedule.reschedule(host, wait_s)

    def _suspend(self, host: str, why: str) -> None:
        self._schedule.suspend(host)
        self._counts.suspended[host] = why

    def _delay_s(self, host: str) -> float:
        return 0.0 if host in FILE_LANES else self._delays.get(host, 1 / self._settings.rate)
