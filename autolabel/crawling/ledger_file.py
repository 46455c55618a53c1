"""The SQLite file behind a crawl's ledger: its tables.

A write-ahead log, unlike the store of labels: a crawl commits after every answer, and a log makes that a hundred times
cheaper. SIGKILL loses nothing of it. A power cut may lose the last transactions, never the file: what they told of is
then fetched again. The log needs a local disk; it is folded into the file, and removed, when the crawl ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from surfaces.errors import DatasetError
from surfaces.store.database import Database

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


class LedgerFile(Database):
    """A connection to one ledger's file; for the thread that opened it."""

    VERSION = _VERSION
    TABLES = _TABLES
    SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
    HOLDS = IS = "a crawl's ledger"

    @contextmanager
    def rows_checked(self) -> Iterator[None]:
        """Within the block, values that are not what a crawl wrote (`rows`) are a `DatasetError`."""
        try:
            yield
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            told = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
            raise DatasetError(f"expected {self.IS} in {self.path}, got a damaged one: {told}") from error
