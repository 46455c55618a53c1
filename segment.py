"""The command `python segment.py`: segments photos and writes pictures with the segments drawn in."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and __spec__ and not sys.flags.safe_path and sys.path[0] != __file__.rsplit(os.sep, 1)[0]:
    del sys.path[0]  # `python -m segment`, see autolabel/__main__.py

import argparse
import io
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from surfaces.classes import BY_NAME, CLASSES, SurfaceClass, parse_classes
from surfaces.cli.arguments import (
    add_version,
    given,
    local_path,
    megabytes,
    megapixels,
    number,
    positive,
    positive_resources,
    share,
)
from surfaces.cli.commands import escaped_terminal, exit_code_of
from surfaces.errors import DecodeError, FetchError, SurfacesError
from surfaces.threads import call_in_thread

if TYPE_CHECKING:
    from surfaces.segmenting.batch import Sources
    from surfaces.segmenting.pipeline import Settings
    from surfaces.segmenting.records import Record

RESULTS = ("overlay", "json", "masks", "cutout", "coco", "report")

SOME_FAILED = 10
TERMINATED = 143

_EPILOG = """\
examples:
  python segment.py --url https://example.com/room.jpg
  python segment.py --url examples/pexels-3965508.jpg --output pictures --json --masks
  python segment.py photos/ --classes wall,floor --min-score 0.7
  python segment.py 'rooms/**/*.jpg' --save overlay,cutout --summary rooms.csv
  cat addresses.txt | python segment.py --url - --surname Doe --name Jane

Pictures are named after their photo, with --url {surname}_{name}__{time}.jpg. Surname and name come from the options,
else from the environment (INTERIOR_SURFACES_SURNAME, INTERIOR_SURFACES_NAME), else from ./interior-surfaces.toml, else
from [tool.interior-surfaces] in the pyproject.toml beside this command.

exit codes:
  0    every picture was written
  2    the command was called wrongly
  3    a settings file can't be read
  4    the photo could not be downloaded or read
  5    it is not a photo that can be used
  6    the picture could not be written; a batch stops there
  7    the network's weights are missing or not the expected ones
  10   some photos of a batch failed; the others were written
  13   the device can't be used
  30   no Ray cluster, or its machines cannot segment
  130  interrupted
