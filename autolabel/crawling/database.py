"""All that a crawl knows, in one SQLite file: what is to be asked, what was, and what became of it.

Each method that changes something is one transaction, so that a crawl may be killed at any moment.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any
from zlib import crc32

from autolabel.crawling.facts import Facts
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.records import (
    PRIVATE_ADDRESS,
    Ended,
    Photo,
    Request,
    RobotsRequest,
    RobotsText,
    State,
    Superseded,
)
from autolabel.crawling.urls import normal_target
from surfaces.addresses import AddressError, read_address
from surfaces.dataset.database import Database, Row
from surfaces.errors import DatasetError
from surfaces.photo_files import CRAWL_NAME
from surfaces.places import is_remote
from surfaces.safe_paths import is_unicode
from surfaces.wording import brief

_SHA256 = re.compile("[0-9a-f]{64}")
_HEX = re.compile("(?:[0-9a-f]{2})*")
_JPEG = b"\xff\xd8"
_SIDE_MAX = 2**31 - 1  # of the manifest's columns
_COUNT_MAX = 2**63 - 1
_TIME_MAX = 253_402_300_799  # the end of the year 9999
_SHARES = ("text", "entropy", "colour", "wall", "floor", "table", "room")


def checked_text(value: object) -> str:
    """A text that can be written as UTF-8.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not is_unicode(value):
        raise ValueError(f"expected text, got {brief(value)}")
    return value


def checked_count(value: object, most: int = _COUNT_MAX) -> int:
    """A whole number from 0 to `most`.

    Raises:
        ValueError: it is none.
    """
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"expected a whole number from 0 to {most}, got {brief(value)}")
    return value


def checked_time(value: object) -> float:
    """Seconds since 1970, up to the year 9999.

    Raises:
        ValueError: it is no such time.
    """
    if type(value) not in (int, float) or not 0 <= value <= _TIME_MAX:  # type: ignore[operator]
        raise ValueError(f"expected a time in seconds since 1970, got {brief(value)}")
    return float(value)  # type: ignore[arg-type]


def checked_sha256(value: object) -> str:
    """64 hexadecimal digits, which file names are made of.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError(f"expected a sha256 of 64 hexadecimal digits, got {brief(value)}")
    return value


def checked_headers(value: object) -> dict[str, str]:
    """Headers by name.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected headers, got {brief(value)}")
    return {checked_text(name): checked_text(text) for name, text in value.items()}


def checked_place(value: object) -> str:
    """Where a photo lies, as the manifest tells it; a relative path does not leave the corpus.

    Raises:
        ValueError: it is no path and no address.
    """
    place = checked_text(value)
    climbs = not is_remote(place) and not PurePath(place).is_absolute() and ".." in re.split(r"[/\\]", place)
    if climbs or "\0" in place:
        raise ValueError(f"expected a path inside the corpus, got {brief(value)}")
    return place


def checked_facts(text: Any, thumbnail: Any = b"") -> Facts:
    """What was measured of a photo.

    Args:
        text: the JSON of it.
        thumbnail: a JPEG file, or nothing.

    Raises:
        ValueError: it is damaged, as for the following.
        TypeError: ditto.
        KeyError: ditto.
    """
    facts = Facts.from_json(text)
    checked_sha256(facts.sha256)
    checked_count(facts.size)
    for side in (facts.width, facts.height):
        checked_count(side, _SIDE_MAX)
    checked_text(facts.unreadable)
    if not _HEX.fullmatch(facts.near_hash):
        raise ValueError(f"expected hexadecimal hashes, got {brief(facts.near_hash)}")
    if facts.seams is not None:
        checked_count(facts.seams)
    for name in _SHARES:
        value = getattr(facts, name)
        if value is not None and (type(value) not in (int, float) or not abs(value) < _SIDE_MAX):
            raise ValueError(f"expected a number as {name}, got {brief(value)}")
    if not isinstance(thumbnail, bytes) or (thumbnail and not thumbnail.startswith(_JPEG)):
        raise ValueError("expected a JPEG file as thumbnail, got something else")
    return replace(facts, thumbnail=thumbnail)


