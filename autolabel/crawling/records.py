"""What the ledger hands out and takes in: a request to make, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autolabel.crawling.facts import Facts
from autolabel.crawling.lead import Lead

PRIVATE_ADDRESS = "private-address"
"""Why leads are refused that a run with other settings may ask for."""


ITEM_ERROR = "error"
"""Why leads fail whose answers, photos or records raised an error that nobody expected."""


TOO_MANY = "too-many"
"""Why pages, sitemaps and searches fail that aren't asked, since nothing more that their host names is kept."""


class State(StrEnum):
    """How far a lead got."""

    TODO = "todo"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Request:
    """The next request that a lead needs.

    Attributes:
        number: of the lead in the ledger.
        lead: what led here.
        address: what is to be asked: the lead's `url`, or where that was redirected to.
        redirects: how many were followed so far.
        tries: how many attempts failed so far in a way that may pass.
    """

    number: int
    lead: Lead
    address: str
    redirects: int = 0
    tries: int = 0


@dataclass(frozen=True)
class Photo:
    """A photo that was fetched, kept or not.

    Attributes:
        facts: what was measured, its sha256 among it.
        path: where its bytes lie: relative to the corpus, absolute, or an fsspec address; empty where it is dropped.
        time: when it came, seconds since 1970.
        headers: those of the answer that tell where it comes from, by lower-case name.
        duplicate_of: sha256 of the kept photo that it resembles; empty where it is none.
    """

    facts: Facts
    path: str
    time: float
    headers: Mapping[str, str] = field(default_factory=dict)
    duplicate_of: str = ""


@dataclass(frozen=True)
class Superseded:
    """A photo that was kept until a better copy came; its file stays where it is, since labels may refer to it.

    Attributes:
        sha256: of the photo.
        reason: why it is dropped now, a word or two to group by.
        detail: one line.
    """

    sha256: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Redirected:
    """The answer names another address, in its one spelling."""

    address: str


@dataclass(frozen=True)
class Delayed:
    """No answer that can be used, but the next attempt may get one.

    Attributes:
        reason: a word or two to group by.
        detail: one line.
        pause_s: how long the host asks to be left alone, seconds; None where it does not say.
    """

    reason: str
    detail: str
    pause_s: float | None = None


@dataclass(frozen=True)
class Ended:
    """The lead is at its end.

    Attributes:
        state: any but `State.TODO`.
        reason: a word or two to group by: of photos that came, `kept` or why they were dropped.
        detail: one line; may be empty.
        leads: what it led to.
        is_cut: whether it leads to more than is taken from one answer.
        photo: where it is one.
        supersedes: photos that are kept no longer, since this one is.
    """

    state: State
    reason: str
    detail: str = ""
    leads: tuple[Lead, ...] = ()
    is_cut: bool = False
    photo: Photo | None = None
    supersedes: tuple[Superseded, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it is a photo that the corpus keeps."""
        return self.photo is not None and self.photo.path != ""


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


@dataclass(frozen=True)
class RobotsText:
    """What a host answered when asked for its robots.txt: HTTP status and body."""

    status: int
    body: bytes


Outcome = Redirected | Delayed | Ended
