"""`python -m autolabel crawl --out CORPUS`: fetches photos politely, with their provenance, and resumes."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from autolabel.crawling.blob_store import blob_store_folder, open_blob_store
from autolabel.crawling.database import DATABASE_NAME, FILE_LANES, CrawlDatabase
from autolabel.crawling.fetching.engine import Crawl, CrawlCounts, CrawlSettings
from autolabel.crawling.fetching.fetcher import Fetcher, FetchSettings
from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter
from autolabel.crawling.found_requests import FoundLimits
from autolabel.crawling.manifest import write_manifest
from autolabel.crawling.records import PRIVATE_ADDRESS, Ended, State
from autolabel.crawling.removal import forget_photo
from autolabel.crawling.report import write_crawl_report
from autolabel.crawling.sources.command_line import add_source_arguments, first_requests, read_settings
from autolabel.labelling.interrupts import Interrupts
from surfaces.cli.arguments import given, local_path, megabytes, megapixels, positive
from surfaces.errors import OutputError, SurfacesError
from surfaces.images.load import ImageLimits
from surfaces.io.atomic_files import make_folder, require_outside
from surfaces.io.http import FetchLimits
from surfaces.messages import without_credentials
from surfaces.threads import usable_cpus

SOME_WAIT = 10
UNKNOWN_PHOTO = 25

_LOCK_NAME = ".crawl.lock"
_HOSTS_SHOWN, _STATUS_HOSTS = 5, 10
_LOG_INTERVAL_S = 30.0

_EPILOG = """\
CORPUS/crawl.sqlite, which needs a local disk, holds pending requests and results. Run the same command again at any
time, even after a kill: completed requests are not repeated. Without sources it resumes the pending ones. Photos are
named by their sha256; CORPUS/manifest.parquet lists those that were kept, and
`python -m autolabel run CORPUS/manifest.parquet` labels them.

Each host gets one request at a time and a pause of 1 / RATE seconds after each response, longer if its robots.txt
(Crawl-delay) or its responses (Retry-After) ask for it. A host that fails several times in a row, or whose robots.txt
can't be fetched, is suspended until the next run.

exit codes:
  0    no requests are pending, or the limit is reached
  10   requests are pending for suspended hosts, or --forget could not reach everything; run the same command again
  22   no source is named, and there is nothing to resume
  24   nothing was fetched because all addresses are in private networks; --allow-private retries them
  25   --forget: the corpus never had one of the photos; it will never be fetched
  130  interrupted; recorded results stay
  others: see the one line on stderr