_VERSION = 1

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
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    detail      TEXT NOT NULL DEFAULT '',
    address     TEXT NOT NULL,              -- the url, or where it was redirected to
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
    path         TEXT NOT NULL,             -- empty where the photo was dropped
    time         REAL NOT NULL,             -- seconds since 1970
    headers      TEXT NOT NULL,             -- JSON
    duplicate_of TEXT NOT NULL,             -- sha256; empty where it is none
    facts        TEXT NOT NULL,             -- JSON, without the thumbnail
    thumbnail    BLOB NOT NULL
);
CREATE INDEX photos_kept ON photos (sha256, near_hash) WHERE path != '';
CREATE TABLE robots (
    origin     TEXT PRIMARY KEY,            -- scheme, host, port
    address    TEXT NOT NULL,               -- of its robots.txt, or where that was redirected to
    host       TEXT NOT NULL,               -- of the address
    redirects  INTEGER NOT NULL DEFAULT 0,
    tries      INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    time       REAL,                        -- of the answer; NULL while there is none
    status     INTEGER,
    body       BLOB
) WITHOUT ROWID;
CREATE INDEX robots_wanted ON robots (host, not_before) WHERE time IS NULL;
CREATE TABLE hosts (
    host       TEXT PRIMARY KEY,
    not_before REAL NOT NULL                -- when it may be asked again, as it asked for
) WITHOUT ROWID;
"""


_STORED = [int, bytes, float]  # types of status, body and time


class RobotsRecords:
    """The robots.txt of a ledger's hosts, each cached with its time."""

    def __init__(self, file: CrawlDatabase) -> None:
        self._file = file

    def answer(self, origin: str) -> tuple[RobotsText, float] | None:
        """What an origin answered, and when (seconds since 1970); None where it is still to be asked."""
        rows = self._file.rows("SELECT status, body, time FROM robots WHERE origin = ? AND time IS NOT NULL", origin)
        # What an older version or another program stored in another way is asked for again.
        known = [row for row in rows if list(map(type, row)) == _STORED]
        with self._file.rows_checked():
            return next(((_robots_text(status, body), checked_time(time)) for status, body, time in known), None)

    def wanted_from(self, origin: str) -> str | None:
        """The host that is to be asked for an origin's robots.txt; None where none is."""
        rows = self._file.rows("SELECT host FROM robots WHERE origin = ? AND time IS NULL", origin)
        with self._file.rows_checked():
            return next((checked_text(host) for (host,) in rows), None)

    def want(self, origin: str) -> None:
        """Has an origin's robots.txt asked for, unless it already is to be; an older answer is forgotten."""
        address = f"{origin}/robots.txt"
        self._file.run(
            "INSERT INTO robots (origin, address, host) VALUES (?1, ?2, ?3) ON CONFLICT (origin) DO UPDATE SET"
            " address = ?2, host = ?3, redirects = 0, tries = 0, not_before = 0, time = NULL WHERE time IS NOT NULL",
            origin,
            address,
            read_address(address).host,
        )

    def next_request(self, host: str, now: float) -> RobotsRequest | None:
        """A robots.txt that is wanted from a host, at a time in seconds since 1970."""
        rows = self._file.rows(
            "SELECT origin, address, redirects, tries FROM robots"
            " WHERE time IS NULL AND host = ? AND not_before <= ? ORDER BY not_before LIMIT 1",
            host,
            now,
        )
        with self._file.rows_checked():
            return next((_robots_request(*row) for row in rows), None)

    def redirect(self, request: RobotsRequest, address: str) -> str:
        """Has a robots.txt asked for at another address; returns the address' host."""
        host = read_address(address).host
        self._file.run(
            "UPDATE robots SET address = ?, host = ?, redirects = redirects + 1 WHERE origin = ?",
            address,
            host,
            request.origin,
        )
        return host

    def delay(self, request: RobotsRequest, not_before: float) -> None:
        """Has it tried again, not before a time (seconds since 1970)."""
        self._file.run(
            "UPDATE robots SET tries = tries + 1, not_before = ? WHERE origin = ?", not_before, request.origin
        )

    def store(self, request: RobotsRequest, text: RobotsText, time: float) -> None:
        """Keeps an answer, with its time (seconds since 1970)."""
        self._file.run(
            "UPDATE robots SET time = ?, status = ?, body = ? WHERE origin = ?",
            time,
            text.status,
            text.body,
            request.origin,
        )

    def forget(self, request: RobotsRequest) -> None:
        """Has a robots.txt no longer wanted."""
        self._file.run("DELETE FROM robots WHERE origin = ?", request.origin)