"""


@escaped_terminal()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with these arguments, or the process's own; returns the exit code."""
    options = _parse(arguments)
    return exit_code_of("segment.py", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that --help and wrong arguments are answered quickly. Supervision, which draws, takes longest.
    call_in_thread(partial(import_module, "surfaces.drawing.overlay"))
    from models import Segmenter
    from surfaces.images.load import ImageLimits
    from surfaces.io.atomic_files import make_folder
    from surfaces.io.http import FetchLimits
    from surfaces.segmenting import batch, naming, pipeline
    from surfaces.segmenting.records import Records

    stdin = getattr(sys.stdin, "buffer", None)  # bytes, since the list may have another encoding than the locale
    sources = _manifest(options) or batch.expand_sources(options.photos, stdin, options.output)
    for line in (*sources.problems, *(() if options.quiet else sources.notes)):
        print(line, file=sys.stderr)
    settings_files = [Path(naming.SETTINGS_FILE), Path(__file__).with_name("pyproject.toml")]
    settings = pipeline.Settings(
        folder=options.output,
        signature=naming.resolve_signature(options.surname, options.name, os.environ, settings_files),
        classes=options.classes,
        min_score=options.min_score,
        alpha=options.alpha,
        overlay="overlay" in options.save,
        json=options.json or "json" in options.save,
        masks=options.masks or "masks" in options.save,
        cutouts="cutout" in options.save,
        annotations="coco" in options.save,
        thumbnails="report" in options.save,
        names=naming.names_by_source(list(zip(sources.photos, sources.folders, strict=True)))
        if options.name_from == "source"
        else {},
        fetch_limits=FetchLimits.within(options.timeout, options.allow_private, options.max_megabytes),
        image_limits=ImageLimits(**given(pixels_max=options.max_megapixels, bytes_max=options.max_megabytes)),
    )
    naming.refuse_photos(settings.folder, settings.names)
    make_folder(settings.folder)
    if options.engine == "ray":
        return _run_on_ray(options, sources, settings)
    records = Records(list(_open_records(options)))
    open_segmenter = partial(Segmenter, options.weights, device=options.device, **_network_options(options))
    for problem in sources.problems:
        records.add_problem(problem)
    with records.written():
        if batch.is_batch(options.photos):
            failures = batch.run_batch(sources.photos, open_segmenter(), settings, options.quiet, records)
            return SOME_FAILED if failures or sources.problems else 0
        (source,) = sources.photos
        try:
            outcome = pipeline.segment_photo(source, open_segmenter, settings)
        except (FetchError, DecodeError) as error:
            records.add_failure(source, error)
            raise type(error)(f"{batch.shown(source)}: {error}") from error
        batch.report(source, outcome, options.quiet)
        records.add(source, outcome)
        return 0


def _network_options(options: argparse.Namespace) -> dict[str, Any]:
    """Options of `Segmenter` on which the results depend."""
    return {"accurate": options.accurate, "table_score": options.table_score}


def _manifest(options: argparse.Namespace) -> Sources | None:
    """The photos of a manifest; None where none is given, or this process segments."""
    if options.engine == "local" or len(options.photos) != 1 or not options.photos[0].endswith(".parquet"):
        return None
    from surfaces.segmenting.batch import Sources
    from surfaces.segmenting.on_ray import read_manifest

    photos = tuple(read_manifest(local_path(options.photos[0])))
    return Sources(photos, (None,) * len(photos))


def _run_on_ray(options: argparse.Namespace, sources: Sources, settings: Settings) -> int:
    from models import Segmenter
    from surfaces.cluster.ray_pool import ClusterSettings
    from surfaces.segmenting.on_ray import RESULTS, segment_on_ray

    weights = options.weights and options.weights.absolute()
    on_gpu = options.device == "cuda"
    network = _network_options(options)
    open_segmenter = partial(Segmenter, weights, 1, device=options.device, **network)
    cluster = ClusterSettings(options.address, options.actors, gpus=options.gpus_per_actor if on_gpu else 0.0)
    failures = segment_on_ray(
        sources.photos, open_segmenter, settings, cluster, options.shard_size, network, options.quiet
    )
    print(options.output / RESULTS)
    return SOME_FAILED if failures or sources.problems else 0


def _open_records(options: argparse.Namespace) -> Iterator[Record]:
    """What the options want about all photos together; the folders for it are there."""
    from surfaces.drawing.web_page import PAGE_NAME
    from surfaces.io.atomic_files import make_folder, refuse_overwrite
    from surfaces.segmenting.records import COCO_RESULTS, REPORT_NAME, CocoRecord, ReportPage
    from surfaces.segmenting.summary import Summary

    if options.summary:
        others = (options.output / COCO_RESULTS, options.output / REPORT_NAME / PAGE_NAME)
        refuse_overwrite([options.summary], others)
        make_folder(options.summary.parent)
        yield Summary(options.summary)
    if "coco" in options.save:
        yield CocoRecord(options.output)
    if "report" in options.save:
        yield ReportPage(options.output)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; `photos` has those of both forms, `name_from` its default."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.photos) == bool(options.url):
        parser.error("expected photos, as arguments or after --url")
    if options.engine == "ray" and (options.summary or set(options.save) - {"overlay", "json", "masks"}):
        parser.error("expected neither --summary nor --save with --engine ray, which writes JSON and masks as Parquet")
    ignored = [name for name in ("address", "actors") if getattr(options, name) is not None]
    if options.engine == "local" and ignored:
        parser.error(f"expected --engine ray with --{ignored[0]}")
    options.name_from = options.name_from or ("source" if options.photos else "time")
    options.photos = options.photos or options.url
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment.py",
        description="Finds walls, floors and dining tables in a photo and writes a picture that shows them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "photos",
        nargs="*",
        metavar="PHOTO",
        help="path or address of a photo; several, a folder (searched with its subfolders), a pattern such as "
        "'rooms/**/*.jpg', or - for a list on stdin make a batch",
    )
    add(
        "--url",
        nargs="+",
        action="extend",
        metavar="URL",
        help="the same as PHOTO, but pictures are named by signature and time",
    )
    add(
        "--output",
        type=local_path,
        default=Path("output"),
        metavar="FOLDER",
        help="where pictures go (default: ./output)",
    )
    add(
        "--name-from",
        choices=("source", "time"),
        help="name results by their photo (a/room.jpg becomes a/room.surfaces.jpg; what is there is replaced), or by "
        "signature and time (default: source; time with --url)",
    )
    add("--surname", help="first part of the pictures' names")
    add("--name", help="second part of the pictures' names")
    add(
        "--classes",
        type=_classes,
        default=CLASSES,
        metavar="LIST",
        help=f"what to show, separated by commas (default: {','.join(BY_NAME)})",
    )
    add(
        "--min-score",
        type=share,
        default=0.0,
        metavar="SCORE",
        help="leave out segments below this score, 0 to 1 (default: the network's own thresholds)",
    )
    add(
        "--table-score",
        type=share,
        metavar="SCORE",
        help="least score of dining tables: lower finds more, and more false ones (default: the network's own, 0.75)",
    )
    add("--alpha", type=share, default=0.4, metavar="ALPHA", help="opacity of the masks, 0 to 1 (default: 0.4)")
    add(
        "--save",
        type=_results,
        default=("overlay",),
        metavar="LIST",
        help=f"what to write, separated by commas, out of {', '.join(RESULTS)}; coco and report are one "
        "surfaces.coco.json and one report/index.html of all photos (default: overlay)",
    )
    add("--json", action="store_true", help="also write COCO-style results, as --save overlay,json")
    add("--masks", action="store_true", help="also write a PNG mask a segment, as --save overlay,masks")
    add("--summary", type=_summary_path, metavar="FILE", help="write a table of all photos, .csv, .json or .parquet")
    add("--weights", type=local_path, metavar="FILE", help="network to use (default: the one that ships)")
    add(
        "--accurate", action="store_true", help="average with the mirror image: slightly better masks in twice the time"
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where the network runs (cuda: needs onnxruntime-gpu)")
    add("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="longest download of a photo (default: 60)")
    add("--max-megapixels", type=megapixels, metavar="MP", help="largest photo, up to 178 (default: 50)")
    add(
        "--max-megabytes",
        type=megabytes,
        metavar="MB",
        help="largest download, and largest file (default: 50, and 256 for files)",
    )
    add("--allow-private", action="store_true", help="also addresses of this machine and of private networks")
    add("--quiet", action="store_true", help="write nothing to stderr but errors")
    _add_cluster_arguments(parser.add_argument_group("one machine or many"))
    add_version(parser)
    return parser


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    engine_help = (
        "ray: PHOTO may be a manifest (.parquet with a column path); JSON with masks goes to FOLDER/surfaces/*.parquet,"
        " and nothing else is written (default: %(default)s, this process)"
    )
    add("--engine", choices=("local", "ray"), default="local", help=engine_help)
    address_help = "ray: HOST:PORT of a cluster, or auto (default: a cluster of this machine, for this run)"
    add("--address", metavar="ADDRESS", help=address_help)
    add("--actors", type=positive, metavar="N", help="ray: networks at once (default: as many as the machines can run)")
    gpus_help = "ray with --device cuda: of a network (default: %(default)s)"
    add("--gpus-per-actor", type=positive_resources, default=1.0, metavar="GPUS", help=gpus_help)
    add("--shard-size", type=positive, default=64, metavar="N", help="ray: photos per file (default: %(default)s)")


def _classes(text: str) -> tuple[SurfaceClass, ...]:
    try:
        return parse_classes(text)
    except SurfacesError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _results(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(","))
    unknown = [name for name in names if name not in RESULTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(RESULTS)}; got {', '.join(map(repr, unknown))}")
    return names


def _summary_path(text: str) -> Path:
    path = local_path(text)
    if path.suffix.lower() not in (".csv", ".json", ".parquet"):
        raise argparse.ArgumentTypeError(f"expected a .csv, .json or .parquet file, got {text!r}")
    return path


def _seconds(text: str) -> float:
    return number(text, 0.001, 86_400.0)


def _terminate(*_: object) -> NoReturn:
    """Ends the process by an exception, so that temporary files are removed."""
    sys.exit(TERMINATED)


def prepare_process() -> None:
    """Lets SIGTERM clean up, and any path be printed."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


if __name__ == "__main__":
    prepare_process()
    sys.exit(main())
