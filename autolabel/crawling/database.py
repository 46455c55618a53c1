"""The crawl database: pending requests, results and robots.txt in one SQLite file.

Each method that writes is one transaction, so a crawl may be killed at any moment. The write-ahead log makes a commit
per response a hundred times cheaper than the label store's journal; it needs a local disk. A power cut may lose the
last transactions, never the file; those requests are made again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from zlib import crc32

from pydantic import ValidationError

from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.forgotten import TABLES, forget_request, forgotten_at
from autolabel.crawling.records import (
    FORGOTTEN,
    PRIVATE_ADDRESS,
    AnyRequest,
    CrawlRequest,
    Ended,
    ForgottenPhoto,
    Kind,
    Photo,
    PhotoEntry,
    QueuedRequest,
    RobotsRequest,
    RobotsText,
    State,
)
from autolabel.crawling.rows import (
    REQUEST_FIELDS,
    read_entry,
    read_queued,
    read_stats,
    read_text,
    read_time,
    write_stats,
)
from autolabel.crawling.sources.urls import normalize_parsed
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import CRAWL_NAME
from surfaces.io.urls import AddressError, parse_url
from surfaces.messages import brief
from surfaces.store.database import Database

DATABASE_NAME = CRAWL_NAME
FILE_LANES = tuple(f"file:{lane}" for lane in range(16))
"""Host names of local files, which are read in parallel and without pauses."""

_T = TypeVar("_T")
_REQUEST = ", ".join(REQUEST_FIELDS)
_BATCH, _PHOTO_BATCH = 1000, 250

_TABLES = """
CREATE TABLE leads (
    number      INTEGER PRIMARY KEY,
    url         TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    source      TEXT NOT NULL,
    page        TEXT NOT NULL,
    title       TEXT NOT NULL,
    author      TEXT NOT NULL,
    licence     TEXT NOT NULL,
    licence_url TEXT NOT NULL,
    query       TEXT NOT NULL DEFAULT '',   -- older databases get the column when they are opened
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    detail      TEXT NOT NULL DEFAULT '',
    address     TEXT NOT NULL,              -- the url, or its redirection target
    host        TEXT NOT NULL,              -- of the address
    redirects   INTEGER NOT NULL DEFAULT 0,
    tries       INTEGER NOT NULL DEFAULT 0,
    not_before  REAL NOT NULL DEFAULT 0     -- seconds since 1970
);
CREATE INDEX leads_todo ON leads (host, not_before, number) WHERE state = 'todo';
CREATE INDEX leads_redirected ON leads (address) WHERE redirects > 0;
CREATE INDEX leads_by_end ON leads (kind, state, reason);
CREATE TABLE photos (
    lead         INTEGER PRIMARY KEY REFERENCES leads,
    sha256       TEXT NOT NULL,
    near_hash    TEXT NOT NULL,
    path         TEXT NOT NULL,             -- empty for a dropped photo
    time         REAL NOT NULL,             -- seconds since 1970
    headers      TEXT NOT NULL,             -- JSON
    duplicate_of TEXT NOT NULL,             -- sha256 or empty
    facts        TEXT NOT NULL,             -- JSON, without the thumbnail
    thumbnail    BLOB NOT NULL
);
CREATE INDEX photos_kept ON photos (sha256, near_hash) WHERE path != '';
CREATE TABLE robots (
    origin     TEXT PRIMARY KEY,            -- scheme, host, port
    address    TEXT NOT NULL,               -- of its robots.txt, or the redirection target
    host       TEXT NOT NULL,               -- of the address
    redirects  INTEGER NOT NULL DEFAULT 0,
    tries      INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    time       REAL,                        -- of the response; NULL while there is none
    status     INTEGER,
    body       BLOB
) WITHOUT ROWID;
CREATE INDEX robots_wanted ON robots (host, not_before) WHERE time IS NULL;
CREATE TABLE hosts (
    host       TEXT PRIMARY KEY,
    not_before REAL NOT NULL                -- end of the pause that the host asked for
) WITHOUT ROWID;
"""


class CrawlDatabase(Database):
    """The crawl database of a corpus; a context manager, for the thread that opened it. Times are Unix times."""

    VERSION = 1
    TABLES = _TABLES
    SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
    HOLDS = IS = "a crawl database"

    @classmethod
    def open(cls, corpus: Path, create: bool = False) -> CrawlDatabase:
        """Opens the database of a corpus folder; `create` makes one in an existing folder.

        Raises:
            DatasetError: there is none, or it is damaged or of another version.
            OutputError: it can't be read or created.
        """
        path = corpus / DATABASE_NAME
        if not create and not path.is_file():
            raise DatasetError(f"expected a crawl database at {path}, there is none")
        return cls(path, create)

    def _prepare(self, create: bool) -> None:
        super()._prepare(create)
        for statement in TABLES:
            self.run(statement)
        if not self._has_queries():
            with self.transaction():
                if not self._has_queries():  # else another process was quicker
                    self.run("ALTER TABLE leads ADD COLUMN query TEXT NOT NULL DEFAULT ''")

    def _has_queries(self) -> bool:
        return bool(self.rows("SELECT 1 FROM pragma_table_info('leads') WHERE name = 'query'"))

    def __enter__(self) -> CrawlDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def add(self, requests: Iterable[CrawlRequest]) -> set[str]:
        """Adds the crawl requests that are new, in batches; returns their hosts."""
        hosts: set[str] = set()
        remaining = iter(requests)
        while batch := list(islice(remaining, _BATCH)):
            with self.transaction():
                hosts.update(*map(self._add, batch))
        return hosts

    def waiting_hosts(self) -> list[str]:
        """The hosts that have something to request."""
        pending = "SELECT DISTINCT host FROM leads WHERE state = 'todo'"
        return self._read(read_text, f"{pending} UNION SELECT host FROM robots WHERE time IS NULL")

    def next_request(self, host: str, now: float) -> AnyRequest | None:
        """The next request to a host at `now`: robots.txt first, retries last."""
        found: list[AnyRequest] = self._read(
            RobotsRequest,
            "SELECT origin, address, redirects FROM robots"
            " WHERE time IS NULL AND host = ? AND not_before <= ? ORDER BY not_before LIMIT 1",
            *(host, now),
        )
        found = found or self._read(
            read_queued,
            f"SELECT number, address, redirects, tries, {_REQUEST} FROM leads"
            " WHERE state = 'todo' AND host = ? AND not_before <= ? ORDER BY not_before, number LIMIT 1",
            *(host, now),
        )
        return found[0] if found else None

    def next_time(self, host: str) -> float | None:
        """When the next request to a host is due; None if there is none."""
        due = "SELECT not_before FROM {} AND host = ? ORDER BY not_before LIMIT 1"
        tables = "leads WHERE state = 'todo'", "robots WHERE time IS NULL"
        return min((time for table in tables for time in self._read(read_time, due.format(table), host)), default=None)

    def is_known(self, url: str, request: QueuedRequest) -> bool:
        """Whether another request of the same kind is for, or was redirected to, a URL."""
        known = "SELECT 1 FROM leads WHERE {} AND kind = ? AND number != ?"
        values = url, str(request.request.kind), request.number
        return any(self.rows(known.format(match), *values) for match in ("url = ?", "redirects > 0 AND address = ?"))

    def redirect(self, request: AnyRequest, url: str) -> str:
        """Redirects a request to a URL; returns the URL's host."""
        host = parse_url(url).host
        self._update(request, "address = ?, host = ?, redirects = redirects + 1, tries = 0", url, host)
        return host

    def delay(self, request: AnyRequest, not_before: float, reason: str) -> None:
        """Counts a failed attempt and schedules the next one."""
        changes = "tries = tries + 1, not_before = ?"
        if isinstance(request, RobotsRequest):
            self._update(request, changes, not_before)
        else:
            self._update(request, f"{changes}, reason = ?", not_before, reason)

    def end(self, request: QueuedRequest, ended: Ended) -> set[str]:
        """Records the result of a request and the requests found in its response; returns the hosts of new ones.

        A request for a removed photo, whose sha256 is the detail, is deleted.
        """
        with self.transaction():
            if ended.reason == FORGOTTEN:
                forget_request(self, request.number, ended.detail)
                return set()
            self._update(request, "state = ?, reason = ?, detail = ?", str(ended.state), ended.reason, ended.detail)
            if ended.photo:
                self._add_photo(request.number, ended.photo)
                for old in ended.supersedes:
                    kept = "sha256 = ? AND path != ''"
                    number = f"SELECT lead FROM photos WHERE {kept}"
                    update = f"UPDATE leads SET reason = ?, detail = ? WHERE number IN ({number})"
                    self.run(update, old.reason, old.detail, old.sha256)
                    update = f"UPDATE photos SET path = '', duplicate_of = ? WHERE {kept}"
                    self.run(update, ended.photo.stats.sha256, old.sha256)
            return set().union(*map(self._add, ended.found))

    def retry_failed(self) -> int:
        """Reschedules all failed requests; returns their number."""
        return self._reschedule("state = 'failed'")

    def retry_private(self) -> int:
        """Reschedules requests refused for private addresses (in older databases marked by the detail alone)."""
        is_private = "(reason = ? OR detail LIKE '%; --allow-private permits it')"
        return self._reschedule(f"state = 'refused' AND {is_private}", PRIVATE_ADDRESS)

    def _reschedule(self, which: str, *values: str) -> int:
        return self.run(f"UPDATE leads SET state = 'todo', tries = 0, not_before = 0 WHERE {which}", *values)

    def set_cooldown(self, host: str, until: float) -> None:
        """Stores the end of the pause that a host asked for."""
        self.run("INSERT OR REPLACE INTO hosts VALUES (?, ?)", host, until)

    def cooldowns(self) -> dict[str, float]:
        """The ends of pauses by host."""
        query = "SELECT host, not_before FROM hosts"
        return dict(self._read(lambda host, time: (read_text(host), read_time(time)), query))

    def counts(self) -> Counter[tuple[Kind, State, str]]:
        """Numbers of requests by kind, state and reason."""
        rows = self._read(
            lambda kind, state, reason, count: ((Kind(kind), State(state), read_text(reason)), count),
            "SELECT kind, state, reason, COUNT(*) FROM leads GROUP BY kind, state, reason",
        )
        return Counter(dict(rows))

    def waiting_counts(self) -> Counter[str]:
        """Numbers of pending requests by host."""
        query = "SELECT host, COUNT(*) FROM leads WHERE state = 'todo' GROUP BY host"
        return Counter(dict(self._read(lambda host, count: (read_text(host), count), query)))

    def kept_stats(self) -> Iterator[ImageStats]:
        """The statistics of each kept photo without thumbnails, in the order of the requests, read in batches."""
        query = "SELECT lead, facts FROM photos WHERE path != '' AND lead > ? ORDER BY lead LIMIT ?"
        last = 0
        while batch := self._read(lambda number, stats: (number, read_stats(stats)), query, last, _BATCH):
            yield from (stats for _, stats in batch)
            last = batch[-1][0]

    def is_kept(self, sha256: str) -> bool:
        """Whether the corpus keeps a photo."""
        return bool(self.rows("SELECT 1 FROM photos WHERE sha256 = ? AND path != ''", sha256))

    def forgotten_photos(self) -> list[ForgottenPhoto]:
        """The photos that were removed at their owners' wish."""
        return self._read(ForgottenPhoto, "SELECT sha256, near_hash FROM forgotten_photos")

    def photos(self, reason: str | None = None) -> Iterator[PhotoEntry]:
        """Fetched photos in the order of the requests, read in batches; `reason` selects some of them."""
        columns = f"number, address, reason, detail, {_REQUEST}, facts, thumbnail, path, time, headers, duplicate_of"
        query = (
            f"SELECT {columns} FROM photos JOIN leads ON number = lead"
            " WHERE lead > ?1 AND (?2 IS NULL AND reason != 'forgotten' OR reason = ?2) ORDER BY lead LIMIT ?3"
        )
        last = 0
        while batch := self._read(read_entry, query, last, reason, _PHOTO_BATCH):
            yield from batch
            last = batch[-1].number

    def robots_text(self, origin: str) -> tuple[RobotsText, float] | None:
        """The robots.txt of an origin and the time of the response; None while there is none.

        Rows of other types, as some older versions stored them, are requested again.
        """
        rows = self._read(
            lambda status, body, time: (RobotsText(status, body), read_time(time)),
            "SELECT status, body, time FROM robots WHERE origin = ?"
            " AND typeof(status) = 'integer' AND typeof(body) = 'blob' AND typeof(time) = 'real'",
            origin,
        )
        return rows[0] if rows else None

    def robots_host(self, origin: str) -> str | None:
        """The host to ask for an origin's robots.txt; None if it is not pending."""
        hosts = self._read(read_text, "SELECT host FROM robots WHERE origin = ? AND time IS NULL", origin)
        return hosts[0] if hosts else None

    def request_robots(self, origin: str) -> None:
        """Schedules the robots.txt of an origin, unless it is pending; a response that is stored is forgotten."""
        url = f"{origin}/robots.txt"
        self.run(
            "INSERT INTO robots (origin, address, host) VALUES (?1, ?2, ?3) ON CONFLICT (origin) DO UPDATE SET"
            " address = ?2, host = ?3, redirects = 0, tries = 0, not_before = 0, time = NULL WHERE time IS NOT NULL",
            *(origin, url, parse_url(url).host),
        )

    def store_robots(self, request: RobotsRequest, text: RobotsText, time: float) -> None:
        """Stores a response with its time."""
        self._update(request, "time = ?, status = ?, body = ?", time, text.status, text.body)

    def forget_robots(self, request: RobotsRequest) -> None:
        """Removes a pending robots.txt."""
        self.run("DELETE FROM robots WHERE origin = ?", request.origin)

    def _read(self, convert: Callable[..., _T], query: str, *values: object) -> list[_T]:
        """Converts the rows of a query; others may have written the file, so values of any type occur."""
        rows = self.rows(query, *values)
        try:
            return [convert(*row) for row in rows]
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            names = "".join(f"{name}: " for name in first["loc"])
            detail = f"{names}{first['msg'].removeprefix('Value error, ')}, got {brief(first['input'])}"
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            detail = str(error)
        raise DatasetError(f"expected {self.IS} in {self.path}, got a damaged one: {detail}")

    def _update(self, request: AnyRequest, changes: str, *values: object) -> None:
        if isinstance(request, RobotsRequest):
            self.run(f"UPDATE robots SET {changes} WHERE origin = ?", *values, request.origin)
        else:
            self.run(f"UPDATE leads SET {changes} WHERE number = ?", *values, request.number)

    def _add(self, request: CrawlRequest) -> list[str]:
        """Adds a request if it is new; returns its host if it is pending."""
        state, detail, host = State.TODO, "", ""
        # Pages and file names may contain lone surrogates, which SQLite rejects.
        texts = [str(getattr(request, name)).encode("utf-8", "replace").decode() for name in REQUEST_FIELDS]
        try:
            if request.kind is Kind.FILE:
                host = FILE_LANES[crc32(texts[0].encode()) % len(FILE_LANES)]
            else:
                target = normalize_parsed(request.url)
                texts[0], host = target.url, target.host
        except AddressError as error:
            state, detail = State.REFUSED, str(error)
        if forgotten_at(self, texts[0]) is not None:
            return []
        added = self.rows(
            f"INSERT OR IGNORE INTO leads ({_REQUEST}, state, reason, detail, address, host)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?1, ?13"
            " WHERE NOT EXISTS (SELECT 1 FROM leads WHERE address = ?1 AND kind = ?2 AND redirects > 0)"
            " RETURNING host",
            *(*texts, str(state), "address" if detail else "", detail, host),
        )
        return [host] if added and state is State.TODO else []

    def _add_photo(self, number: int, photo: Photo) -> None:
        stats = photo.stats
        self.run(
            "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(number, stats.sha256, stats.near_hash, photo.path, photo.time, json.dumps(dict(photo.headers))),
            *(photo.duplicate_of, write_stats(stats), stats.thumbnail),
        )
