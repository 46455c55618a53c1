"""What the ledger keeps of hosts' robots.txt: answers, and what is still to be asked."""

from __future__ import annotations

from dataclasses import dataclass

from autolabel.crawling.ledger_file import LedgerFile
from autolabel.crawling.records import RobotsText
from autolabel.crawling.rows import checked_count, checked_text, checked_time
from surfaces.io.urls import parse_url
from surfaces.messages import brief

_STORED = [int, bytes, float]  # types of status, body and time


@dataclass(frozen=True)
class RobotsRequest:
    """A robots.txt that is wanted.

    Attributes:
        origin: scheme, host and port that it speaks for.
        address: what is to be asked: its own address, or where that was redirected to.
        redirects: how many were followed so far.
        tries: how many attempts failed so far.
    """

    origin: str
    address: str
    redirects: int = 0
    tries: int = 0


class RobotsRecords:
    """The robots.txt of a ledger's hosts, each cached with its time."""

    def __init__(self, file: LedgerFile) -> None:
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
            parse_url(address).host,
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
            return next((_request(*row) for row in rows), None)

    def redirect(self, request: RobotsRequest, address: str) -> str:
        """Has a robots.txt asked for at another address; returns the address' host."""
        host = parse_url(address).host
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


def _request(origin: object, address: object, redirects: object, tries: object) -> RobotsRequest:
    return RobotsRequest(checked_text(origin), checked_text(address), checked_count(redirects), checked_count(tries))
