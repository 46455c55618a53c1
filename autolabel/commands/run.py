"""`python -m autolabel run CORPUS --out DATASET`: labels photos; runs resume where they stopped."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from autolabel.crawling.label_stores import register_label_store
from autolabel.engines.base import Engine, LabellingJob, TeacherIdentity
from autolabel.engines.local import LocalEngine
from autolabel.labelling.class_config import default_class_config, read_class_config
from autolabel.labelling.corpus import read_corpus
from autolabel.labelling.image_labels import image_level_labels
from autolabel.labelling.interrupts import Interrupts
from autolabel.labelling.known_teachers import better_teacher_note, default_teacher
from autolabel.labelling.labeller import LabellingSettings
from autolabel.labelling.photo_licences import photo_licences
from autolabel.labelling.pipeline import PipelineLimits, Tally
from autolabel.labelling.teachers import TeacherOptions
from surfaces.cli.arguments import (
    given,
    local_path,
    megabytes,
    megapixels,
    number,
    positive,
    positive_resources,
    resources,
)
from surfaces.cli.progress import progress_bar
from surfaces.cli.settings_files import SettingsError
from surfaces.cluster.ray_pool import ClusterSettings
from surfaces.errors import FetchError
from surfaces.images.load import ImageLimits
from surfaces.io.photo_lists import STORE_NAME
from surfaces.io.storage import is_remote, require_allowed
from surfaces.store.label_store import LabelSettings, LabelStore
from surfaces.threads import usable_cpus

SOME_FAILED = 10

_MOST_WORKERS = 8
_LARGEST_BATCH = 1024

_EPILOG = """\
Photos stay where they are; labels go to labels.sqlite in the dataset's folder. The same command can be repeated at any
time: it keeps existing labels, retries failed photos, and never changes a person's reviews. Several processes, or
several machines with a shared disk, can label into one dataset at once, each its own --shard. With --engine ray, a Ray
cluster labels; photos, weights and --shards must have the same paths or addresses on all of its machines.

