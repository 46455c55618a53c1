"""The crawl itself: hands requests to workers as hosts may be asked, and records what becomes of them.

One thread holds the ledger and the schedule; workers only ask, read and judge. So nothing but the hosts' times is in
memory, however many leads there are.

An error that one item raises (a photo, a page, an answer, a robots.txt, a record) ends that item, with the error as its
detail. Only errors of the crawl itself end the crawl: ledger or vault can't be used, or an interruption.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from autolabel.crawling.crawl_progress import CrawlProgress
from autolabel.crawling.database import FILE_LANES, CrawlDatabase
from autolabel.crawling.fetching.fetcher import Fetcher
from autolabel.crawling.fetching.robots import RULES_MAX, RobotsRules, robots_origin
from autolabel.crawling.fetching.schedule import Schedule
from autolabel.crawling.found_leads import FoundLeads
from autolabel.crawling.lead import Kind
from autolabel.crawling.markup import one_line
from autolabel.crawling.readers import API_KINDS
from autolabel.crawling.records import (
    ITEM_ERROR,
    TOO_MANY,
    Delayed,
    Ended,
    Outcome,
    Redirected,
    Request,
    RobotsRequest,
    RobotsText,
    State,
    Superseded,
)
from autolabel.crawling.settings import CrawlCounts, CrawlSettings
from surfaces.addresses import AddressError, read_address
from surfaces.errors import DatasetError, OutputError

_LONGEST_WAIT_S = 0.5  # so that an interruption is soon noticed
_RULES_IN_MEMORY, _LINES_IN_MEMORY = 500, 100_000
_DETAIL_MAX = 300
_LEADING = API_KINDS | {Kind.PAGE, Kind.SITEMAP}
_NO_ROBOTS = API_KINDS | {Kind.FILE}


@dataclass(frozen=True)
class _Work:
    """A request in work; its host is busy."""

    host: str
    request: Request | RobotsRequest

    @property
    def may_be_kept(self) -> bool:
        return isinstance(self.request, Request) and self.request.lead.kind in (Kind.PHOTO, Kind.FILE)


class Crawl:
    """One run of a crawl.

    Args:
        ledger: what is to be asked; of this thread.
        asker: asks.
        settings: politeness and limits.
        progress: told of each end.
        interrupted: where it says so, requests in work are the last.
        resumed: the hosts may have been asked just before: each is first left alone as after an answer.
    """

    def __init__(
        self,
        ledger: CrawlDatabase,
        asker: Fetcher,
        settings: CrawlSettings,
        progress: CrawlProgress,
        interrupted: Callable[[], bool] = lambda: False,
        resumed: bool = True,
    ) -> None:
        self._ledger, self._asker, self._settings, self._progress = ledger, asker, settings, progress
        self._interrupted = interrupted
        self._first_pause_s = 1 / settings.rate if resumed else 0.0
        self._left_alone = ledger.left_alone()
        self._found = FoundLeads(ledger, settings.found)
        self._schedule = Schedule()
        self._rules: OrderedDict[str, tuple[RobotsRules, float]] = OrderedDict()
        self._not_permitted: dict[str, Ended] = {}
        self._delays: dict[str, float] = {}
        self._working: dict[Future[tuple[Outcome | RobotsText, float]], _Work] = {}
        self._finished: SimpleQueue[Future[tuple[Outcome | RobotsText, float]]] = SimpleQueue()
        self._superseded: dict[str, tuple[Superseded, str]] = {}
        self._tally = CrawlCounts()

    def run(self) -> CrawlCounts:
        """Asks until nothing is left that may be asked, the limit is reached, or it is interrupted.

        Returns:
            What became of the leads.

        Raises:
            OutputError: ledger or vault can't be written to; what was recorded stays.
        """
        for host in self._ledger.waiting_hosts():
            self._expect(host)
        pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="asker")
        try:
            while self._go_on():
                wait_s = self._hand_out(pool)
                self._settle(wait_s)
        finally:
            pool.shutdown(cancel_futures=True)
        return self._tally

    def _expect(self, host: str) -> None:
        """There is something to ask a host; what it asked of an earlier run holds."""
        wait_s = self._left_alone.pop(host, 0.0) - time.time()
        if wait_s > self._settings.patience_s:
            self._put_aside(host, f"asked to be left alone for {wait_s:.0f} s more")
        else:
            self._schedule.add(host, max(wait_s, 0.0 if host in FILE_LANES else self._first_pause_s))

    def _go_on(self) -> bool:
        if self._working:
            return True
        full = self._settings.limit is not None and self._tally.kept >= self._settings.limit
        return not (full or self._interrupted() or self._schedule.wait_s() is None)

    def _hand_out(self, pool: ThreadPoolExecutor) -> float:
        """Gives a worker a request, if one is free; returns how long the next one may be waited for, seconds."""
        if len(self._working) >= self._settings.workers or self._interrupted() or self._may_be_full():
            return _LONGEST_WAIT_S
        host = self._schedule.take()
        if host is None:
            wait_s = self._schedule.wait_s()
            return _LONGEST_WAIT_S if wait_s is None else min(wait_s, _LONGEST_WAIT_S)
        work = self._next_work(host)
        if work is not None:
            self._start(pool, work)
        return 0.0

    def _may_be_full(self) -> bool:
        if self._settings.limit is None:
            return False
        return self._tally.kept + sum(work.may_be_kept for work in self._working.values()) >= self._settings.limit

    def _start(self, pool: ThreadPoolExecutor, work: _Work) -> None:
        request = work.request
        future: Future[tuple[Outcome | RobotsText, float]]
        if isinstance(request, Request):
            future = pool.submit(self._asker.ask, request)
        else:
            future = pool.submit(self._asker.fetch_robots, request)
        self._working[future] = work
        self._tally.asked += 1
        future.add_done_callback(self._finished.put)

    def _next_work(self, host: str) -> _Work | None:
        """What to ask a host whose turn it is; None where the turn passes without a request."""
        now = time.time()
        robots = self._ledger.robots.next_request(host, now)
        if robots is not None:
            return _Work(host, robots)
        request = self._ledger.next_request(host, now)
        if request is None:
            self._rest_until_due(host, now)
            return None
        work = _Work(host, request)
        if request.lead.kind in _LEADING and self._found.room(host) <= 0:
            self._refuse(host, request, Ended(State.FAILED, TOO_MANY, f"no more of what {host} names is kept"))
            return None
        with self._item(work):
            return work if request.lead.kind in _NO_ROBOTS else self._permitted(host, request, now)
        return None

    def _permitted(self, host: str, request: Request, now: float) -> _Work | None:
        """The request, or the one for robots.txt that has to come before; None where neither may be made now."""
        origin = robots_origin(read_address(request.address))
        rules = self._known_rules(origin, now)
        if origin in self._not_permitted:
            self._refuse(host, request, self._not_permitted[origin])
        elif rules is None:
            return self._robots_first(host, origin, now)
        elif rules.delay_s > self._delay(host):
            self._delays[host] = rules.delay_s
            self._rest(host, rules.delay_s, f"robots.txt wants {rules.delay_s:g} s between requests")
        elif not rules.allows(request.address):
            too_long = f", which has more than {RULES_MAX} rules for this crawler" if rules.is_too_long else ""
            self._refuse(host, request, Ended(State.REFUSED, "robots", f"robots.txt of {origin}{too_long}"))
        else:
            return _Work(host, request)
        return None

    def _refuse(self, host: str, request: Request, refused: Ended) -> None:
        self._end(request, refused)
        self._schedule.rest(host, 0.0)

    def _robots_first(self, host: str, origin: str, now: float) -> _Work | None:
        self._ledger.robots.want(origin)
        robots = self._ledger.robots.next_request(host, now)
        if robots is not None:
            return _Work(host, robots)
        elsewhere = self._ledger.robots.wanted_from(origin)
        if elsewhere is not None and self._schedule.is_aside(elsewhere):
            self._put_aside(host, f"its robots.txt is at {elsewhere}, which was put aside")
        else:
            self._schedule.rest(host, self._delay(host))
        return None

    def _rest_until_due(self, host: str, now: float) -> None:
        due = self._ledger.next_time(host)
        if due is None:
            self._schedule.retire(host)
        else:
            self._rest(host, max(0.0, due - now), "what is left is to be asked later")

    def _known_rules(self, origin: str, now: float) -> RobotsRules | None:
        """What an origin's robots.txt says; None where it is (again) to be asked."""
        if origin not in self._rules and (answer := self._ledger.robots.answer(origin)):
            self._rules[origin] = RobotsRules(answer[0]), answer[1]
            while len(self._rules) > 1 and not self._fits_in_memory():
                self._rules.popitem(last=False)
        rules, time_told = self._rules.get(origin, (None, 0.0))
        if rules is None or abs(now - time_told) > self._settings.robots_age_s:
            return None
        self._rules.move_to_end(origin)
        return rules

    def _fits_in_memory(self) -> bool:
        lines = sum(rules.size for rules, _ in self._rules.values())
        return len(self._rules) <= _RULES_IN_MEMORY and lines <= _LINES_IN_MEMORY

    def _settle(self, wait_s: float) -> None:
        """Records what has ended by now, or ends within some seconds."""
        try:
            future = self._finished.get(timeout=wait_s) if wait_s else self._finished.get_nowait()
        except Empty:
            return
        work = self._working.pop(future)
        with self._item(work):
            self._take(work, *future.result())

    def _take(self, work: _Work, outcome: Outcome | RobotsText, answered: float) -> None:
        """Records what became of a request; the host had answered at a time of `time.monotonic`."""
        if isinstance(outcome, Delayed):
            self._delay_request(work, outcome)
            return
        self._schedule.succeeded(work.host)
        self._schedule.rest(work.host, max(0.0, answered + self._delay(work.host) - time.monotonic()))
        if isinstance(work.request, RobotsRequest):
            self._record_robots(work.request, outcome)
        else:
            assert not isinstance(outcome, RobotsText)
            self._record(work.request, outcome)

    @contextmanager
    def _item(self, work: _Work) -> Iterator[None]:
        """An error in the block ends the item alone, unless it is one of the crawl itself."""
        try:
            yield
        except (OutputError, DatasetError):  # of vault and ledger
            raise
        except Exception as error:
            self._fail(work, one_line(f"{type(error).__name__}: {error}", _DETAIL_MAX))

    def _fail(self, work: _Work, detail: str) -> None:
        if isinstance(work.request, Request):
            self._end(work.request, Ended(State.FAILED, ITEM_ERROR, detail))
        else:
            with suppress(AddressError):  # then nothing waits for it
                self._record_robots(work.request, Ended(State.FAILED, ITEM_ERROR, f"robots.txt: {detail}"))
        if self._schedule.is_busy(work.host):
            self._schedule.rest(work.host, self._delay(work.host))

    def _record_robots(self, request: RobotsRequest, outcome: Redirected | Ended | RobotsText) -> None:
        if isinstance(outcome, Redirected):
            self._expect(self._ledger.robots.redirect(request, outcome.address))
            return
        if isinstance(outcome, RobotsText):
            self._rules.pop(request.origin, None)
            self._ledger.robots.store(request, outcome, time.time())
        else:
            self._not_permitted[request.origin] = outcome
            self._ledger.robots.forget(request)
        self._expect(read_address(request.origin).host)

    def _record(self, request: Request, outcome: Redirected | Ended) -> None:
        if isinstance(outcome, Ended):
            self._end(request, outcome)
        elif self._ledger.is_known(outcome.address, request):
            self._end(request, Ended(State.DONE, "duplicate", f"redirected to {outcome.address}, which is known"))
        else:
            self._expect(self._ledger.redirect(request, outcome.address))

    def _end(self, request: Request, ended: Ended) -> None:
        ended = self._unless_superseded(ended)
        known = [old for old in ended.supersedes if self._ledger.is_kept(old.sha256)]
        if ended.photo:
            better = ended.photo.facts.sha256
            self._superseded |= {old.sha256: (old, better) for old in ended.supersedes if old not in known}
        if ended.leads:
            host = read_address(request.address).host
            leads, left_out = self._found.take(host, ended.leads)
            ended = replace(ended, leads=tuple(leads))
            self._tally.left_out += Counter({host: left_out})
        for host in self._ledger.end(request, ended):
            self._expect(host)
        self._asker.recorded(request)
        self._tally.kept += ended.kept - len(known)
        self._tally.superseded += len(known)
        self._tally.ended[ended.reason] += 1
        self._tally.cut += ended.is_cut
        self._progress.ended(ended, self._schedule.waiting)

    def _unless_superseded(self, ended: Ended) -> Ended:
        """How a lead ends: a photo that was to be kept is dropped where a better copy overtook it on its way here."""
        if not (ended.photo and ended.kept and ended.photo.facts.sha256 in self._superseded):
            return ended
        old, better = self._superseded.pop(ended.photo.facts.sha256)
        photo = replace(ended.photo, path="", duplicate_of=better)
        return replace(ended, reason=old.reason, detail=old.detail, photo=photo)

    def _delay_request(self, work: _Work, delayed: Delayed) -> None:
        request, failures = work.request, self._schedule.failed(work.host)
        pause_s = delayed.pause_s if delayed.pause_s is not None else self._settings.pause_s * 2 ** (failures - 1)
        pause_s = max(pause_s, self._delay(work.host))
        until = time.time() + pause_s
        if delayed.pause_s is not None:
            self._ledger.leave_alone(work.host, until)
        if isinstance(request, RobotsRequest):
            self._ledger.robots.delay(request, until)
        elif request.tries + 1 < self._settings.tries_max:
            self._ledger.delay(request, until, delayed.reason)
        else:
            self._end(request, Ended(State.FAILED, delayed.reason, delayed.detail))
        if failures >= self._settings.failures_max:
            self._put_aside(work.host, delayed.detail)
        else:
            self._rest(work.host, pause_s, delayed.detail)

    def _rest(self, host: str, wait_s: float, why: str) -> None:
        if wait_s > self._settings.patience_s:
            self._put_aside(host, why)
        else:
            self._schedule.rest(host, wait_s)

    def _put_aside(self, host: str, why: str) -> None:
        self._schedule.put_aside(host)
        self._tally.aside[host] = why

    def _delay(self, host: str) -> float:
        return 0.0 if host in FILE_LANES else self._delays.get(host, 1 / self._settings.rate)