"""


class NothingToDoError(SurfacesError):
    """No source is named, and there is no crawl to resume."""

    exit_code = 22


class PrivateAddressesError(SurfacesError):
    """Nothing was fetched because all addresses are in loopback or private networks."""

    exit_code = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--out", type=local_path, required=True, metavar="CORPUS", help="folder of the corpus")
    add_source_arguments(parser)
    polite = parser.add_argument_group("politeness").add_argument
    polite("--contact", type=_contact, default="", metavar="ADDRESS", help="web or mail address for the User-Agent")
    polite("--rate", type=_rate, default=1.0, help="requests per second and host (default: %(default)s)")
    polite("--workers", type=positive, default=16, help="requests in flight (default: %(default)s)")
    polite("--ignore-opt-outs", action="store_true", help="ignore noai, noindex and the like; robots.txt still applies")
    polite("--allow-private", action="store_true", help="allow private networks, also for requests refused before")
    found: dict[str, Any] = {"type": positive, "metavar": "N"}
    per_host = "addresses kept of those that responses of one host name, in all runs (default: %(default)s)"
    polite("--found-per-host", **found, default=FoundLimits.host, help=per_host)
    polite("--found", **found, default=FoundLimits.crawl, help="the same for all hosts (default: %(default)s)")
    keep = parser.add_argument_group("what is kept").add_argument
    keep("--limit", type=positive, metavar="N", help="stop when this run has kept N photos")
    keep("--min-side", type=positive, default=FilterSettings.side_min, metavar="PX", help="of the shorter side")
    keep("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    keep("--max-megabytes", type=megabytes, metavar="MB", help="largest download (default: 50)")
    keep("--any-picture", action="store_true", help="also what shows no interior")
    keep("--store", metavar="PLACE", help="storage of photos: a folder, s3://…, gs://… (default: CORPUS/photos)")
    add("--retry-failed", action="store_true", help="first reschedule all failed requests")
    add("--quiet", action="store_true", help="write only errors to stderr")
    forget = parser.add_argument_group("with --forget").add_argument
    datasets: dict[str, Any] = {"nargs": "+", "type": local_path, "default": []}
    labels_help = "label stores of these photos, besides those that `autolabel run` made of this corpus"
    forget("--labels", **datasets, metavar="DATASET", help=labels_help)
    exports_help = "datasets to search for the photos, besides the recorded exports of the label stores"
    forget("--exports", **datasets, metavar="DIR", help=exports_help)
    instead = parser.add_argument_group("instead of crawling").add_mutually_exclusive_group().add_argument
    instead("--status", action="store_true", help="show the state of the requests and why they ended")
    instead("--report", type=local_path, metavar="DIR", help="write an HTML report to a new folder")
    forget_help = "remove photos for good, by address, sha256 or path, also from label stores; never fetch them again"
    instead("--forget", nargs="+", metavar="ADDRESS", help=forget_help)
    instead("--manifest", action="store_true", help="write the manifest, as a run does at its end")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if (args.labels or args.exports) and not args.forget:
        raise SurfacesError("expected --forget beside --labels or --exports, got none")
    if args.forget:
        return _forget(args)
    if args.report:
        require_outside(args.report, [args.out])
    if args.status or args.manifest or args.report:
        with CrawlDatabase.open(args.out) as database:
            if args.status:
                print("\n".join(_status_lines(database)))
            elif args.report:
                print(write_crawl_report(database, args.report, f"Crawl of {args.out.resolve().name}"))
            else:
                print(write_manifest(database, args.out))
        return 0
    for output in filter(None, (args.out, blob_store_folder(args.out, args.store))):
        require_outside(output, args.folder)
    requests = first_requests(args, read_settings(args, args.ignore_opt_outs))
    first = next(requests, None)
    resumed = (args.out / DATABASE_NAME).is_file()
    if first is None and not resumed:
        raise NothingToDoError("expected a source such as --urls, --page or --openverse, got none (see --help)")
    make_folder(args.out)
    with _lock(args.out), CrawlDatabase.open(args.out, create=True) as database, Interrupts() as interrupts:
        started = time.monotonic()
        fetcher = _open_fetcher(args, database)
        database.add(takewhile(lambda _: not interrupts.received, chain([first] if first else [], requests)))
        if args.allow_private:
            database.retry_private()
        if args.retry_failed:
            database.retry_failed()
        counts = _crawl(args, database, fetcher, interrupts, resumed)
        manifest = write_manifest(database, args.out)
        pending, ends = database.waiting_counts().total(), database.counts()
    if interrupts.received:
        print(f"autolabel: interrupted, {_summarize(counts)}; the same command resumes the crawl", file=sys.stderr)
        return interrupts.exit_code
    if not args.quiet:
        print(f"{_summarize(counts)}; {pending} requests pending; {time.monotonic() - started:.0f} s", file=sys.stderr)
        for line in _notes(counts):
            print(line, file=sys.stderr)
    private = sum(count for (_, _, reason), count in ends.items() if reason == PRIVATE_ADDRESS)
    if private and not any(state is State.DONE for _, state, _ in ends):
        raise PrivateAddressesError(
            f"expected addresses on the public internet, got {private} in private networks and nothing that could be"
            " fetched; --allow-private permits them"
        )
    if private and not args.quiet:
        print(f"{private} requests are refused for private addresses; --allow-private permits them", file=sys.stderr)
    print(manifest)
    return SOME_WAIT if counts.suspended else 0


def _forget(args: argparse.Namespace) -> int:
    unknown = failed = False
    with CrawlDatabase.open(args.out) as database, _lock(args.out):
        for address in args.forget:
            removal = forget_photo(database, args.out, address, args.labels, args.exports, args.store)
            shown = without_credentials(address)
            if removal.is_known or removal.label_stores:
                print("\n".join(f"{shown}: {line}" for line in removal.lines()))
            else:
                unknown = True
                print(f"autolabel: {shown}: no photo of this corpus, it will never be fetched", file=sys.stderr)
            for line in removal.failures:
                failed = True
                print(f"autolabel: {line}; repeat the command", file=sys.stderr)
    return SOME_WAIT if failed else UNKNOWN_PHOTO if unknown else 0


def _crawl(
    args: argparse.Namespace, database: CrawlDatabase, fetcher: Fetcher, interrupts: Interrupts, resumed: bool
) -> CrawlCounts:
    found = FoundLimits(args.found_per_host, args.found)
    settings = CrawlSettings(rate=args.rate, workers=args.workers, limit=args.limit, found=found)
    reasons: Counter[str] = Counter()
    interval_s = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S
    with tqdm(unit="request", disable=args.quiet, mininterval=interval_s, file=sys.stderr) as bar:

        def show(ended: Ended, hosts: int) -> None:
            reasons[ended.reason] += 1
            bar.set_postfix({"hosts": hosts, **dict(reasons.most_common())}, refresh=False)
            bar.update()

        return Crawl(database, fetcher, settings, show, lambda: interrupts.received is not None, resumed).run()


def _open_fetcher(args: argparse.Namespace, database: CrawlDatabase) -> Fetcher:
    settings = FetchSettings(
        limits=FetchLimits(allow_private=args.allow_private, **given(bytes_max=args.max_megabytes)),
        parsing=read_settings(args, args.ignore_opt_outs),
        contact=args.contact,
        filter_threads=usable_cpus(),
    )
    limits = ImageLimits(**given(pixels_max=args.max_megapixels, bytes_max=args.max_megabytes))
    chosen = FilterSettings(side_min=args.min_side, any_picture=args.any_picture, limits=limits)
    image_filter = ImageFilter(chosen, database.kept_stats(), forgotten=database.forgotten_photos())
    return Fetcher(settings, image_filter, open_blob_store(args.out, args.store))


@contextmanager
def _lock(corpus: Path) -> Iterator[None]:
    """Two crawls of one corpus would make every request twice."""
    try:
        held = FileLock(corpus / _LOCK_NAME, timeout=0).acquire()
    except Timeout:
        raise OutputError(f"expected to be alone in {corpus}, another crawl is running there") from None
    except OSError as error:  # links are not followed
        raise OutputError(f"could not lock {corpus / _LOCK_NAME}: {error.strerror}") from error
    with held:
        yield


def _status_lines(database: CrawlDatabase) -> list[str]:
    """A table with a line per kind, state and reason, and the hosts with the most pending requests."""
    counts = database.counts()
    rows = sorted(counts.items(), key=lambda row: (row[0][0], row[0][1], -row[1]))
    lines = [f"{'kind':<10} {'state':<8} {'requests':>9}  reason"]
    lines += [f"{kind:<10} {state:<8} {count:>9}  {reason}".rstrip() for (kind, state, reason), count in rows]
    by_state = {state: sum(n for (_, each, _), n in counts.items() if each is state) for state in State}
    totals = ", ".join(f"{count} {state}" for state, count in by_state.items())
    lines.append(f"{'all':<10} {'':<8} {counts.total():>9}  {totals}")
    pending: Counter[str] = Counter()
    for host, count in database.waiting_counts().items():
        pending["files" if host in FILE_LANES else host] += count
    if pending:
        lines.append(f"pending    {pending.total()} requests to {len(pending)} hosts")
        lines += [f"  {host}: {count}" for host, count in pending.most_common(_STATUS_HOSTS)]
    return lines


def _summarize(counts: CrawlCounts) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.ended.most_common())
    superseded = f", {counts.superseded} superseded by better copies" if counts.superseded else ""
    return f"{counts.requests} requests, {counts.kept} photos kept{superseded}" + (f" ({reasons})" if reasons else "")


def _notes(counts: CrawlCounts) -> Iterator[str]:
    """Lines about suspended hosts and URLs beyond the limits."""
    for host, why in list(counts.suspended.items())[:_HOSTS_SHOWN]:
        yield f"suspended: {host}: {why}"
    if len(counts.suspended) > _HOSTS_SHOWN:
        yield f"suspended: {len(counts.suspended) - _HOSTS_SHOWN} more hosts"
    if counts.cut:
        yield f"left out: {counts.cut} answers name more than is taken from one"
    if counts.left_out:
        hosts = ", ".join(f"{count} of {host}" for host, count in counts.left_out.most_common(_HOSTS_SHOWN))
        more = len(counts.left_out) - _HOSTS_SHOWN
        others = f", {more} more hosts" if more > 0 else ""
        total = counts.left_out.total()
        yield f"left out: {total} addresses beyond the limits, {hosts}{others} (--found-per-host, --found)"


def _contact(text: str) -> str:
    if not text.isascii() or not text.isprintable() or set(text) & set("() "):
        raise argparse.ArgumentTypeError(f"expected a web or mail address, got {text!r}")
    return text


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected requests per second, above 0, got {text}")
    return rate