exit codes:
  0    all photos are labelled
  10   some were skipped; `python -m autolabel status` gives the reasons
  12   the dataset was labelled with other settings; --relabel replaces its labels
  14   the teacher failed on one photo after another
  30   no Ray cluster, or its machines cannot label
  130  interrupted; finished labels are stored
  others: see the one line on stderr
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    corpus_help = "folder of photos, or a list of paths: text, .csv, .jsonl, .parquet"
    add("corpus", type=local_path, metavar="CORPUS", help=corpus_help)
    add("--out", type=local_path, required=True, metavar="DATASET", help="folder of the dataset")
    teacher_help = (
        "grounded-sam, grounded-sam2, sam3, student, onnx, hf:NAME[@REVISION] of the Hugging Face hub, hf:./FOLDER, or "
        "a TOML file (default: grounded-sam where its packages and weights are there, else student; "
        "`python -m autolabel teachers` tells)"
    )
    add("--teacher", metavar="TEACHER", help=teacher_help)
    weights_help = "the teacher's weights, files or folders"
    add("--weights", type=local_path, nargs="+", default=[], metavar="PATH", help=weights_help)
    add("--allow-python", action="store_true", help="run the Python code that the teacher's TOML file names")
    add("--class-map", metavar="FILE", help="maps the classes of onnx (a file, or mosaic) or hf (a file) to ours")
    classes_help = "TOML file of classes, prompts and thresholds (default: the shipped one)"
    add("--classes", dest="class_config", type=local_path, metavar="FILE", help=classes_help)
    add("--ontology", dest="class_config", type=local_path, help=argparse.SUPPRESS)  # its name in version 0.1
    add("--without", nargs="+", default=[], metavar="RULE", help="rules to leave out")
    add("--limit", type=positive, metavar="N", help="only the first N photos (of the shard)")
    add("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the corpus that share no photo")
    add("--workers", type=positive, metavar="N", help="threads besides the teacher's (default: half the CPUs)")
    device_help = "of all but student and onnx: auto (a GPU where there is one), cpu, cuda, … (default: %(default)s)"
    add("--device", default="auto", help=device_help)
    add("--threads", type=positive, metavar="N", help="the teacher's CPU threads (default: one per CPU)")
    add("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    add("--max-megabytes", type=megabytes, metavar="MB", help="largest file of a photo (default: 256)")
    batch_help = "photos per call of a teacher that predicts for several at once (default: %(default)s)"
    add("--batch-size", type=_batch_size, default=1, metavar="N", help=batch_help)
    _add_cluster_arguments(parser.add_argument_group("one machine or many"))
    add("--relabel", action="store_true", help="replace labels that were made with other settings")
    add("--quiet", action="store_true", help="write nothing to stderr but errors")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    corpus = read_corpus(args.corpus)
    if not args.quiet:
        for note in corpus.notes:
            print(note, file=sys.stderr)
    corpus = replace(corpus, scopes=image_level_labels(corpus))
    part = corpus.shard(*args.shard) if args.shard else corpus
    if args.limit:
        part = replace(part, photos=part.photos[: args.limit])
    licences = photo_licences(part)
    class_config = read_class_config(args.class_config) if args.class_config else default_class_config()
    before = _teacher_before(args.out)
    name = args.teacher or default_teacher(args.weights, before)
    if not (args.teacher or args.quiet or before) and (note := better_teacher_note(name)):
        print(note, file=sys.stderr)
    job = _job(args, name, LabellingSettings(class_config, frozenset(args.without)))
    started = time.monotonic()
    with _engine(args, job, len(part.photos)) as engine, LabelStore.create(args.out) as store:
        settings = _label_settings(args, engine.teacher, job.labelling)
        store.use_settings(settings, args.relabel)
        for note in register_label_store(corpus, args.out, store):
            print(note, file=sys.stderr)
        # Before the photos: after a kill no label is without the licences of its photo and teacher.
        store.set_licences({settings.fingerprint: engine.teacher.licences, **licences})
        with progress_bar(len(part.photos), quiet=args.quiet) as bar, Interrupts() as interrupts:
            tally = engine.label(part, store, bar, lambda: interrupts.received is not None)
        if interrupts.received:
            print(f"autolabel: interrupted, {_summary(tally)}; the same command resumes the run", file=sys.stderr)
            return interrupts.exit_code
        # A part of the corpus does not show which photos are no longer in it.
        gone = store.forget_absent(corpus.root, corpus.paths) if part is corpus else 0
    if not args.quiet:
        lost = f", {gone} gone from the corpus" if gone else ""
        print(f"{_summary(tally)}{lost}; {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(args.out)
    return SOME_FAILED if tally.failed else 0


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--engine", choices=("local", "ray"), default="local", help="what labels (default: %(default)s, this process)")
    address_help = "ray: HOST:PORT of a cluster, or auto (default: a cluster of this machine, for this run)"
    add("--address", metavar="ADDRESS", help=address_help)
    add("--actors", type=positive, metavar="N", help="ray: teachers at once (default: as many as the machines can run)")
    cpus_help = "ray: of a teacher (default: %(default)s)"
    add("--cpus-per-actor", type=positive_resources, default=1.0, metavar="CPUS", help=cpus_help)
    gpus_help = "ray: of a teacher, such as 0.5 (default: %(default)s)"
    add("--gpus-per-actor", type=resources, default=0.0, metavar="GPUS", help=gpus_help)
    size_help = "ray: photos per Parquet file, the most that a lost teacher costs (default: %(default)s)"
    add("--shard-size", type=positive, default=64, metavar="N", help=size_help)
    shards_help = "ray: folder or address of the Parquet files (default: DATASET/shards)"
    add("--shards", type=_place, metavar="PLACE", help=shards_help)


def _job(args: argparse.Namespace, teacher: str, labelling: LabellingSettings) -> LabellingJob:
    cpus = max(1, int(args.cpus_per_actor)) if args.engine == "ray" else usable_cpus()
    device = None if args.device == "auto" else args.device
    threads = args.threads or cpus
    options = TeacherOptions(tuple(args.weights), args.class_map, device, threads, args.allow_python, args.quiet)
    images = ImageLimits(**given(pixels_max=args.max_megapixels, bytes_max=args.max_megabytes))
    workers = args.workers or min(_MOST_WORKERS, max(1, cpus // 2))
    return LabellingJob(teacher, options, labelling, PipelineLimits(images, workers, args.batch_size))


def _engine(args: argparse.Namespace, job: LabellingJob, count: int) -> Engine:
    if args.engine == "local":
        for option in ("address", "actors", "shards"):
            if getattr(args, option) is not None:
                raise SettingsError(f"expected --engine ray with --{option}, got none")
        return LocalEngine(job)
    from autolabel.engines.ray_engine import RayEngine, RaySettings

    cluster = ClusterSettings(args.address, args.actors, args.cpus_per_actor, args.gpus_per_actor)
    return RayEngine(job, RaySettings(cluster, args.shard_size, args.shards), args.out, count, args.quiet)


def _teacher_before(dataset: Path) -> str:
    """The teacher of a dataset's runs so far; empty where there were none."""
    if not (dataset / STORE_NAME).exists():
        return ""
    with LabelStore.open(dataset) as store:
        settings = store.settings_in_use()
    return settings.teacher if settings else ""


def _label_settings(args: argparse.Namespace, teacher: TeacherIdentity, labelling: LabellingSettings) -> LabelSettings:
    """The settings of a store; their fingerprint decides whether a run resumes."""
    fingerprint = hashlib.sha256(f"{teacher.fingerprint} {labelling.fingerprint}".encode()).hexdigest()
    details = {
        "teacher": teacher.fingerprint,
        "ontology": args.class_config.name if args.class_config else "shipped",  # its name in version 0.1
        "without": sorted(labelling.without),
    }
    return LabelSettings(fingerprint, teacher.name, details)


def _summary(tally: Tally) -> str:
    forgotten = f", {tally.forgotten} forgotten" if tally.forgotten else ""
    summary = f"{tally.labelled} labelled, {tally.known} labelled before{forgotten}, {tally.failed.total()} skipped"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.failed.items()))
    return f"{summary} ({kinds})" if kinds else summary


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"expected a shard such as 2/5, got {text!r}")
    return int(match[1]), int(match[2])


def _batch_size(text: str) -> int:
    return int(number(text, 1, _LARGEST_BATCH)) if text.isdecimal() else positive(text)


def _place(text: str) -> str:
    if not is_remote(text):
        return str(local_path(text).absolute())
    try:
        require_allowed(text)
    except FetchError as error:
        raise argparse.ArgumentTypeError(f"not a place for shards: {error}") from error
    return text
