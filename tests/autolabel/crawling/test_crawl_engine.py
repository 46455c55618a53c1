"""A crawl of loopback hosts: which requests are made, when, and their results; the schedule of hosts."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.fetching.fetcher import Fetcher
from autolabel.crawling.fetching.schedule import Schedule
from autolabel.crawling.records import AnyRequest, CrawlRequest, Kind, Outcome, RobotsRequest, RobotsText
from autolabel.crawling.sources.parsing import ParseSettings
from tests.autolabel.crawling.crawls import LOOPBACK, QUICK, crawl, ends, photos
from tests.autolabel.crawling.sites import ALLOW_ALL, Reply, Site, photo_bytes

_FOLLOW = replace(LOOPBACK, parsing=ParseSettings(follow=True))


def _page(site: Site, content: str, **headers: str) -> CrawlRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = site.serve(0, "/", Reply(content.encode(), headers={"Content-Type": "text/html"} | named))
    return CrawlRequest(url, Kind.PAGE, "pages")


def _redirect(target: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": target})


def _num_asked(site: Site, path: str, host: int = 0) -> int:
    return site.times_asked()[site.hosts[host], path]


def test_a_photo_is_kept_with_its_provenance(site: Site, corpus: Path) -> None:
    url = site.serve_photo(0, "/x.jpg", ETag='"7"', Last_Modified="yesterday", Set_Cookie="a=b")
    request = CrawlRequest(
        url, Kind.PHOTO, "urls", "https://a.example/", "A room", "A. Nother", "CC0 1.0", "https://cc.example/0"
    )
    before = time.time()
    counts = crawl(corpus, [request])
    (entry,) = photos(corpus)
    data = photo_bytes(1)
    assert (counts.requests, counts.kept, counts.suspended) == (2, 1, {})
    assert (entry.request, entry.final_url, entry.reason) == (request, url, "kept")
    assert entry.photo.stats.sha256 == hashlib.sha256(data).hexdigest()
    assert (corpus / entry.photo.path).read_bytes() == data
    assert before <= entry.photo.time <= time.time()
    assert {name: value for name, value in entry.photo.headers.items() if name not in ("date", "server")} == {
        "content-length": str(len(data)),
        "etag": '"7"',
        "last-modified": "yesterday",
    }
    assert all(asked.agent.startswith("interior-surfaces/") for asked in site.asked)


def test_the_same_bytes_are_kept_once(site: Site, corpus: Path) -> None:
    crawl(corpus, [site.serve_photo(host, "/x.jpg") for host in range(3)])
    assert ends(corpus) == {"kept": 1, "duplicate": 2}
    assert len(list((corpus / "photos").rglob("*.jpg"))) == 1


def _copy(side: int) -> bytes:
    """The same picture in another size."""
    picture = cv2.imdecode(np.frombuffer(photo_bytes(1, (240, 320)), np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(picture, (side, side * 3 // 4), interpolation=cv2.INTER_AREA))[1].tobytes()


@pytest.mark.parametrize("order", list(permutations((80, 160, 320))), ids=lambda order: " ".join(map(str, order)))
def test_the_largest_copy_is_kept_in_any_order(site: Site, corpus: Path, order: tuple[int, ...]) -> None:
    counts = crawl(corpus, [site.serve(0, f"/{side}.jpg", Reply(_copy(side))) for side in order])
    kept, *dropped = sorted(photos(corpus), key=lambda entry: -entry.photo.stats.width)
    assert (kept.reason, kept.photo.stats.width, counts.kept) == ("kept", 320, 1)
    assert (corpus / kept.photo.path).read_bytes() == _copy(320)
    assert [entry.reason for entry in dropped] == ["near-duplicate"] * 2
    for entry in dropped:
        assert (entry.photo.path, bool(entry.photo.duplicate_of), bool(entry.detail)) == ("", True, True)


def test_a_later_run_keeps_the_better_copy_and_the_old_file(site: Site, corpus: Path) -> None:
    """Labels may refer to the old file."""
    small, large = (site.serve(0, f"/{side}.jpg", Reply(_copy(side))) for side in (160, 320))
    assert crawl(corpus, [small]).kept == 1
    (old,) = photos(corpus)
    counts = crawl(corpus, [large])
    assert (counts.kept, counts.superseded) == (0, 1)
    assert ends(corpus) == {"kept": 1, "near-duplicate": 1}
    assert (corpus / old.photo.path).read_bytes() == _copy(160)


def test_a_better_copy_may_be_recorded_first(site: Site, corpus: Path) -> None:
    """The smaller copy is kept when it is filtered, but recorded after the larger one."""
    is_small_kept, is_large_kept = threading.Event(), threading.Event()

    class Reordering(Fetcher):
        def fetch(self, request: AnyRequest) -> tuple[Outcome | RobotsText, float]:
            if "large" in request.url:
                assert is_small_kept.wait(10)
            result = super().fetch(request)
            if "small" in request.url:
                is_small_kept.set()
                assert is_large_kept.wait(10)
                time.sleep(0.2)  # until the large one is recorded
            elif "large" in request.url:
                is_large_kept.set()
            return result

    copies = {"small.jpg": 160, "large.jpg": 320}
    urls = [site.serve(host, f"/{name}", Reply(_copy(side))) for host, (name, side) in enumerate(copies.items())]
    counts = crawl(corpus, urls, fetcher_type=Reordering)
    assert (counts.kept, counts.superseded) == (1, 0)
    assert {entry.photo.stats.width: entry.reason for entry in photos(corpus)} == {160: "near-duplicate", 320: "kept"}


def test_completed_requests_are_not_repeated(site: Site, corpus: Path) -> None:
    urls = [site.serve_photo(0, "/x.jpg"), site.url(0, "/gone.jpg")]
    crawl(corpus, urls)
    assert len(site.asked) == 3
    assert crawl(corpus, urls).requests == 0
    assert len(site.asked) == 3
    assert ends(corpus) == {"kept": 1, "http-404": 1}


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (_redirect("http://169.254.169.254/latest/"), "address"),
        (_redirect("file:///etc/passwd"), "address"),
        (_redirect("http://[::1"), "fetch"),
        (Reply(b"<html>"), "unreadable"),
        (Reply(b""), "unreadable"),
        (Reply(b"\xff\xd8" + bytes(40_000)), "fetch"),
        *(
            (Reply(photo_bytes(1), headers={"X-Robots-Tag": tag}), "noai")
            for tag in ("noai", "noimageai", "noindex", "interior-surfaces: noai")
        ),
        *((Reply(photo_bytes(1), headers={"X-Robots-Tag": tag}), "kept") for tag in ("otherbot: noai", "all")),
    ],
)
def test_the_result_of_a_photo(site: Site, corpus: Path, reply: Reply, end: str) -> None:
    limits = replace(LOOPBACK.limits, bytes_max=30_000)
    crawl(corpus, [site.serve(0, "/x.jpg", reply)], fetching=replace(LOOPBACK, limits=limits))
    assert ends(corpus) == {end: 1}
    assert _num_asked(site, "/x.jpg") == 1
    assert len(list((corpus / "photos").rglob("*.jpg"))) == (end == "kept")


def test_a_redirect_is_a_request_to_the_new_host(site: Site, corpus: Path) -> None:
    target = site.serve_photo(1, "/y.jpg")
    url = site.serve(0, "/x.jpg", _redirect(target))
    crawl(corpus, [url])
    (entry,) = photos(corpus)
    assert (entry.request.url, entry.final_url) == (url, target)
    assert [asked.path for asked in site.asked if asked.host == site.hosts[1]] == ["/robots.txt", "/y.jpg"]


def test_five_redirects_are_followed_politely(site: Site, corpus: Path) -> None:
    for number in range(5):
        site.serve(0, f"/{number}", _redirect(f"/{number + 1}", 301))
    site.serve_photo(0, "/5")
    crawl(corpus, [site.url(0, "/0"), site.serve(1, "/x", _redirect("/x", 307))], replace(QUICK, rate=5.0))
    assert ends(corpus) == {"kept": 1, "too-many-redirects": 1}
    assert _num_asked(site, "/x", 1) == 6
    assert site.shortest_pause_s() >= 0.2


def test_a_redirect_to_a_known_url_is_not_followed(site: Site, corpus: Path) -> None:
    target = site.serve_photo(1, "/y.jpg")
    crawl(corpus, [*(site.serve(0, f"/{n}.jpg", _redirect(target)) for n in range(3)), target])
    assert ends(corpus) == {"kept": 1, "duplicate": 3}
    assert _num_asked(site, "/y.jpg", 1) == 1


def test_robots_txt_is_fetched_first_and_once(site: Site, corpus: Path) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nDisallow: /private/"))
    crawl(corpus, [site.serve_photo(0, f"/{folder}/{n}.jpg", n) for folder in ("public", "private") for n in range(5)])
    assert ends(corpus) == {"kept": 5, "robots": 5}
    assert site.asked[0].path == "/robots.txt"
    assert not any("private" in asked.path for asked in site.asked)
    assert _num_asked(site, "/robots.txt") == 1


def test_robots_txt_is_valid_for_a_day(site: Site, corpus: Path) -> None:
    crawl(corpus, [site.serve_photo(0, "/1.jpg", 1)])
    crawl(corpus, [site.serve_photo(0, "/2.jpg", 2)])
    assert _num_asked(site, "/robots.txt") == 1
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nDisallow: /"))
    time.sleep(0.5)
    crawl(corpus, [site.serve_photo(0, "/3.jpg", 3)], replace(QUICK, robots_age_s=0.5))
    assert _num_asked(site, "/robots.txt") > 1
    assert ends(corpus) == {"kept": 2, "robots": 1}


_ENDLESS = _redirect("/robots.txt", 301)


@pytest.mark.parametrize(
    ("reply", "asked"),
    [*((Reply(b"User-agent: *\nDisallow: /", status), 1) for status in (401, 403, 404)), (_ENDLESS, 6)],
    ids=["401", "403", "404", "endless redirects"],
)
def test_everything_is_allowed_without_robots_txt(site: Site, corpus: Path, reply: Reply, asked: int) -> None:
    site.serve(0, "/robots.txt", reply)
    crawl(corpus, [site.serve_photo(0, "/x.jpg")])
    assert ends(corpus) == {"kept": 1}
    assert _num_asked(site, "/robots.txt") == asked


def test_nothing_is_requested_while_robots_txt_fails(site: Site, corpus: Path) -> None:
    site.serve(0, "/robots.txt", *[Reply(status=500)] * 7, Reply(ALLOW_ALL))
    counts = crawl(corpus, [site.serve_photo(0, "/x.jpg"), site.serve_photo(1, "/y.jpg", 2)])
    assert list(counts.suspended) == [site.hosts[0]]
    assert ends(corpus) == {"kept": 1, "todo": 1}
    assert _num_asked(site, "/robots.txt") == QUICK.failures_max
    assert _num_asked(site, "/x.jpg") == 0
    assert crawl(corpus, []).suspended == {}
    assert ends(corpus) == {"kept": 2}


def test_robots_txt_of_another_host(site: Site, corpus: Path) -> None:
    site.serve(0, "/robots.txt", _redirect(site.url(1, "/elsewhere.txt"), 301))
    site.serve(1, "/elsewhere.txt", Reply(b"User-agent: *\nDisallow: /no"))
    crawl(corpus, [site.serve_photo(0, "/yes.jpg"), site.serve_photo(0, "/no.jpg", 2)])
    assert ends(corpus) == {"kept": 1, "robots": 1}


def test_robots_txt_of_another_host_that_fails(site: Site, corpus: Path) -> None:
    site.serve(0, "/robots.txt", _redirect(site.url(1, "/elsewhere.txt"), 301))
    site.serve(1, "/elsewhere.txt", Reply(status=503))
    counts = crawl(corpus, [site.serve_photo(0, "/x.jpg")])
    assert set(counts.suspended) == set(site.hosts[:2])
    assert ends(corpus) == {"todo": 1}


@pytest.mark.parametrize("again", [False, True])
def test_crawl_delay_is_honoured(site: Site, corpus: Path, again: bool) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nCrawl-delay: 0.4"))
    urls = [site.serve_photo(0, f"/{n}.jpg", n) for n in range(3)]
    if again:  # the delay is then known from the run before
        crawl(corpus, urls[:1])
    crawl(corpus, urls, resumed=again)
    assert ends(corpus) == {"kept": 3}
    assert site.shortest_pause_s() >= 0.4


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(site: Site, corpus: Path, status: int) -> None:
    url = site.serve(0, "/x.jpg", Reply(status=status, headers={"Retry-After": "1"}), Reply(photo_bytes(1)))
    crawl(corpus, [url, *(site.serve_photo(0, f"/{n}.jpg", 2 + n) for n in range(2))])
    assert ends(corpus) == {"kept": 3}
    answered = next(asked.answered for asked in site.asked if asked.path == "/x.jpg")
    assert all(asked.came >= answered + 1 for asked in site.asked if asked.came > answered)


def test_retry_after_applies_to_the_next_run(site: Site, corpus: Path) -> None:
    date = formatdate(time.time() + 4000, usegmt=True)
    url = site.serve(0, "/x.jpg", Reply(status=503, headers={"Retry-After": date}), Reply(photo_bytes(1)))
    assert list(crawl(corpus, [url]).suspended) == [site.hosts[0]]
    counts = crawl(corpus, [site.serve_photo(0, "/y.jpg", 2)])
    assert (counts.requests, list(counts.suspended)) == (0, [site.hosts[0]])
    assert ends(corpus) == {"todo": 2}


def test_transient_failures_are_retried(site: Site, corpus: Path) -> None:
    passing = site.serve(0, "/x.jpg", Reply(status=500), Reply(status=502), Reply(photo_bytes(1)))
    lasting = site.serve(1, "/x.jpg", Reply(status=500))
    crawl(corpus, [passing, lasting, *(site.serve_photo(host, "/y.jpg", 2 + host) for host in range(2))])
    assert ends(corpus) == {"kept": 3, "http-500": 1}
    assert _num_asked(site, "/x.jpg", 1) == QUICK.tries_max


def test_a_host_that_keeps_failing_is_suspended(site: Site, corpus: Path) -> None:
    urls = [site.serve(0, f"/{n}.jpg", Reply(status=500)) for n in range(20)]
    counts = crawl(corpus, [*urls, *(site.serve_photo(1, f"/{n}.jpg", n) for n in range(20))])
    assert counts.suspended == {site.hosts[0]: "HTTP 500"}
    assert ends(corpus) == {"todo": 20, "kept": 20}
    assert sum(asked.host == site.hosts[0] for asked in site.asked) == 1 + QUICK.failures_max


def test_a_host_that_is_down_is_suspended(corpus: Path) -> None:
    with Site(1) as gone:
        url = gone.url(0, "/x.jpg")
    counts = crawl(corpus, [url])
    assert "robots.txt: " in counts.suspended[gone.hosts[0]]
    assert ends(corpus) == {"todo": 1}


def test_names_are_resolved_by_the_resolver(site: Site, corpus: Path) -> None:
    names = {f"photos{n}.example": host for n, host in enumerate(site.hosts)}
    for n in range(4):
        site.serve_photo(n, "/x.jpg", n)
    fetching = replace(LOOPBACK, resolve=lambda host, _port: [names[host]])
    crawl(corpus, [f"http://{name}:{site.port}/x.jpg" for name in names], fetching=fetching)
    assert ends(corpus) == {"kept": 4}


def test_photos_of_a_page_are_fetched(site: Site, corpus: Path) -> None:
    site.serve_photo(0, "/x.jpg", 1)
    page = _page(site, f'<html><body><img src="/x.jpg"><img src="{site.serve_photo(1, "/y.jpg", 2)}"></body></html>')
    crawl(corpus, [page])
    assert ends(corpus) == {"read": 1, "kept": 2}
    assert {entry.request.page for entry in photos(corpus)} == {page.url}


@pytest.mark.parametrize(
    ("content", "headers", "end"),
    [
        ("%PDF", {"Content-Type": "application/pdf"}, "not-as-expected"),
        ('<img src="/x.jpg">', {"X-Robots-Tag": "noai"}, "noai"),
        ('<meta name="robots" content="noai"><img src="/x.jpg">', {}, "noai"),
        *(
            ('<img src="/x.jpg"><a href="/next">next</a>', {"X-Robots-Tag": tag}, "noai")
            for tag in ("none", "interior-surfaces: none", "nofollow, none")
        ),
    ],
)
def test_pages_that_are_not_read(site: Site, corpus: Path, content: str, headers: dict[str, str], end: str) -> None:
    empty = CrawlRequest(site.serve(1, "/", Reply(b"", 204)), Kind.PAGE, "pages")
    crawl(corpus, [_page(site, content, **headers), empty], fetching=_FOLLOW)
    assert ends(corpus) == {end: 1, "http-204": 1}


@pytest.mark.parametrize(
    ("tag", "read", "kept"),
    [
        *((tag, 1, 1) for tag in ("nofollow", "max-snippet: -1, NoFollow", "interior-surfaces: nofollow")),
        ("*: nofollow", 1, 1),
        ("otherbot: nofollow", 2, 3),
        ("index, follow", 2, 3),
    ],
)
def test_nofollow_in_the_header_of_a_page(site: Site, corpus: Path, tag: str, read: int, kept: int) -> None:
    for seed, name in enumerate(("shown", "linked", "elsewhere")):
        site.serve_photo(0, f"/{name}.jpg", seed)
    site.serve(0, "/next", Reply(b'<img src="/elsewhere.jpg">', headers={"Content-Type": "text/html"}))
    content = '<img src="/shown.jpg"><a href="/linked.jpg">large</a><a href="/next">next</a>'
    crawl(corpus, [_page(site, content, X_Robots_Tag=tag)], fetching=_FOLLOW)
    assert ends(corpus) == {"read": read, "kept": kept}


def test_files_are_imported(tmp_path: Path, corpus: Path) -> None:
    for seed in range(30):
        (tmp_path / f"{seed}.jpg").write_bytes(photo_bytes(seed))
    paths = [tmp_path / f"{name}.jpg" for name in (*range(30), "gone")]
    assert crawl(corpus, [CrawlRequest(str(path), Kind.FILE, "folder") for path in paths]).kept == 30
    assert ends(corpus) == {"kept": 30, "no-file": 1}


def test_a_slow_host_delays_no_other(site: Site, corpus: Path) -> None:
    slow = [site.serve(0, f"/{n}.jpg", Reply(photo_bytes(n), delay_s=1.0)) for n in range(3)]
    crawl(corpus, slow + [site.serve_photo(1, f"/{n}.jpg", 10 + n) for n in range(10)], replace(QUICK, workers=2))
    assert ends(corpus) == {"kept": 13}
    *_, last_quick = (asked.answered for asked in site.asked if asked.host == site.hosts[1])
    *_, last_slow = (asked.answered for asked in site.asked if asked.host == site.hosts[0])
    assert last_quick < last_slow


def test_the_limit_is_exact(site: Site, corpus: Path) -> None:
    urls = [site.serve_photo(n % 4, f"/{n}.jpg", n) for n in range(40)]
    assert crawl(corpus, urls, replace(QUICK, limit=7)).kept == 7
    assert ends(corpus) == {"kept": 7, "todo": 33}
    assert sum(asked.path != "/robots.txt" for asked in site.asked) == 7


def test_a_resumed_crawl_pauses_first(site: Site, corpus: Path) -> None:
    crawl(corpus, [site.serve_photo(0, "/x.jpg", 1)], replace(QUICK, rate=2.0))
    crawl(corpus, [site.serve_photo(0, "/y.jpg", 2)], replace(QUICK, rate=2.0), resumed=True)
    assert site.shortest_pause_s() >= 0.5


def test_many_hosts_get_requests_at_once(corpus: Path) -> None:
    together = threading.Barrier(12, timeout=60)

    def reply(_host: str, path: str) -> Reply:
        if path == "/robots.txt":
            together.wait()  # breaks unless requests to all hosts are in flight
            return Reply(ALLOW_ALL)
        return Reply(photo_bytes(7))

    with Site(12, reply) as site:
        crawl(corpus, [site.url(n, "/x.jpg") for n in range(12)], replace(QUICK, workers=12))
        assert ends(corpus) == {"kept": 1, "duplicate": 11}
    assert not together.broken


def test_a_refused_connection_is_retried(site: Site, corpus: Path) -> None:
    with socket.create_server(("127.0.9.9", 0)) as closed:
        down = f"http://127.0.9.9:{closed.getsockname()[1]}"
    corpus.mkdir()
    with CrawlDatabase.open(corpus, create=True) as database:  # else only robots.txt is requested
        database.request_robots(down)
        database.store_robots(RobotsRequest(down, f"{down}/robots.txt"), RobotsText(404, b""), time.time())
    counts = crawl(corpus, [site.serve_photo(0, "/x.jpg"), f"{down}/y.jpg"])
    assert ends(corpus) == {"kept": 1, "unreachable": 1}
    assert counts.requests == 2 + QUICK.tries_max


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedule(clock: Clock) -> Schedule:
    return Schedule(clock)


def test_an_idle_host_keeps_its_time(schedule: Schedule, clock: Clock) -> None:
    schedule.add("a")
    schedule.pop()
    schedule.reschedule("a", 5.0)
    clock.now += 5.0
    schedule.pop()
    schedule.idle("a")
    assert (schedule.wait_s(), schedule.num_active) == (None, 0)
    schedule.add("a")
    assert schedule.pop() == "a"


def test_a_new_host_may_wait_first_and_a_suspended_one_gets_no_requests(schedule: Schedule, clock: Clock) -> None:
    schedule.add("a", wait_s=3.0)
    schedule.add("a")
    assert schedule.pop() is None
    clock.now += 3.0
    assert schedule.pop() == "a"
    schedule.suspend("a")
    schedule.add("a")
    assert schedule.pop() is None
    assert (schedule.is_suspended("a"), schedule.is_suspended("b")) == (True, False)


def test_consecutive_failures_are_counted(schedule: Schedule) -> None:
    schedule.add("a")
    assert [schedule.count_failure("a"), schedule.count_failure("a")] == [1, 2]
    schedule.reset_failures("a")
    assert schedule.count_failure("a") == 1


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 1000))
def test_every_host_gets_its_turn_and_its_pause(hosts: int, workers: int, seed: int) -> None:
    rng, clock = random.Random(seed), Clock()
    schedule = Schedule(clock)
    turns: dict[str, list[float]] = {f"h{number}": [] for number in range(hosts)}
    for host in turns:
        schedule.add(host)
    working: list[str] = []
    for _ in range(300):
        while len(working) < workers and (host := schedule.pop()):
            assert host not in working
            assert not turns[host] or clock.now >= turns[host][-1] + 1.0
            working.append(host)
        clock.now += 0.1
        if working and rng.random() < 0.8:
            done = working.pop(rng.randrange(len(working)))
            turns[done].append(clock.now)
            schedule.reschedule(done, 1.0)
    counts = sorted(len(times) for times in turns.values())
    # Responses at random times may cost a host some turns; none starves.
    assert counts[-1] - counts[0] <= 3 + workers
