"""Records of a crawl: requests to make, and their results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from autolabel.crawling.filters.statistics import ImageStats
from surfaces.io.storage import is_remote

# Reasons of requests that ended:
PRIVATE_ADDRESS = "private-address"  # refused; a run with other settings may make them
ITEM_ERROR = "error"  # an unexpected exception
FORGOTTEN = "forgotten"  # its photo was removed at its owner's wish
TOO_MANY = "too-many"  # not made, since the limit of URLs found at the host is reached

STRICT = ConfigDict(strict=True)
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Time = Annotated[float, Field(ge=0, le=253_402_300_799, allow_inf_nan=False)]  # since 1970, to the end of year 9999


def _check_path(path: str) -> str:
    is_relative = not is_remote(path) and not PurePath(path).is_absolute()
    if "\0" in path or (is_relative and ".." in re.split(r"[/\\]", path)):
        raise ValueError("expected a path inside the corpus")
    return path


class Kind(StrEnum):
    """What is expected at a URL."""

    PHOTO = "photo"
    PAGE = "page"
    SITEMAP = "sitemap"
    OPENVERSE = "openverse"
    WIKIMEDIA = "wikimedia"
    FILE = "file"


class State(StrEnum):
    """The state of a crawl request."""

    TODO = "todo"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True)
class CrawlRequest:
    """A URL to fetch, with what is known of the photo there."""

    url: str  # http(s), without fragment; of a file its absolute path
    kind: Kind
    source: str  # that named it first: `urls`, `pages`, `sitemaps`, `openverse`, `wikimedia`, `folder`
    page: str = ""  # that shows the photo; unknown fields are empty
    title: str = ""
    author: str = ""
    licence: str = ""  # its short name, such as `CC BY 4.0`
    licence_url: str = ""
    query: str = ""  # the search words that found it


@pydantic_dataclass(frozen=True, config=STRICT)
class QueuedRequest:
    """A crawl request that has not ended, by its row number; `url` is its own or its redirection target."""

    number: Count
    request: CrawlRequest
    url: str
    redirects: Count = 0
    tries: Count = 0


@pydantic_dataclass(frozen=True, config=STRICT)
class RobotsRequest:
    """The robots.txt of an origin to fetch; `url` is its own or its redirection target."""

    origin: str
    url: str
    redirects: Count = 0


AnyRequest = QueuedRequest | RobotsRequest


@pydantic_dataclass(frozen=True, config=STRICT)
class RobotsText:
    """The response to a request for robots.txt: HTTP status and body."""

    status: Count
    body: bytes


@pydantic_dataclass(frozen=True, config=STRICT)
class Photo:
    """A photo that was fetched, kept or not."""

    stats: ImageStats
    path: Annotated[str, AfterValidator(_check_path)]  # relative to the corpus, absolute, or a URL; empty if dropped
    time: Time  # of the response
    headers: Mapping[str, str] = field(default_factory=dict)  # by lower-case name
    duplicate_of: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""  # sha256 of the kept photo that it resembles


@pydantic_dataclass(frozen=True, config=STRICT)
class ForgottenPhoto:
    """What is left of a removed photo: the sha256 of its bytes, and its perceptual hashes, which may be empty."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    near_hash: Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]


@dataclass(frozen=True)
class PhotoEntry:
    """A fetched photo with its crawl request; `final_url` is the URL after redirects."""

    number: int
    request: CrawlRequest
    final_url: str
    reason: str
    detail: str
    photo: Photo


@dataclass(frozen=True)
class Superseded:
    """A photo that was kept until a better copy came. Its file stays, since labels may refer to it."""

    sha256: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Redirected:
    """The response redirects to another URL, which is normalised."""

    url: str


@dataclass(frozen=True)
class Delayed:
    """A transient failure; `pause_s` is the pause that the server asks for, or None."""

    reason: str
    detail: str
    pause_s: float | None = None


@dataclass(frozen=True)
class Ended:
    """The final result of a crawl request."""

    state: State
    reason: str  # `kept` or why a photo was dropped; else a short error class
    detail: str = ""
    found: tuple[CrawlRequest, ...] = ()  # in the response
    is_cut: bool = False  # whether the response held more requests than are taken from one
    photo: Photo | None = None
    supersedes: tuple[Superseded, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it is a photo that the corpus keeps."""
        return self.photo is not None and self.photo.path != ""


Outcome = Redirected | Delayed | Ended
