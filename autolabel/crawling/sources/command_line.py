"""The sources of a crawl: command-line arguments as crawl requests."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from autolabel.crawling.records import CrawlRequest, Kind
from autolabel.crawling.sources.licences import GROUPS, read_licences
from autolabel.crawling.sources.parsing import OPENVERSE, WIKIMEDIA, ParseError, ParseSettings, one_line
from autolabel.crawling.sources.searches import openverse_query, wikimedia_query
from autolabel.crawling.sources.urls import normalize, resolve
from autolabel.labelling.corpus import read_corpus
from surfaces.cli.arguments import local_path
from surfaces.creative_commons import CODES
from surfaces.io.local_files import LIST_BYTES_MAX, read_bytes
from surfaces.io.photo_lists import list_lines, list_text
from surfaces.io.urls import AddressError
from surfaces.messages import without_credentials

_LINES_REPORTED = 10
_COLUMNS = {
    "page": ("page",),
    "title": ("title",),
    "author": ("author", "creator"),
    "licence": ("licence", "license"),
    "licence_url": ("licence_url", "license_url"),
}

Entry = Mapping[str, Any] | None  # a line of a list, with `url` and provenance; None if it can't be read


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `first_requests` and `read_settings` read."""
    add = parser.add_argument_group("where photos come from").add_argument
    several: dict[str, Any] = {"nargs": "+", "default": []}
    lists = "photos' addresses: text, .csv or .jsonl with url (page, title, author, licence, licence_url); - is stdin"
    add("--urls", **several, metavar="LIST", help=lists)
    add("--page", **several, type=_url, metavar="URL", help="web pages that show photos")
    add("--follow", action="store_true", help="also the pages of the same host that these link to, no further")
    add("--sitemap", **several, type=_url, metavar="URL", help="sitemaps of pages or photos")
    add("--openverse", **several, metavar="QUERY", help="searches, such as 'dining room interior'")
    add("--wikimedia", **several, metavar="QUERY", help="the same in Wikimedia Commons")
    taken = f"what is taken from these two searches: {', '.join((*GROUPS, *CODES))}; several with commas between them "
    taken += "(default: any of these)"
    add("--licence", type=_licences, default=GROUPS["any"], metavar="LICENCES", help=taken)
    add("--folder", **several, type=local_path, metavar="DIR", help="folders of photos, or lists of their paths")
    for name, url in (("OPENVERSE", OPENVERSE), ("WIKIMEDIA", WIKIMEDIA)):
        default = os.environ.get(f"{name}_ADDRESS", url)
        where = f"where the API is (default: ${name}_ADDRESS, else {url})"
        add(f"--{name.lower()}-address", type=_origin, default=default, metavar="URL", help=where)


def read_settings(args: argparse.Namespace, ignore_opt_outs: bool) -> ParseSettings:
    """Reads the settings of parsers from the arguments of `add_source_arguments`."""
    return ParseSettings(args.licence, args.follow, ignore_opt_outs, args.openverse_address, args.wikimedia_address)


def first_requests(args: argparse.Namespace, settings: ParseSettings) -> Iterator[CrawlRequest]:
    """Yields the crawl requests that the arguments name. Lines without a URL are reported on stderr and skipped.

    Raises:
        ParseError: a list cannot be read.
        DatasetError: a folder has no photos.
    """
    for query in args.openverse:
        yield openverse_query(query, settings)
    for query in args.wikimedia:
        yield wikimedia_query(query, settings)
    for url in args.sitemap:
        yield CrawlRequest(url, Kind.SITEMAP, "sitemaps")
    for url in args.page:
        yield CrawlRequest(url, Kind.PAGE, "pages")
    for place in args.urls:
        yield from _listed(place)
    for folder in args.folder:
        yield from _files(folder)


def _listed(place: str) -> Iterator[CrawlRequest]:
    bad = 0
    name = "stdin" if place == "-" else place
    for number, entry in _entries(place):
        try:
            yield _photo(entry)
        except AddressError as error:
            bad += 1
            if bad <= _LINES_REPORTED:
                print(f"autolabel: {name}:{number}: {error}", file=sys.stderr)
    if bad:
        print(f"autolabel: {name}: {bad} line{'s'[: bad > 1]} passed over", file=sys.stderr)


def _photo(entry: Entry) -> CrawlRequest:
    url = (entry or {}).get("url")
    if entry is None or not isinstance(url, str):
        raise AddressError("expected an entry with a url")
    known = {}
    for field, names in _COLUMNS.items():
        known[field] = next((one_line(text, 2000) for name in names if isinstance(text := entry.get(name), str)), "")
    for field in ("page", "licence_url"):  # which are shown as links
        known[field] = resolve("", known[field])
    return CrawlRequest(normalize(url), Kind.PHOTO, "urls", **known)


def _entries(place: str) -> Iterator[tuple[int, Entry]]:
    path = Path(place)
    try:
        stdin = sys.stdin.buffer if sys.stdin else io.BytesIO()  # closed: empty
        text = list_text(stdin.read() if place == "-" else read_bytes(path, LIST_BYTES_MAX))
        if path.suffix.lower() == ".csv":
            yield from _csv_entries(io.StringIO(text, newline=""))
        elif path.suffix.lower() == ".jsonl":
            lines = enumerate(io.StringIO(text, newline=""), 1)
            yield from ((number, _json_entry(line)) for number, line in lines if line.strip())
        else:
            yield from ((number, {"url": line}) for number, line in list_lines(text))
    except (OSError, ValueError, csv.Error) as error:
        raise ParseError(f"expected a list of addresses in {place}, got: {error}") from error


def _csv_entries(file: IO[str]) -> Iterator[tuple[int, Entry]]:
    rows = csv.DictReader(file)
    if "url" not in (rows.fieldnames or ()):
        raise csv.Error(f"no column `url` among {one_line(', '.join(rows.fieldnames or ()), 200) or 'none'}")
    yield from ((rows.line_num, row) for row in rows)


def _json_entry(line: str) -> Entry:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _files(folder: Path) -> Iterator[CrawlRequest]:
    corpus = read_corpus(folder)
    for skipped in corpus.skipped:
        print(f"autolabel: {skipped.source.path!r}: {skipped.reason}", file=sys.stderr)
    for note in corpus.notes:
        print(f"autolabel: {folder}: {note}", file=sys.stderr)
    yield from (CrawlRequest(photo.path, Kind.FILE, "folder") for photo in corpus.photos)


def _url(text: str) -> str:
    try:
        return normalize(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(f"{error}: {without_credentials(text)!r}") from error


def _origin(text: str) -> str:
    return _url(text).rstrip("/")


def _licences(text: str) -> frozenset[str]:
    try:
        return read_licences(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
