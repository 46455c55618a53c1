"""`python -m autolabel crawl --out CORPUS`: fetches photos politely, with their provenance; goes on where it was."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, takewhile
from pathlib import Path

from filelock import FileLock, Timeout

from autolabel.crawling.arrivals import Arrivals
from autolabel.crawling.blob_store import blob_store_folder, open_blob_store
from autolabel.crawling.crawl_progress import CrawlProgress
from autolabel.crawling.crawl_status import status_lines
from autolabel.crawling.database import DATABASE_NAME, CrawlDatabase
from autolabel.crawling.fetching.engine import Crawl
from autolabel.crawling.fetching.fetcher import Fetcher, FetchSettings
from autolabel.crawling.found_leads import FoundLimits
from autolabel.crawling.judging import Judge, JudgeSettings
from autolabel.crawling.manifest import write_manifest
from autolabel.crawling.records import PRIVATE_ADDRESS, State
from autolabel.crawling.report import write_crawl_report
from autolabel.crawling.settings import CrawlCounts, CrawlSettings
from autolabel.crawling.sources import add_source_arguments, first_leads, read_settings
from autolabel.interrupts import Interrupts
from autolabel.machine import usable_cpus
from surfaces.arguments import given, local_path, megabytes, megapixels, positive
from surfaces.dataset.writing import require_outside
from surfaces.errors import OutputError, SurfacesError
from surfaces.fetch import FetchLimits
from surfaces.files import make_folder
from surfaces.images import ImageLimits

SOME_WAIT = 10

_LOCK_NAME = ".crawl.lock"
_TOLD_HOSTS = 5

_EPILOG = """\
What is to be asked, what was, and what became of it stands in CORPUS/crawl.sqlite, which needs a local disk. The same
command may be given again at any time, after SIGKILL too: what ended is not asked again. Without sources it goes on
with what is left. Photos lie under their sha256; CORPUS/manifest.parquet lists those that were kept, and
`python -m autolabel run CORPUS/manifest.parquet` labels them.

A host is asked one request at a time, and left alone for 1 / RATE seconds after each answer, longer where its
robots.txt (Crawl-delay) or its answers (Retry-After) ask for that. A host that fails several times in a row, or whose
robots.txt cannot be had, is put aside: what waits for it is tried again by the next run.

exit codes:
  0    nothing is left to be asked, or the limit is reached
  10   leads wait for hosts that were put aside; the same command tries them again
  22   no source is named, and there is nothing to go on with
  24   nothing could be fetched, since addresses are in private networks; --allow-private has them tried again
  130  interrupted; what was recorded stays
  others: see the one line on stderr
