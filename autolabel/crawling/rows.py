"""The crawl database's columns as records; others may have written the file, so each value is checked."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from typing import Any

from pydantic import TypeAdapter

from autolabel.crawling.filters.statistics import ImageStats
from autolabel.crawling.records import STRICT, CrawlRequest, Kind, Photo, PhotoEntry, QueuedRequest, Time
from surfaces.messages import brief

REQUEST_FIELDS = tuple(field.name for field in fields(CrawlRequest))
_SIDE_MAX, _SIZE_MAX = 2**31 - 1, 2**63 - 1  # of the manifest's columns

read_text = TypeAdapter(str, config=STRICT).validate_python
read_time = TypeAdapter(Time, config=STRICT).validate_python
_STATS_TYPE, _HEADERS_TYPE = TypeAdapter(ImageStats), TypeAdapter(dict[str, str])


def _read_request(*row: Any) -> CrawlRequest:
    url, kind, *rest = map(read_text, row)
    return CrawlRequest(url, Kind(kind), *rest)


def read_queued(number: Any, url: Any, redirects: Any, tries: Any, *request: Any) -> QueuedRequest:
    """A pending request from its columns. Raises ValueError or TypeError where they are damaged."""
    return QueuedRequest(number, _read_request(*request), url=url, redirects=redirects, tries=tries)


def read_entry(number: int, url: Any, reason: Any, detail: Any, *row: Any) -> PhotoEntry:
    """A photo and its request from their columns. Raises ValueError or TypeError where they are damaged."""
    stats, thumbnail, path, time, headers, duplicate_of = row[len(REQUEST_FIELDS) :]
    headers = _HEADERS_TYPE.validate_json(headers, strict=True)
    checked = read_stats(stats, thumbnail)
    photo = Photo(checked, path=path, time=time, headers=headers, duplicate_of=duplicate_of)
    request = _read_request(*row[: len(REQUEST_FIELDS)])
    return PhotoEntry(number, request, read_text(url), read_text(reason), read_text(detail), photo)


def read_stats(text: Any, thumbnail: Any = b"") -> ImageStats:
    """A photo's statistics from JSON. Raises ValueError where they are damaged or out of range."""
    stats = _STATS_TYPE.validate_json(text, strict=True)
    if not re.fullmatch("[0-9a-f]{64}", stats.sha256) or not re.fullmatch("(?:[0-9a-f]{2})*", stats.near_hash):
        raise ValueError(f"expected hexadecimal hashes, got {brief((stats.sha256, stats.near_hash))}")
    for name, value in asdict(stats).items():
        limit = _SIZE_MAX if name == "size" else _SIDE_MAX
        if isinstance(value, int | float) and not (0 if isinstance(value, int) else -limit) <= value <= limit:
            raise ValueError(f"expected {name} up to {limit}, got {brief(value)}")
    if not isinstance(thumbnail, bytes) or (thumbnail and not thumbnail.startswith(b"\xff\xd8")):
        raise ValueError("expected a JPEG file as thumbnail, got something else")
    return replace(stats, thumbnail=thumbnail)


def write_stats(stats: ImageStats) -> str:
    """The statistics but for the thumbnail, as JSON that `read_stats` reads."""
    facts = _STATS_TYPE.dump_python(stats, exclude={"thumbnail"}, exclude_defaults=True)
    return json.dumps(facts, separators=(",", ":"))