def _robots_text(status: object, body: object) -> RobotsText:
    if not isinstance(body, bytes):
        raise TypeError(f"expected bytes of robots.txt, got {brief(body)}")
    return RobotsText(checked_count(status), body)


def _robots_request(origin: object, address: object, redirects: object, tries: object) -> RobotsRequest:
    return RobotsRequest(checked_text(origin), checked_text(address), checked_count(redirects), checked_count(tries))


DATABASE_NAME = CRAWL_NAME
FILE_LANES = tuple(f"file:{lane}" for lane in range(16))
"""Stand for hosts where there is none: files are read side by side, and no host is asked too often by it."""

_LEAD_FIELDS = tuple(field.name for field in fields(Lead))
_LEAD = ", ".join(_LEAD_FIELDS)
_PHOTO = "facts, thumbnail, path, time, headers, duplicate_of"
_AT_ONCE = 1000


@dataclass(frozen=True)
class PhotoEntry:
    """A photo that came, with all that is known of it.

    Attributes:
        number: of its lead.
        lead: what led to it.
        final_url: where it was in the end.
        reason: `kept`, or why it was dropped.
        detail: one line; may be empty.
        photo: facts, place and headers.
    """

    number: int
    lead: Lead
    final_url: str
    reason: str
    detail: str
    photo: Photo


