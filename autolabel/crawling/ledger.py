"""All that a crawl knows, in one SQLite file: what is to be asked, what was, and what became of it.

Each method that changes something is one transaction, so that a crawl may be killed at any moment.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from zlib import crc32

from autolabel.crawling.facts import Facts
from autolabel.crawling.found_leads import FoundLeads, FoundLimits
from autolabel.crawling.lead import Kind, Lead
from autolabel.crawling.ledger_file import LedgerFile
from autolabel.crawling.records import PRIVATE_ADDRESS, Ended, Photo, Request, State, Superseded
from autolabel.crawling.robots_records import RobotsRecords
from autolabel.crawling.rows import (
    checked_count,
    checked_facts,
    checked_headers,
    checked_place,
    checked_sha256,
    checked_text,
    checked_time,
)
from autolabel.crawling.urls import normal_target
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import CRAWL_NAME
from surfaces.io.urls import AddressError, parse_url
from surfaces.store.database import Row

LEDGER_NAME = CRAWL_NAME
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


class Ledger:
    """The ledger of one crawl; for the thread that opened it. A context manager.

    Attributes:
        robots: what hosts said in robots.txt.
    """

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self.robots = RobotsRecords(file)

    @classmethod
    def open(cls, corpus: Path, create: bool = False) -> Ledger:
        """Opens the ledger of a corpus.

        Args:
            corpus: its folder.
            create: begin one where there is none; the folder must exist.

        Raises:
            DatasetError: there is none, or it is none of this version.
            OutputError: it can't be read or begun.
        """
        path = corpus / LEDGER_NAME
        if not create and not path.is_file():
            raise DatasetError(f"expected a crawl's ledger at {path}, there is none")
        return cls(LedgerFile(path, create))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, leads: Iterable[Lead]) -> set[str]:
        """Adds leads that are not known yet, some thousand a transaction.

        Returns:
            The hosts of those that are new.
        """
        hosts: set[str] = set()
        remaining = iter(leads)
        while batch := list(islice(remaining, _AT_ONCE)):
            with self._file.transaction():
                hosts |= self._add(batch)
        return hosts

    def waiting_hosts(self) -> list[str]:
        """The hosts that some lead waits for."""
        asked = "SELECT DISTINCT host FROM leads WHERE state = 'todo'"
        rows = self._file.rows(f"{asked} UNION SELECT host FROM robots WHERE time IS NULL")
        with self._file.rows_checked():
            return [checked_text(host) for (host,) in rows]

    def next_request(self, host: str, now: float) -> Request | None:
        """The request of a host whose turn it is; what failed before comes after what was not tried.

        Args:
            host: as `waiting_hosts` names it.
            now: seconds since 1970; what is to be tried later than this is left out.
        """
        rows = self._file.rows(
            f"SELECT number, address, redirects, tries, {_LEAD} FROM leads"
            " WHERE state = 'todo' AND host = ? AND not_before <= ? ORDER BY not_before, number LIMIT 1",
            host,
            now,
        )
        with self._file.rows_checked():
            return next((_request(row) for row in rows), None)

    def is_waiting(self, number: int) -> bool:
        """Whether the lead of a number has not ended."""
        return bool(self._file.rows("SELECT 1 FROM leads WHERE number = ? AND state = 'todo'", number))

    def next_time(self, host: str) -> float | None:
        """When the next request of a host may be made, seconds since 1970; None where none waits."""
        wanted = "SELECT not_before FROM {} AND host = ? ORDER BY not_before LIMIT 1"
        rows = self._file.rows(wanted.format("leads WHERE state = 'todo'"), host)
        rows += self._file.rows(wanted.format("robots WHERE time IS NULL"), host)
        with self._file.rows_checked():
            return min((checked_time(time) for (time,) in rows), default=None)

    def is_known(self, address: str, request: Request) -> bool:
        """Whether another lead of the request's kind leads, or was redirected, to an address."""
        known = "SELECT 1 FROM leads WHERE {} AND kind = ? AND number != ?"
        values = address, str(request.lead.kind), request.number
        places = "url = ?", "redirects > 0 AND address = ?"
        return any(self._file.rows(known.format(place), *values) for place in places)

    def redirect(self, request: Request, address: str) -> str:
        """Has a lead go on at another address; returns that address' host."""
        host = parse_url(address).host
        self._file.run(
            "UPDATE leads SET address = ?, host = ?, redirects = redirects + 1, tries = 0 WHERE number = ?",
            address,
            host,
            request.number,
        )
        return host

    def delay(self, request: Request, not_before: float, reason: str) -> None:
        """Has a request tried again, not before a time (seconds since 1970)."""
        self._file.run(
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
        with self._file.transaction():
            self._end(request, ended)
            return self._add(ended.leads)

    def found(self, limits: FoundLimits) -> FoundLeads:
        """Counts the leads that answers name."""
        return FoundLeads(self._file, limits)

    def retry_failed(self) -> int:
        """Has all leads that failed tried again, from where they were; returns how many."""
        return self._file.run("UPDATE leads SET state = 'todo', tries = 0, not_before = 0 WHERE state = 'failed'")

    def retry_private(self) -> int:
        """Has all leads tried again that were refused for a loopback or private address; returns how many.

        Ledgers of older versions tell them by the detail.
        """
        return self._file.run(
            "UPDATE leads SET state = 'todo', tries = 0, not_before = 0"
            " WHERE state = 'refused' AND (reason = ? OR detail LIKE '%; --allow-private permits it')",
            PRIVATE_ADDRESS,
        )

    def leave_alone(self, host: str, until: float) -> None:
        """Notes that a host is not to be asked before a time (seconds since 1970)."""
        self._file.run("INSERT OR REPLACE INTO hosts VALUES (?, ?)", host, until)

    def left_alone(self) -> dict[str, float]:
        """The hosts that are not to be asked before a time (seconds since 1970)."""
        with self._file.rows_checked():
            rows = self._file.rows("SELECT host, not_before FROM hosts")
            return {checked_text(host): checked_time(time) for host, time in rows}

    def counts(self) -> Counter[tuple[Kind, State, str]]:
        """How many leads there are of each kind in each state, for each reason."""
        rows = self._file.rows("SELECT kind, state, reason, COUNT(*) FROM leads GROUP BY kind, state, reason")
        with self._file.rows_checked():
            return Counter({(Kind(kind), State(state), checked_text(reason)): n for kind, state, reason, n in rows})

    def waiting_counts(self) -> Counter[str]:
        """How many leads wait for each host."""
        rows = self._file.rows("SELECT host, COUNT(*) FROM leads WHERE state = 'todo' GROUP BY host")
        with self._file.rows_checked():
            return Counter({checked_text(host): count for host, count in rows})

    def kept_facts(self) -> Iterator[Facts]:
        """What was measured of each kept photo, in the order of their leads; some thousand at a time are in memory."""
        kept, last = "SELECT lead, facts FROM photos WHERE path != '' AND lead > ? ORDER BY lead LIMIT ?", 0
        while rows := self._file.rows(kept, last, _AT_ONCE):
            with self._file.rows_checked():
                known = [checked_facts(facts) for _, facts in rows]
            yield from known
            last = rows[-1][0]

    def is_kept(self, sha256: str) -> bool:
        """Whether the corpus keeps a photo."""
        return bool(self._file.rows("SELECT 1 FROM photos WHERE sha256 = ? AND path != ''", sha256))

    def photos(self, reason: str | None = None) -> Iterator[PhotoEntry]:
        """Photos that came, in the order of their leads; some hundred at a time are in memory.

        Args:
            reason: only those that are `kept`, or were dropped for this reason; all where None.
        """
        last = 0
        chosen, values = ("", ()) if reason is None else ("AND reason = ? ", (reason,))
        while rows := self._file.rows(
            f"SELECT number, address, reason, detail, {_LEAD}, {_PHOTO} FROM photos JOIN leads ON number = lead"
            f" WHERE lead > ? {chosen}ORDER BY lead LIMIT {_AT_ONCE // 4}",
            last,
            *values,
        ):
            with self._file.rows_checked():
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
        added = self._file.rows(
            f"INSERT OR IGNORE INTO leads ({_LEAD}, state, reason, detail, address, host)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?1, ?12"
            " WHERE NOT EXISTS (SELECT 1 FROM leads WHERE address = ?1 AND kind = ?2 AND redirects > 0)"
            " RETURNING host",
            *(*texts, str(state), "address" if detail else "", detail, host),
        )
        return added if state is State.TODO else []

    def _end(self, request: Request, ended: Ended) -> None:
        self._file.run(
            "UPDATE leads SET state = ?, reason = ?, detail = ? WHERE number = ?",
            *(str(ended.state), ended.reason, ended.detail, request.number),
        )
        if photo := ended.photo:
            facts = replace(photo.facts, thumbnail=b"")
            self._file.run(
                "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(request.number, facts.sha256, facts.near_hash, photo.path, photo.time),
                *(json.dumps(dict(photo.headers)), photo.duplicate_of, facts.to_json(), photo.facts.thumbnail),
            )
            for old in ended.supersedes:
                self._drop(old, facts.sha256)

    def _drop(self, old: Superseded, better: str) -> None:
        kept = "SELECT lead FROM photos WHERE sha256 = ? AND path != ''"
        self._file.run(
            f"UPDATE leads SET reason = ?, detail = ? WHERE number IN ({kept})", old.reason, old.detail, old.sha256
        )
        self._file.run(
            "UPDATE photos SET path = '', duplicate_of = ? WHERE sha256 = ? AND path != ''", better, old.sha256
        )


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