"""


class NothingToDoError(SurfacesError):
    """No source is named, and there is no crawl to go on with."""

    exit_code = 22


class PrivateAddressesError(SurfacesError):
    """Nothing was fetched, since all that could have been is in loopback or private networks."""

    exit_code = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--out", type=local_path, required=True, metavar="CORPUS", help="folder of the corpus")
    add_source_arguments(parser)
    politeness = parser.add_argument_group("politeness").add_argument
    politeness(
        "--contact",
        type=_contact,
        default="",
        metavar="ADDRESS",
        help="your web or mail address, told to every host in the User-Agent, as Wikimedia asks for",
    )
    politeness("--rate", type=_rate, default=1.0, help="most requests a second for one host (default: %(default)s)")
    politeness("--workers", type=positive, default=16, help="most requests at once (default: %(default)s)")
    politeness(
        "--ignore-opt-outs",
        action="store_true",
        help="take also what says noai, noimageai or noindex (X-Robots-Tag, <meta>); robots.txt holds all the same",
    )
    politeness(
        "--allow-private",
        action="store_true",
        help="loopback and private networks may be asked too, what was refused before included",
    )
    politeness(
        "--found-per-host",
        type=positive,
        default=FoundLimits.host,
        metavar="N",
        help="most addresses that are kept of those that a host's sitemaps, pages and answers name, in all runs"
        " (default: %(default)s)",
    )
    politeness(
        "--found",
        type=positive,
        default=FoundLimits.crawl,
        metavar="N",
        help="the same of all hosts together (default: %(default)s)",
    )
    kept = parser.add_argument_group("what is kept").add_argument
    kept("--limit", type=positive, metavar="N", help="stop when this run has kept N photos")
    kept("--min-side", type=positive, default=JudgeSettings.side_min, metavar="PX", help="of the shorter side")
    kept("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    kept("--max-megabytes", type=megabytes, metavar="MB", help="largest download (default: 50)")
    kept("--any-picture", action="store_true", help="also what shows no interior")
    kept("--clip", type=local_path, metavar="DIR", help="folder of a CLIP that tells interiors, instead of the student")
    kept("--store", metavar="PLACE", help="where photos go: a folder, s3://…, gs://… (default: CORPUS/photos)")
    add("--retry-failed", action="store_true", help="first have all that failed tried again")
    add("--quiet", action="store_true", help="write nothing to stderr but errors")
    instead = parser.add_argument_group("instead of crawling").add_mutually_exclusive_group().add_argument
    instead("--status", action="store_true", help="tell how far it got, and why leads ended")
    instead(
        "--report", type=local_path, metavar="DIR", help="write a page of what was kept and dropped into a new folder"
    )
    instead("--manifest", action="store_true", help="write the manifest, which a run writes at its end")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if args.report:
        require_outside(args.report, [args.out])
    if args.status or args.manifest or args.report:
        with CrawlDatabase.open(args.out) as ledger:
            print(_shown(args, ledger))
        return 0
    for output in filter(None, (args.out, blob_store_folder(args.out, args.store))):
        require_outside(output, args.folder)
    leads = first_leads(args, read_settings(args, args.ignore_opt_outs))
    first = next(leads, None)
    resumed = (args.out / DATABASE_NAME).is_file()
    if first is None and not resumed:
        raise NothingToDoError("expected a source such as --urls, --page or --openverse, got none (see --help)")
    make_folder(args.out)
    with _alone_in(args.out), CrawlDatabase.open(args.out, create=True) as ledger, Interrupts() as interrupts:
        started = time.monotonic()
        asker = _open_asker(args, ledger)
        ledger.add(takewhile(lambda _: not interrupts.received, chain([first] if first else [], leads)))
        if args.allow_private:
            ledger.retry_private()
        if args.retry_failed:
            ledger.retry_failed()
        found = FoundLimits(args.found_per_host, args.found)
        settings = CrawlSettings(rate=args.rate, workers=args.workers, limit=args.limit, found=found)
        with CrawlProgress(args.quiet) as progress:
            crawl = Crawl(ledger, asker, settings, progress, lambda: interrupts.received is not None, resumed)
            tally = crawl.run()
        manifest = write_manifest(ledger, args.out)
        waiting, private, came = ledger.waiting_counts().total(), *_private_and_others(ledger)
    if interrupts.received:
        print(f"autolabel: interrupted, {_told(tally)}; the same command goes on from here", file=sys.stderr)
        return interrupts.exit_code
    if not args.quiet:
        print(f"{_told(tally)}; {waiting} leads wait; {time.monotonic() - started:.0f} s", file=sys.stderr)
        for host, why in list(tally.aside.items())[:_TOLD_HOSTS]:
            print(f"put aside: {host}: {why}", file=sys.stderr)
        if len(tally.aside) > _TOLD_HOSTS:
            print(f"put aside: {len(tally.aside) - _TOLD_HOSTS} more hosts", file=sys.stderr)
        if tally.cut:
            print(f"left out: {tally.cut} answers name more than is taken from one", file=sys.stderr)
        if tally.left_out:
            print(f"left out: {_left_out(tally)} (--found-per-host, --found)", file=sys.stderr)
    if private and not came:
        raise PrivateAddressesError(
            f"expected addresses on the public internet, got {private} in private networks and nothing that could be"
            " fetched; --allow-private permits them"
        )
    if private and not args.quiet:
        print(f"{private} leads are refused for private addresses; --allow-private permits them", file=sys.stderr)
    print(manifest)
    return SOME_WAIT if tally.aside else 0


def _private_and_others(ledger: CrawlDatabase) -> tuple[int, int]:
    """How many leads are refused for private addresses, and how many others were fetched, whatever became of them."""
    counts = ledger.counts()
    private = sum(count for (_, _, reason), count in counts.items() if reason == PRIVATE_ADDRESS)
    return private, sum(count for (_, state, _), count in counts.items() if state is State.DONE)


def _shown(args: argparse.Namespace, ledger: CrawlDatabase) -> str:
    if args.status:
        return "\n".join(status_lines(ledger))
    if args.report:
        return str(write_crawl_report(ledger, args.report, f"Crawl of {args.out.resolve().name}"))
    return str(write_manifest(ledger, args.out))


def _open_asker(args: argparse.Namespace, ledger: CrawlDatabase) -> Fetcher:
    settings = FetchSettings(
        limits=FetchLimits(allow_private=args.allow_private, **given(bytes_max=args.max_megabytes)),
        reading=read_settings(args, args.ignore_opt_outs),
        contact=args.contact,
        judging=usable_cpus(),
    )
    limits = ImageLimits(**given(pixels_max=args.max_megapixels, bytes_max=args.max_megabytes))
    chosen = JudgeSettings(side_min=args.min_side, any_picture=args.any_picture, clip=args.clip, limits=limits)
    judge = Judge(chosen, ledger.kept_facts())
    return Fetcher(settings, judge, open_blob_store(args.out, args.store), Arrivals(args.out, ledger.is_waiting))


@contextmanager
def _alone_in(corpus: Path) -> Iterator[None]:
    """Two crawls of one corpus would ask everything twice."""
    try:
        held = FileLock(corpus / _LOCK_NAME, timeout=0).acquire()
    except Timeout:
        raise OutputError(f"expected to be alone in {corpus}, another crawl works there") from None
    except OSError as error:  # a link is not followed
        raise OutputError(f"could not lock {corpus / _LOCK_NAME}: {error.strerror}") from error
    with held:
        yield


def _told(tally: CrawlCounts) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in tally.ended.most_common())
    superseded = f", {tally.superseded} superseded by better copies" if tally.superseded else ""
    return f"{tally.asked} asked, {tally.kept} photos kept{superseded}" + (f" ({reasons})" if reasons else "")


def _left_out(tally: CrawlCounts) -> str:
    hosts = ", ".join(f"{count} of {host}" for host, count in tally.left_out.most_common(_TOLD_HOSTS))
    more = len(tally.left_out) - _TOLD_HOSTS
    return f"{tally.left_out.total()} addresses beyond the limits, {hosts}" + (f", {more} more hosts" * (more > 0))


def _contact(text: str) -> str:
    if not text.isascii() or not text.isprintable() or set(text) & set("() "):
        raise argparse.ArgumentTypeError(f"expected a web or mail address, got {text!r}")
    return text


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected requests a second, above 0, got {text}")
    return rate