class CrawlDatabase(Database):
    """The crawl database of one corpus; for the thread that opened it. A context manager.

    Attributes:
        robots: what hosts said in robots.txt.
    """

    VERSION = _VERSION
    TABLES = _TABLES
    SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
    HOLDS = IS = "a crawl's ledger"

    def __init__(self, path: Path, create: bool) -> None:
        super().__init__(path, create)
        self.robots = RobotsRecords(self)

    @classmethod
    def open(cls, corpus: Path, create: bool = False) -> CrawlDatabase:
        """Opens the ledger of a corpus.

        Args:
            corpus: its folder.
            create: begin one where there is none; the folder must exist.

        Raises:
            DatasetError: there is none, or it is none of this version.
            OutputError: it can't be read or begun.
        """
        path = corpus / DATABASE_NAME
        if not create and not path.is_file():
            raise DatasetError(f"expected a crawl's ledger at {path}, there is none")
        return cls(path, create)

    def __enter__(self) -> CrawlDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def rows_checked(self) -> Iterator[None]:
        """Within the block, values that are not what a crawl wrote (`rows`) are a `DatasetError`."""
        try:
            yield
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            told = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(f"expected {self.IS} in {self.path}, got a damaged one: {told}") from error

    def add(self, leads: Iterable[Lead]) -> set[str]:
        """Adds leads that are not known yet, some thousand a transaction.

        Returns:
            The hosts of those that are new.
        """
        hosts: set[str] = set()
        remaining = iter(leads)
        while batch := list(islice(remaining, _AT_ONCE)):
            with self.transaction():
                hosts |= self._add(batch)
        return hosts

    def waiting_hosts(self) -> list[str]:
        """The hosts that some lead waits for."""
        asked = "SELECT DISTINCT host FROM leads WHERE state = 'todo'"
        rows = self.rows(f"{asked} UNION SELECT host FROM robots WHERE time IS NULL")
        with self.rows_checked():
            return [checked_text(host) for (host,) in rows]

    def next_request(self, host: str, now: float) -> Request | None:
        """The request of a host whose turn it is; what failed before comes after what was not tried.

        Args:
            host: as `waiting_hosts` names it.
            now: seconds since 1970; what is to be tried later than this is left out.
        """
        rows = self.rows(
            f"SELECT number, address, redirects, tries, {_LEAD} FROM leads"
            " WHERE state = 'todo' AND host = ? AND not_before <= ? ORDER BY not_before, number LIMIT 1",
            host,
            now,
        )
        with self.rows_checked():
            return next((_request(row) for row in rows), None)

    def is_waiting(self, number: int) -> bool:
        """Whether the lead of a number has not ended."""
        return bool(self.rows("SELECT 1 FROM leads WHERE number = ? AND state = 'todo'", number))

    def next_time(self, host: str) -> float | None:
        """When the next request of a host may be made, seconds since 1970; None where none waits."""
        wanted = "SELECT not_before FROM {} AND host = ? ORDER BY not_before LIMIT 1"
        rows = self.rows(wanted.format("leads WHERE state = 'todo'"), host)
        rows += self.rows(wanted.format("robots WHERE time IS NULL"), host)
        with self.rows_checked():
            return min((checked_time(time) for (time,) in rows), default=None)

    def is_known(self, address: str, request: Request) -> bool:
        """Whether another lead of the request's kind leads, or was redirected, to an address."""
        known = "SELECT 1 FROM leads WHERE {} AND kind = ? AND number != ?"
        values = address, str(request.lead.kind), request.number
        places = "url = ?", "redirects > 0 AND address = ?"
        return any(self.rows(known.format(place), *values) for place in places)

    def redirect(self, request: Request, address: str) -> str:
        """Has a lead go on at another address; returns that address' host."""
        host = read_address(address).host
        self.run(
            "UPDATE leads SET address = ?, host = ?, redirects = redirects + 1, tries = 0 WHERE number = ?",
            address,
            host,
            request.number,
        )
        return host

    def delay(self, request: Request, not_before: float, reason: str) -> None:
        """Has a request tried again, not before a time (seconds since 1970)."""
        self.run(
            "UPDATE leads SET tries = tries + 1, not_before = ?, reason = ? WHERE number = ?",
            not_before,
            reason,
            request.number,
        )

    def end(self, request: Request, ended: Ended) -> set[str]:
        """Records the end of a lead, and what it led to.

        Returns:
            The hosts of new leads.
        """
        with self.transaction():
            self._end(request, ended)
            return self._add(ended.leads)

    def retry_failed(self) -> int:
        """Has all leads that failed tried again, from where they were; returns how many."""
        return self.run("UPDATE leads SET state = 'todo', tries = 0, not_before = 0 WHERE state = 'failed'")

    def retry_private(self) -> int:
        """Has all leads tried again that were refused for a loopback or private address; returns how many.

        Ledgers of older versions tell them by the detail.
        """
        return self.run(
            "UPDATE leads SET state = 'todo', tries = 0, not_before = 0"
            " WHERE state = 'refused' AND (reason = ? OR detail LIKE '%; --allow-private permits it')",
            PRIVATE_ADDRESS,
        )

    def leave_alone(self, host: str, until: float) -> None:
        """Notes that a host is not to be asked before a time (seconds since 1970)."""
        self.run("INSERT OR REPLACE INTO hosts VALUES (?, ?)", host, until)

    def left_alone(self) -> dict[str, float]:
        """The hosts that are not to be asked before a time (seconds since 1970)."""
        with self.rows_checked():
            rows = self.rows("SELECT host, not_before FROM hosts")
            return {checked_text(host): checked_time(time) for host, time in rows}

    def counts(self) -> Counter[tuple[Kind, State, str]]:
        """How many leads there are of each kind in each state, for each reason."""
        rows = self.rows("SELECT kind, state, reason, COUNT(*) FROM leads GROUP BY kind, state, reason")
        with self.rows_checked():
            return Counter({(Kind(kind), State(state), checked_text(reason)): n for kind, state, reason, n in rows})

    def waiting_counts(self) -> Counter[str]:
        """How many leads wait for each host."""
        rows = self.rows("SELECT host, COUNT(*) FROM leads WHERE state = 'todo' GROUP BY host")
        with self.rows_checked():
            return Counter({checked_text(host): count for host, count in rows})

    def kept_facts(self) -> Iterator[Facts]:
        """What was measured of each kept photo, in the order of their leads; some thousand at a time are in memory."""
        kept, last = "SELECT lead, facts FROM photos WHERE path != '' AND lead > ? ORDER BY lead LIMIT ?", 0
        while rows := self.rows(kept, last, _AT_ONCE):
            with self.rows_checked():
                known = [checked_facts(facts) for _, facts in rows]
            yield from known
            last = rows[-1][0]

    def is_kept(self, sha256: str) -> bool:
        """Whether the corpus keeps a photo."""
        return bool(self.rows("SELECT 1 FROM photos WHERE sha256 = ? AND path != ''", sha256))

    def photos(self, reason: str | None = None) -> Iterator[PhotoEntry]:
        """Photos that came, in the order of their leads; some hundred at a time are in memory.

        Args:
            reason: only those that are `kept`, or were dropped for this reason; all where None.
        """
        last = 0
        chosen, values = ("", ()) if reason is None else ("AND reason = ? ", (reason,))
        while rows := self.rows(
            f"SELECT number, address, reason, detail, {_LEAD}, {_PHOTO} FROM photos JOIN leads ON number = lead"
            f" WHERE lead > ? {chosen}ORDER BY lead LIMIT {_AT_ONCE // 4}",
            last,
            *values,
        ):
            with self.rows_checked():
                entries = [_entry(row) for row in rows]
            yield from entries
            last = rows[-1][0]

    def _add(self, leads: Iterable[Lead]) -> set[str]:
        hosts: set[str] = set()
        for lead in leads:
            hosts.update(host for (host,) in self._add_one(lead))
        return hosts

    def _add_one(self, lead: Lead) -> list[Row]:
        state, detail, host = State.TODO, "", ""
        texts = [_text(getattr(lead, name)) for name in _LEAD_FIELDS]
        try:
            if lead.kind is Kind.FILE:
                host = FILE_LANES[crc32(texts[0].encode()) % len(FILE_LANES)]
            else:
                target = normal_target(lead.url)
                texts[0], host = target.url, target.host
        except AddressError as error:
            state, detail = State.REFUSED, str(error)
        added = self.rows(
            f"INSERT OR IGNORE INTO leads ({_LEAD}, state, reason, detail, address, host)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12"
            " WHERE NOT EXISTS (SELECT 1 FROM leads WHERE address = ?1 AND kind = ?2 AND redirects > 0)"
            " RETURNING host",
            *(*texts, str(state), "address" if detail else "", detail, host),
        )
        return added if state is State.TODO else []

    def _end(self, request: Request, ended: Ended) -> None:
        self.run(
            "UPDATE leads SET state = ?, reason = ?, detail = ? WHERE number = ?",
            *(str(ended.state), ended.reason, ended.detail, request.number),
        )
        if photo := ended.photo:
            facts = replace(photo.facts, thumbnail=b"")
            self.run(
                "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(request.number, facts.sha256, facts.near_hash, photo.path, photo.time),
                *(json.dumps(dict(photo.headers)), photo.duplicate_of, facts.to_json(), photo.facts.thumbnail),
            )
            for old in ended.supersedes:
                self._drop(old, facts.sha256)

    def _drop(self, old: Superseded, better: str) -> None:
        kept = "SELECT lead FROM photos WHERE sha256 = ? AND path != ''"
        self.run(
            f"UPDATE leads SET reason = ?, detail = ? WHERE number IN ({kept})", old.reason, old.detail, old.sha256
        )
        self.run("UPDATE photos SET path = '', duplicate_of = ? WHERE sha256 = ? AND path != ''", better, old.sha256)


def _text(value: object) -> str:
    """Pages and file names may hold half a surrogate pair, which no database takes."""
    return str(value).encode("utf-8", "replace").decode()


def _lead(row: Row) -> Lead:
    url, kind, *rest = map(checked_text, row)
    return Lead(url, Kind(kind), *rest)


def _request(row: Row) -> Request:
    number, address, redirects, tries = row[:4]
    return Request(number, _lead(row[4:]), checked_text(address), checked_count(redirects), checked_count(tries))


def _entry(row: Row) -> PhotoEntry:
    number, *texts = row[:4]
    facts, thumbnail, path, time, headers, duplicate_of = row[12:]
    photo = Photo(
        checked_facts(facts, thumbnail),
        checked_place(path),
        checked_time(time),
        checked_headers(json.loads(headers)),
        duplicate_of and checked_sha256(duplicate_of),
    )
    address, reason, detail = map(checked_text, texts)
    return PhotoEntry(number, _lead(row[4:12]), address, reason, detail, photo)
