"""`python -m autolabel crawl` as a process: kills, signals, politeness, memory."""

from __future__ import annotations

import math
import random
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pyarrow.parquet
import pytest

from autolabel.crawling.database import DATABASE_NAME
from tests.autolabel.corpora import finish, start
from tests.autolabel.crawling.crawls import ends
from tests.autolabel.crawling.sites import Site, numbered_photo


def _write_list(site: Site, folder: Path, count: int) -> Path:
    path = folder / "urls.txt"
    path.write_text("\n".join(site.url(n % len(site.hosts), f"/p{n}.jpg") for n in range(count)))
    return path


def _start(corpus: Path, urls: Path, rate: float, *more: str) -> subprocess.Popen[str]:
    options = ("--min-side", "16", "--any-picture", "--allow-private", "--quiet")
    return start("crawl", "--out", corpus, "--urls", urls, "--rate", str(rate), *options, *more)


def _recorded(corpus: Path) -> list[str]:
    """URLs of requests that have ended, read beside the crawl's own connection."""
    uri = f"{(corpus / DATABASE_NAME).as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            return [url for (url,) in connection.execute("SELECT url FROM leads WHERE state != 'todo'")]
    except sqlite3.OperationalError:  # not begun yet
        return []


def _check_nothing_lost(corpus: Path, count: int) -> None:
    rows = pyarrow.parquet.read_table(corpus / "manifest.parquet").to_pylist()
    assert len(rows) == count == len({row["url"] for row in rows})
    for row in rows:
        assert (corpus / row["path"]).read_bytes() == numbered_photo("", urlsplit(row["url"]).path).body
    assert len(list((corpus / "photos").rglob("*.jpg"))) == count


def _num_repeated(site: Site) -> int:
    return sum(times - 1 for times in site.times_asked().values())


def _kill_and_resume(site: Site, tmp_path: Path, count: int, kills: int, rate: float, workers: int) -> None:
    """Kills a crawl at random moments and resumes it; recorded requests must not be repeated."""
    rng = random.Random(0)
    urls, corpus = _write_list(site, tmp_path, count), tmp_path / "c"
    recorded_at: dict[str, float] = {}
    for kill in range(kills):
        process = _start(corpus, urls, rate, "--workers", str(workers))
        begun = len(_recorded(corpus))
        aim = begun + round((count - begun) / (kills - kill + 1) * rng.uniform(0.5, 1.5))
        while process.poll() is None and len(_recorded(corpus)) < aim:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1 / rate))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.communicate()
        process.communicate()
        now = time.monotonic()
        for url in _recorded(corpus):
            recorded_at.setdefault(url, now)
        assert aim <= len(recorded_at) < count
    assert finish(_start(corpus, urls, rate, "--workers", str(workers))) == (0, f"{corpus / 'manifest.parquet'}\n", "")
    for asked in site.asked:
        assert asked.came <= recorded_at.get(f"http://{asked.host}:{site.port}{asked.path}", math.inf)


def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    with Site(6, numbered_photo) as site:
        _kill_and_resume(site, tmp_path, count=60, kills=2, rate=10.0, workers=8)
        _check_nothing_lost(tmp_path / "c", 60)
        # A kill repeats at most one request per host, whose photo was fetched or filtered but not recorded.
        assert _num_repeated(site) <= 2 * 6
        assert site.shortest_pause_s() >= 0.1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_crawl_after_the_requests_in_flight(tmp_path: Path, number: signal.Signals) -> None:
    with Site(4, numbered_photo) as site:
        corpus = tmp_path / "c"
        process = _start(corpus, _write_list(site, tmp_path, 200), 10.0)
        while process.poll() is None and len(_recorded(corpus)) < 5:
            time.sleep(0.02)
        process.send_signal(number)
        code, out, err = finish(process)
        assert (code, out) == (128 + number, "")
        words = r"autolabel: interrupted, \d+ requests, (\d+) photos kept .*; the same command resumes the crawl\n"
        reported = re.fullmatch(words, err)
        assert reported, err
        kept = int(reported[1])
        assert ends(corpus) == {"kept": kept, "todo": 200 - kept}
        assert pyarrow.parquet.read_table(corpus / "manifest.parquet").num_rows == kept
        assert _num_repeated(site) == 0


@pytest.mark.slow
def test_ten_thousand_photos_of_fifty_hosts_with_twenty_kills(tmp_path: Path) -> None:
    count, hosts, kills, rate, workers = 10_000, 50, 20, 20.0, 16
    with Site(hosts, numbered_photo) as site:
        started = time.monotonic()
        _kill_and_resume(site, tmp_path, count, kills, rate, workers)
        seconds = time.monotonic() - started
        print(f"{len(site.asked)} requests in {seconds:.0f} s, {_num_repeated(site)} of them again after {kills} kills")
        print(f"shortest pause at a host {site.shortest_pause_s():.4f} s")
        _check_nothing_lost(tmp_path / "c", count)
        # A kill repeats at most one request per worker.
        assert _num_repeated(site) <= workers * kills
        assert site.shortest_pause_s() >= 1 / rate


@pytest.mark.slow
def test_rate_and_memory_of_ten_thousand_photos(tmp_path: Path) -> None:
    count, hosts, rate = 10_000, 50, 1.0
    with Site(hosts, numbered_photo) as site:
        corpus = tmp_path / "c"
        process = _start(corpus, _write_list(site, tmp_path, count), rate)
        samples: list[tuple[int, int]] = []
        while process.poll() is None:
            time.sleep(1)
            with suppress(psutil.Error):  # the process has just ended
                samples.append((len(_recorded(corpus)), psutil.Process(process.pid).memory_info().rss // 1024))
        assert finish(process)[0] == 0
        spent = max(asked.answered for asked in site.asked) - min(asked.came for asked in site.asked)
        early = max(memory for ended, memory in samples if 500 <= ended <= 1500)
        late = max(memory for ended, memory in samples if 9000 <= ended < count)
        most = max(memory for _, memory in samples)
        print(f"{len(site.asked) / spent:.1f} requests a second of {hosts * rate:.0f} permitted")
        print(f"shortest pause at a host {site.shortest_pause_s():.4f} s")
        print(f"memory: {early} KiB at 1,000 photos, {late} KiB at 10,000, {most} KiB with the manifest's writing")
        assert _num_repeated(site) == 0
        assert site.shortest_pause_s() >= 1 / rate
        assert len(site.asked) / spent >= 0.8 * hosts * rate
        assert late - early <= 2 * 9000  # KiB: only a photo's hashes stay in memory
        assert most <= early + 128 * 1024
