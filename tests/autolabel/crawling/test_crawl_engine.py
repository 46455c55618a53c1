"""A crawl of loopback hosts: what is asked, when, and what becomes of the answers."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from crawls import LOOPBACK, QUICK, crawl, ends, not_private, photos
from sites import ALLOW_ALL, Reply, Site, photo_bytes

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.reading import ReadSettings
from autolabel.crawling.records import RobotsText

_PAGE = {"Content-Type": "text/html"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(4) as site:
        for host in range(4):
            site.serve(host, "/robots.txt", Reply(ALLOW_ALL))
        yield site


def _serve_photo(site: Site, host: int, path: str, seed: int = 1, **headers: str) -> str:
    return site.serve(
        host, path, Reply(photo_bytes(seed), headers={k.replace("_", "-"): v for k, v in headers.items()})
    )


def test_a_photo_is_kept_with_its_provenance(site: Site, tmp_path: Path) -> None:
    url = _serve_photo(site, 0, "/x.jpg", ETag='"7"', Last_Modified="yesterday", Set_Cookie="a=b")
    lead = Lead(url, Kind.PHOTO, "urls", "https://a.example/", "A room", "A. Nother", "CC0 1.0", "https://cc.example/0")
    before = time.time()
    counts = crawl(tmp_path / "c", [lead])
    (entry,) = photos(tmp_path / "c")
    data = photo_bytes(1)
    assert (counts.requests, counts.kept, counts.suspended) == (2, 1, {})
    assert (entry.request, entry.final_url, entry.reason) == (lead, url, "kept")
    assert entry.photo.stats.sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "c" / entry.photo.path).read_bytes() == data
    assert before <= entry.photo.time <= time.time()
    assert dict(entry.photo.headers) == {
        "content-length": str(len(data)),
        "etag": '"7"',
        "last-modified": "yesterday",
    } | {name: value for name, value in entry.photo.headers.items() if name in ("date", "server")}
    assert all(asked.agent.startswith("interior-surfaces/") for asked in site.asked)


def test_the_same_bytes_are_kept_once(site: Site, tmp_path: Path) -> None:
    urls = [_serve_photo(site, host, "/x.jpg") for host in range(3)]
    crawl(tmp_path / "c", urls)
    assert ends(tmp_path / "c") == {"kept": 1, "duplicate": 2}
    assert len(list((tmp_path / "c" / "photos").rglob("*.jpg"))) == 1


def _copy(seed: int, side: int) -> bytes:
    """The same picture in another size."""
    picture = cv2.imdecode(np.frombuffer(photo_bytes(seed, (240, 320)), np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(picture, (side, side * 3 // 4), interpolation=cv2.INTER_AREA))[1].tobytes()


@pytest.mark.parametrize("order", list(permutations((80, 160, 320))), ids=lambda order: " ".join(map(str, order)))
def test_the_largest_copy_is_kept_in_whatever_order_they_come(
    site: Site, tmp_path: Path, order: tuple[int, ...]
) -> None:
    urls = [site.serve(0, f"/{side}.jpg", Reply(_copy(1, side))) for side in order]
    counts = crawl(tmp_path / "c", urls)
    kept, first, second = sorted(photos(tmp_path / "c"), key=lambda entry: -entry.photo.stats.width)
    assert [entry.reason for entry in (kept, first, second)] == ["kept", "near-duplicate", "near-duplicate"]
    assert (kept.photo.stats.width, counts.kept) == (320, 1)
    assert (tmp_path / "c" / kept.photo.path).read_bytes() == _copy(1, 320)
    for entry in (first, second):
        assert (entry.photo.path, bool(entry.photo.duplicate_of), bool(entry.detail)) == ("", True, True)


def test_a_later_run_keeps_the_better_copy_and_leaves_the_old_file(site: Site, tmp_path: Path) -> None:
    """The labels of the old file may be in use."""
    small, large = (site.serve(0, f"/{side}.jpg", Reply(_copy(1, side))) for side in (160, 320))
    assert crawl(tmp_path / "c", [small]).kept == 1
    (old,) = photos(tmp_path / "c")
    counts = crawl(tmp_path / "c", [large])
    assert (counts.kept, counts.superseded) == (0, 1)
    assert ends(tmp_path / "c") == {"kept": 1, "near-duplicate": 1}
    assert (tmp_path / "c" / old.photo.path).read_bytes() == _copy(1, 160)


def test_what_ended_is_not_asked_again(site: Site, tmp_path: Path) -> None:
    urls = [_serve_photo(site, 0, "/x.jpg"), site.url(0, "/gone.jpg")]
    crawl(tmp_path / "c", urls)
    before = len(site.asked)
    assert crawl(tmp_path / "c", urls).requests == 0
    assert len(site.asked) == before == 3
    assert ends(tmp_path / "c") == {"kept": 1, "http-404": 1}


def test_a_redirect_is_a_request_at_the_new_host(site: Site, tmp_path: Path) -> None:
    target = _serve_photo(site, 1, "/y.jpg")
    url = site.serve(0, "/x.jpg", Reply(status=302, headers={"Location": target}))
    crawl(tmp_path / "c", [url])
    (entry,) = photos(tmp_path / "c")
    assert (entry.request.url, entry.final_url) == (url, target)
    assert [asked.path for asked in site.asked if asked.host == site.hosts[1]] == ["/robots.txt", "/y.jpg"]


def test_redirects_are_asked_for_politely(site: Site, tmp_path: Path) -> None:
    for number in range(5):
        site.serve(0, f"/{number}", Reply(status=301, headers={"Location": f"/{number + 1}"}))
    _serve_photo(site, 0, "/5")
    crawl(tmp_path / "c", [site.url(0, "/0")], replace(QUICK, rate=5.0))
    assert ends(tmp_path / "c") == {"kept": 1}
    assert site.shortest_pause_s() >= 0.2


def test_six_redirects_are_too_many(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x", Reply(status=307, headers={"Location": "/x"}))
    crawl(tmp_path / "c", [url])
    assert ends(tmp_path / "c") == {"too-many-redirects": 1}
    assert site.times_asked()[site.hosts[0], "/x"] == 6


def test_a_redirect_to_what_is_known_is_not_followed(site: Site, tmp_path: Path) -> None:
    target = _serve_photo(site, 1, "/y.jpg")
    urls = [site.serve(0, f"/{n}.jpg", Reply(status=302, headers={"Location": target})) for n in range(3)]
    crawl(tmp_path / "c", [*urls, target])
    assert ends(tmp_path / "c") == {"kept": 1, "duplicate": 3}
    assert site.times_asked()[site.hosts[1], "/y.jpg"] == 1


@pytest.mark.parametrize(
    ("place", "end"),
    [("http://169.254.169.254/latest/", "address"), ("file:///etc/passwd", "address"), ("http://[::1", "fetch")],
)
def test_a_redirect_to_what_may_not_be_asked(site: Site, tmp_path: Path, place: str, end: str) -> None:
    crawl(tmp_path / "c", [site.serve(0, "/x.jpg", Reply(status=302, headers={"Location": place}))])
    assert ends(tmp_path / "c") == {end: 1}


def test_robots_txt_is_asked_first_and_once(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nDisallow: /private/"))
    urls = [_serve_photo(site, 0, f"/{folder}/{n}.jpg", n) for folder in ("public", "private") for n in range(5)]
    crawl(tmp_path / "c", urls)
    assert ends(tmp_path / "c") == {"kept": 5, "robots": 5}
    assert site.asked[0].path == "/robots.txt"
    assert not any("private" in asked.path for asked in site.asked)
    assert site.times_asked()[site.hosts[0], "/robots.txt"] == 1


def test_robots_txt_holds_for_a_day(site: Site, tmp_path: Path) -> None:
    robots = site.hosts[0], "/robots.txt"
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/1.jpg", 1)])
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/2.jpg", 2)])
    assert site.times_asked()[robots] == 1
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nDisallow: /"))
    time.sleep(0.5)
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/3.jpg", 3)], replace(QUICK, robots_age_s=0.5))
    assert site.times_asked()[robots] > 1
    assert ends(tmp_path / "c") == {"kept": 2, "robots": 1}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_without_robots_txt_all_may_be_asked(site: Site, tmp_path: Path, status: int) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nDisallow: /", status))
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg")])
    assert ends(tmp_path / "c") == {"kept": 1}


def test_while_robots_txt_cannot_be_had_nothing_is_asked(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", *[Reply(status=500)] * 7, Reply(ALLOW_ALL))
    urls = [_serve_photo(site, 0, "/x.jpg"), _serve_photo(site, 1, "/y.jpg", 2)]
    counts = crawl(tmp_path / "c", urls)
    assert list(counts.suspended) == [site.hosts[0]]
    assert ends(tmp_path / "c") == {"kept": 1, "todo": 1}
    assert site.times_asked()[site.hosts[0], "/robots.txt"] == QUICK.failures_max
    assert site.times_asked()[site.hosts[0], "/x.jpg"] == 0
    assert crawl(tmp_path / "c", []).suspended == {}
    assert ends(tmp_path / "c") == {"kept": 2}


def test_robots_txt_of_another_host(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", Reply(status=301, headers={"Location": site.url(1, "/elsewhere.txt")}))
    site.serve(1, "/elsewhere.txt", Reply(b"User-agent: *\nDisallow: /no"))
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/yes.jpg"), _serve_photo(site, 0, "/no.jpg", 2)])
    assert ends(tmp_path / "c") == {"kept": 1, "robots": 1}


def test_robots_txt_of_another_host_that_fails(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", Reply(status=301, headers={"Location": site.url(1, "/elsewhere.txt")}))
    site.serve(1, "/elsewhere.txt", Reply(status=503))
    counts = crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg")])
    assert set(counts.suspended) == set(site.hosts[:2])
    assert ends(tmp_path / "c") == {"todo": 1}


def test_robots_txt_that_is_nowhere_in_the_end(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", Reply(status=301, headers={"Location": "/robots.txt"}))
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg")])
    assert ends(tmp_path / "c") == {"kept": 1}
    assert site.times_asked()[site.hosts[0], "/robots.txt"] == 6


@pytest.mark.parametrize("again", [False, True])
def test_crawl_delay_is_honoured(site: Site, tmp_path: Path, again: bool) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nCrawl-delay: 0.4"))
    urls = [_serve_photo(site, 0, f"/{n}.jpg", n) for n in range(3)]
    if again:  # the delay is then known from the run before
        crawl(tmp_path / "c", urls[:1])
    crawl(tmp_path / "c", urls, resumed=again)
    assert ends(tmp_path / "c") == {"kept": 3}
    assert site.shortest_pause_s() >= 0.4


def test_a_host_that_wants_hours_between_requests_is_put_aside(site: Site, tmp_path: Path) -> None:
    site.serve(0, "/robots.txt", Reply(b"User-agent: *\nCrawl-delay: 7200"))
    counts = crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg")])
    assert counts.suspended == {site.hosts[0]: "robots.txt asks for 7200 s between requests"}
    assert ends(tmp_path / "c") == {"todo": 1}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(site: Site, tmp_path: Path, status: int) -> None:
    busy = Reply(status=status, headers={"Retry-After": "1"})
    url = site.serve(0, "/x.jpg", busy, Reply(photo_bytes(1)))
    others = [_serve_photo(site, 0, f"/{n}.jpg", 2 + n) for n in range(2)]
    crawl(tmp_path / "c", [url, *others])
    assert ends(tmp_path / "c") == {"kept": 3}
    answered = next(asked.answered for asked in site.asked if asked.path == "/x.jpg")
    assert all(asked.came >= answered + 1 for asked in site.asked if asked.came > answered)


def test_retry_after_outlives_the_run(site: Site, tmp_path: Path) -> None:
    date = formatdate(time.time() + 4000, usegmt=True)
    url = site.serve(0, "/x.jpg", Reply(status=503, headers={"Retry-After": date}), Reply(photo_bytes(1)))
    assert list(crawl(tmp_path / "c", [url]).suspended) == [site.hosts[0]]
    other = _serve_photo(site, 0, "/y.jpg", 2)
    counts = crawl(tmp_path / "c", [other])
    assert (counts.requests, list(counts.suspended)) == (0, [site.hosts[0]])
    assert ends(tmp_path / "c") == {"todo": 2}


def test_what_may_pass_is_tried_again(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x.jpg", Reply(status=500), Reply(status=502), Reply(photo_bytes(1)))
    crawl(tmp_path / "c", [url, _serve_photo(site, 0, "/y.jpg", 2)])
    assert ends(tmp_path / "c") == {"kept": 2}


def test_what_does_not_pass_fails(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x.jpg", Reply(status=500))
    crawl(tmp_path / "c", [url, _serve_photo(site, 0, "/y.jpg", 2)])
    assert ends(tmp_path / "c") == {"http-500": 1, "kept": 1}
    assert site.times_asked()[site.hosts[0], "/x.jpg"] == QUICK.tries_max


def test_a_host_that_keeps_failing_is_put_aside(site: Site, tmp_path: Path) -> None:
    urls = [site.serve(0, f"/{n}.jpg", Reply(status=500)) for n in range(20)]
    counts = crawl(tmp_path / "c", [*urls, *(_serve_photo(site, 1, f"/{n}.jpg", n) for n in range(20))])
    assert counts.suspended == {site.hosts[0]: "HTTP 500"}
    assert ends(tmp_path / "c") == {"todo": 20, "kept": 20}
    assert sum(asked.host == site.hosts[0] for asked in site.asked) == 1 + QUICK.failures_max


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with Site(1) as gone:
        url = gone.url(0, "/x.jpg")
    counts = crawl(tmp_path / "c", [url])
    assert "robots.txt: " in counts.suspended[gone.hosts[0]]
    assert ends(tmp_path / "c") == {"todo": 1}


def test_addresses_that_may_not_be_asked_are_refused(site: Site, tmp_path: Path) -> None:
    counts = crawl(tmp_path / "c", [site.url(0, f"/{n}.jpg") for n in range(3)], fetching=not_private())
    assert ends(tmp_path / "c") == {"private-address": 3}
    assert (counts.suspended, site.asked) == ({}, [])


def test_names_are_looked_up_by_the_resolver(site: Site, tmp_path: Path) -> None:
    names = {f"photos{n}.example": host for n, host in enumerate(site.hosts)}
    fetching = replace(LOOPBACK, resolve=lambda host, _port: [names[host]])
    for n in range(4):
        _serve_photo(site, n, "/x.jpg", n)
    crawl(tmp_path / "c", [f"http://{name}:{site.port}/x.jpg" for name in names], fetching=fetching)
    assert ends(tmp_path / "c") == {"kept": 4}


@pytest.mark.parametrize(
    ("header", "end"),
    [
        ("noai", "noai"),
        ("noimageai", "noai"),
        ("noindex", "noai"),
        ("interior-surfaces: noai", "noai"),
        ("otherbot: noai", "kept"),
        ("all", "kept"),
    ],
)
def test_x_robots_tag_of_a_photo(site: Site, tmp_path: Path, header: str, end: str) -> None:
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg", X_Robots_Tag=header)])
    assert ends(tmp_path / "c") == {end: 1}
    assert len(list((tmp_path / "c" / "photos").rglob("*.jpg"))) == (end == "kept")


def test_x_robots_tag_can_be_ignored(site: Site, tmp_path: Path) -> None:
    url = _serve_photo(site, 0, "/x.jpg", X_Robots_Tag="noai")
    crawl(tmp_path / "c", [url], fetching=replace(LOOPBACK, parsing=ReadSettings(ignore_opt_outs=True)))
    assert ends(tmp_path / "c") == {"kept": 1}


def test_a_page_leads_to_its_photos(site: Site, tmp_path: Path) -> None:
    _serve_photo(site, 0, "/x.jpg", 1)
    other = _serve_photo(site, 1, "/y.jpg", 2)
    html = f'<html><body><img src="/x.jpg"><img src="{other}"></body></html>'.encode()
    page = site.serve(0, "/", Reply(html, headers=_PAGE))
    crawl(tmp_path / "c", [Lead(page, Kind.PAGE, "pages")])
    assert ends(tmp_path / "c") == {"read": 1, "kept": 2}
    assert {entry.request.page for entry in photos(tmp_path / "c")} == {page}


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (Reply(b"%PDF", headers={"Content-Type": "application/pdf"}), "not-as-expected"),
        (Reply(b"", 204), "http-204"),
    ],
    ids=["a PDF", "no content"],
)
def test_what_is_no_page_fails(site: Site, tmp_path: Path, reply: Reply, end: str) -> None:
    crawl(tmp_path / "c", [Lead(site.serve(0, "/", reply), Kind.PAGE, "pages")])
    assert ends(tmp_path / "c") == {end: 1}


@pytest.mark.parametrize("headers", [{"X-Robots-Tag": "noai"}, {}])
def test_a_page_that_refuses(site: Site, tmp_path: Path, headers: dict[str, str]) -> None:
    html = b'<meta name="robots" content="noai"><img src="/x.jpg">' if not headers else b'<img src="/x.jpg">'
    crawl(tmp_path / "c", [Lead(site.serve(0, "/", Reply(html, headers=_PAGE | headers)), Kind.PAGE, "pages")])
    assert ends(tmp_path / "c") == {"noai": 1}


@pytest.mark.parametrize(
    ("tag", "read", "kept"),
    [
        ("nofollow", 1, 1),
        ("max-snippet: -1, NoFollow", 1, 1),
        ("interior-surfaces: nofollow", 1, 1),
        ("*: nofollow", 1, 1),
        ("otherbot: nofollow", 2, 3),
        ("index, follow", 2, 3),
    ],
)
def test_nofollow_in_the_header_of_a_page(site: Site, tmp_path: Path, tag: str, read: int, kept: int) -> None:
    _serve_photo(site, 0, "/shown.jpg", 1)
    _serve_photo(site, 0, "/linked.jpg", 2)
    _serve_photo(site, 0, "/elsewhere.jpg", 3)
    site.serve(0, "/next", Reply(b'<img src="/elsewhere.jpg">', headers=_PAGE))
    html = b'<img src="/shown.jpg"><a href="/linked.jpg">large</a><a href="/next">next</a>'
    page = Lead(site.serve(0, "/", Reply(html, headers=_PAGE | {"X-Robots-Tag": tag})), Kind.PAGE, "pages")
    crawl(tmp_path / "c", [page], fetching=replace(LOOPBACK, parsing=ReadSettings(follow=True)))
    assert ends(tmp_path / "c") == {"read": read, "kept": kept}


@pytest.mark.parametrize("tag", ["none", "interior-surfaces: none", "nofollow, none"])
def test_none_in_the_header_of_a_page(site: Site, tmp_path: Path, tag: str) -> None:
    html = b'<img src="/shown.jpg"><a href="/next">next</a>'
    page = Lead(site.serve(0, "/", Reply(html, headers=_PAGE | {"X-Robots-Tag": tag})), Kind.PAGE, "pages")
    crawl(tmp_path / "c", [page], fetching=replace(LOOPBACK, parsing=ReadSettings(follow=True)))
    assert ends(tmp_path / "c") == {"noai": 1}


def test_an_answer_that_is_too_large_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    url = site.serve(0, "/x.jpg", Reply(b"\xff\xd8" + bytes(40_000)))
    crawl(tmp_path / "c", [url], fetching=replace(LOOPBACK, limits=replace(LOOPBACK.limits, bytes_max=30_000)))
    assert ends(tmp_path / "c") == {"fetch": 1}
    assert site.times_asked()[site.hosts[0], "/x.jpg"] == 1


def test_bytes_that_are_no_photo_are_dropped(site: Site, tmp_path: Path) -> None:
    crawl(tmp_path / "c", [site.serve(0, "/x.jpg", Reply(b"<html>")), site.serve(0, "/y.jpg", Reply(b""))])
    assert ends(tmp_path / "c") == {"unreadable": 2}


def test_files_are_imported(tmp_path: Path) -> None:
    leads = []
    for seed in range(30):
        path = tmp_path / f"{seed}.jpg"
        path.write_bytes(photo_bytes(seed))
        leads.append(Lead(str(path), Kind.FILE, "folder"))
    leads.append(Lead(str(tmp_path / "gone.jpg"), Kind.FILE, "folder"))
    assert crawl(tmp_path / "c", leads).kept == 30
    assert ends(tmp_path / "c") == {"kept": 30, "no-file": 1}


def test_a_slow_host_holds_up_nobody(site: Site, tmp_path: Path) -> None:
    slow = [site.serve(0, f"/{n}.jpg", Reply(photo_bytes(n), delay_s=1.0)) for n in range(3)]
    quick = [_serve_photo(site, 1, f"/{n}.jpg", 10 + n) for n in range(10)]
    crawl(tmp_path / "c", slow + quick, replace(QUICK, workers=2))
    assert ends(tmp_path / "c") == {"kept": 13}
    last_quick = max(asked.answered for asked in site.asked if asked.host == site.hosts[1])
    assert last_quick < min(
        asked.answered for asked in site.asked if asked.path == "/2.jpg" and asked.host == site.hosts[0]
    )


def test_the_limit_is_exact(site: Site, tmp_path: Path) -> None:
    urls = [_serve_photo(site, n % 4, f"/{n}.jpg", n) for n in range(40)]
    assert crawl(tmp_path / "c", urls, replace(QUICK, limit=7)).kept == 7
    assert ends(tmp_path / "c") == {"kept": 7, "todo": 33}
    assert sum(asked.path != "/robots.txt" for asked in site.asked) == 7


def test_an_interrupted_crawl_ends_what_it_began(site: Site, tmp_path: Path) -> None:
    urls = [_serve_photo(site, n % 4, f"/{n}.jpg", n) for n in range(40)]
    counts = crawl(tmp_path / "c", urls, interrupted=lambda: len(site.asked) > 15)
    assert 0 < counts.kept < 40
    assert counts.requests == len(site.asked)
    assert ends(tmp_path / "c") == {"kept": counts.kept, "todo": 40 - counts.kept}


def test_hosts_are_left_alone_first_when_a_crawl_goes_on(site: Site, tmp_path: Path) -> None:
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/x.jpg", 1)], replace(QUICK, rate=2.0))
    crawl(tmp_path / "c", [_serve_photo(site, 0, "/y.jpg", 2)], replace(QUICK, rate=2.0), resumed=True)
    assert site.shortest_pause_s() >= 0.5


def test_many_hosts_are_asked_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(12, timeout=60)

    def reply(_host: str, path: str) -> Reply:
        if path == "/robots.txt":
            together.wait()  # breaks unless requests to all hosts are under way at the same time
            return Reply(ALLOW_ALL)
        return Reply(photo_bytes(7))

    with Site(12, reply) as site:
        crawl(tmp_path / "c", [site.url(n, "/x.jpg") for n in range(12)], replace(QUICK, workers=12))
        assert ends(tmp_path / "c") == {"kept": 1, "duplicate": 11}
    assert not together.broken


def test_a_host_that_takes_no_connection_is_asked_again(site: Site, tmp_path: Path) -> None:
    url = _serve_photo(site, 0, "/x.jpg")
    with socket.create_server(("127.0.9.9", 0)) as closed:
        nobody = f"http://127.0.9.9:{closed.getsockname()[1]}"
    (tmp_path / "c").mkdir()
    with CrawlDatabase.open(tmp_path / "c", create=True) as ledger:  # else robots.txt alone is asked for
        ledger.request_robots(nobody)
        request = ledger.next_request("127.0.9.9", time.time())
        assert request is not None
        ledger.store_robots(request, RobotsText(404, b""), time.time())
    counts = crawl(tmp_path / "c", [url, f"{nobody}/y.jpg"])
    assert ends(tmp_path / "c") == {"kept": 1, "unreachable": 1}
    assert counts.requests == 2 + QUICK.tries_max
