"""`python -m autolabel run CORPUS --out DATASET`: labels photos, and goes on where the last run stopped."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from functools import partial

from autolabel.labelling.class_config import default_class_config, read_class_config
from autolabel.labelling.corpus import read_corpus
from autolabel.labelling.interrupts import Interrupts
from autolabel.labelling.labeller import Labeller, LabellingSettings, label_prediction
from autolabel.labelling.pipeline import Tally, label_corpus
from autolabel.labelling.prefetch import usable_cpus
from autolabel.labelling.progress import Progress
from autolabel.labelling.teachers import TeacherOptions, open_teacher
from surfaces.cli.arguments import given, local_path, megabytes, megapixels, positive
from surfaces.images.load import ImageLimits
from surfaces.store.label_store import LabelSettings, LabelStore

SOME_FAILED = 10

_MOST_WORKERS = 8

_EPILOG = """\
Photos stay where they are; labels go to labels.sqlite in the dataset's folder. The same command may be given again at
any time: what is labelled stays, what failed is tried again, what a person reviewed is never touched. Several
processes, and several machines that share a disk, may label into one dataset at once, each its --shard.

exit codes:
  0    all photos are labelled
  10   some were skipped; `python -m autolabel status` tells why
  12   the dataset was labelled with other settings; --relabel replaces its labels
  14   the teacher failed on one photo after another
  130  interrupted; what was labelled stays
  others: see the one line on stderr
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "corpus",
        type=local_path,
        metavar="CORPUS",
        help="folder of photos, or a list of paths: text, .csv, .jsonl, .parquet",
    )
    add("--out", type=local_path, required=True, metavar="DATASET", help="folder of the dataset")
    add(
        "--teacher",
        default="grounded-sam",
        metavar="TEACHER",
        help="grounded-sam, student, onnx, or a TOML file (see docs/autolabel.md; default: %(default)s)",
    )
    add(
        "--weights",
        type=local_path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="the teacher's weights, files or folders",
    )
    add("--allow-python", action="store_true", help="run the Python code that the teacher's TOML file names")
    add("--class-map", metavar="FILE", help="of the teacher onnx: which of its classes are ours; or mosaic")
    add(
        "--ontology",
        type=local_path,
        metavar="FILE",
        help="TOML file of prompts and thresholds (default: the shipped one)",
    )
    add("--without", nargs="+", default=[], metavar="RULE", help="rules to leave out")
    add("--limit", type=positive, metavar="N", help="only the first N photos (of the shard)")
    add("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the corpus that share no photo")
    add("--workers", type=positive, metavar="N", help="threads besides the teacher's (default: half the CPUs)")
    add(
        "--device",
        default="auto",
        help="of grounded-sam: auto (a GPU where there is one), cpu, cuda, … (default: %(default)s)",
    )
    add("--threads", type=positive, metavar="N", help="the teacher's CPU threads (default: one a CPU)")
    add("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    add("--max-megabytes", type=megabytes, metavar="MB", help="largest file of a photo (default: 256)")
    add("--relabel", action="store_true", help="go on although the dataset was labelled with other settings")
    add("--quiet", action="store_true", help="write nothing to stderr but errors")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    corpus = read_corpus(args.corpus)
    if not args.quiet:
        for note in corpus.notes:
            print(note, file=sys.stderr)
    part = corpus
    if args.shard:
        part = part.shard(*args.shard)
    if args.limit:
        part = part.first(args.limit)
    labeller = _open_labeller(args)
    limits = ImageLimits(**given(pixels_max=args.max_megapixels, bytes_max=args.max_megabytes))
    started = time.monotonic()
    with LabelStore.create(args.out) as store:
        store.use_settings(labeller.settings, args.relabel)
        with Progress(len(part.photos), args.quiet) as progress, Interrupts() as interrupts:
            workers = args.workers or min(_MOST_WORKERS, max(1, usable_cpus() // 2))
            tally = label_corpus(
                part, store, labeller, workers, progress, lambda: interrupts.received is not None, limits
            )
        if interrupts.received:
            print(f"autolabel: interrupted, {_told(tally)}; the same command goes on from here", file=sys.stderr)
            return interrupts.exit_code
        # Who looks at a part of the corpus can't tell what is no longer in it.
        gone = store.forget_absent(corpus.root, corpus.paths) if part is corpus else 0
    if not args.quiet:
        lost = f", {gone} gone from the corpus" if gone else ""
        print(f"{_told(tally)}{lost}; {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(args.out)
    return SOME_FAILED if tally.failed else 0


def _open_labeller(args: argparse.Namespace) -> Labeller:
    class_config = read_class_config(args.class_config) if args.class_config else default_class_config()
    labelling = LabellingSettings(class_config, frozenset(args.without))
    options = TeacherOptions(
        weights=tuple(args.weights),
        class_map=args.class_map,
        device=None if args.device == "auto" else args.device,
        threads=args.threads or usable_cpus(),
        allow_python=args.allow_python,
    )
    teacher = open_teacher(args.teacher, labelling, options)
    fingerprint = hashlib.sha256(f"{teacher.fingerprint} {labelling.fingerprint}".encode()).hexdigest()
    details = {
        "teacher": teacher.fingerprint,
        "ontology": args.class_config.name if args.class_config else "shipped",
        "without": sorted(labelling.without),
    }
    settings = LabelSettings(fingerprint, teacher.name, details)
    return Labeller(teacher.predict, partial(label_prediction, settings=labelling), settings)


def _told(tally: Tally) -> str:
    told = f"{tally.labelled} labelled, {tally.known} labelled before, {tally.failed.total()} skipped"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.failed.items()))
    return f"{told} ({kinds})" if kinds else told


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected a shard such as 2/5, got {text!r}")
    return int(match[1]), int(match[2])
