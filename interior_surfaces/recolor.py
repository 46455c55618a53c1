"""`interior-surfaces recolor`: paints surfaces of photos in other colours."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from interior_surfaces.result import Result
from interior_surfaces.segmenter import Segmenter
from surfaces.classes import BY_NAME
from surfaces.cli.arguments import add_version, local_path
from surfaces.cli.commands import escaped_terminal, exit_code_of
from surfaces.cli.progress import track, write_line
from surfaces.detections import Image
from surfaces.drawing.recolour import parse_colour, recolour
from surfaces.errors import DecodeError, FetchError, SurfacesError
from surfaces.images.encode import write_picture
from surfaces.images.load import load_image
from surfaces.io.http import FetchLimits
from surfaces.segmenting.batch import expand_sources, is_batch, shown
from surfaces.segmenting.naming import RESULT_ENDING, names_by_source, refuse_photos

SOME_FAILED = 10
_GAP = 8  # pixels between the photo and its new version

_EPILOG = """\
examples:
  interior-surfaces recolor room.jpg --surface wall --color '#8fa3ad'
  interior-surfaces recolor photos/ --surface wall --color linen --surface floor --color '#6b4f3a' --compare

exit codes: as of segment.py; 10 also where a photo has no such surface.
"""


@escaped_terminal()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with these arguments, or the process's own; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if len(options.surface) != len(options.color):
        parser.error(f"expected a --color for each --surface, got {len(options.color)} for {len(options.surface)}")
    return exit_code_of("recolor", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    sources = expand_sources(options.photos, getattr(sys.stdin, "buffer", None), options.output)
    for line in (*sources.problems, *sources.notes):
        write_line(line)
    by_source = names_by_source(list(zip(sources.photos, sources.folders, strict=True)))
    names = {source: f"{name.removesuffix(RESULT_ENDING)}.recolored" for source, name in by_source.items()}
    refuse_photos(options.output, names, ".recolored")
    paints = list(zip(options.surface, options.color, strict=True))
    segmenter = Segmenter(options.weights, accurate=options.accurate)
    batch, failures = is_batch(options.photos), len(sources.problems)
    for source in track(sources.photos, quiet=options.quiet or not batch):
        path = options.output / f"{names[source]}.jpg"
        try:
            photo = load_image(source, fetch_limits=FetchLimits(allow_private=options.allow_private))
            painted = paint(segmenter.predict(photo), paints)
            write_picture(path, _beside(photo, painted) if options.compare else painted)
        except (FetchError, DecodeError, NoSurfaceError) as error:
            failures += 1
            if not batch:
                raise type(error)(f"{shown(source)}: {error}") from error
            write_line(f"{shown(source)}: {error}")
        else:
            write_line(str(path), sys.stdout)
    return SOME_FAILED if failures else 0


class NoSurfaceError(SurfacesError):
    """A photo has no surface of the class to recolour."""

    exit_code = SOME_FAILED


def paint(result: Result, paints: Sequence[tuple[str, tuple[int, int, int]]]) -> Image:
    """The photo, uint8 HxWx3 RGB, with each surface (its class) in its colour (sRGB). Raises NoSurfaceError."""
    painted = result.image
    for surface, colour in paints:
        mask = result.mask(surface)
        if not mask.any():
            raise NoSurfaceError(f"expected a {surface} to recolour, found none")
        painted = recolour(painted, mask, colour)
    return painted


def _beside(photo: Image, painted: Image) -> Image:
    """The photo and its new version side by side."""
    return np.hstack([photo, np.full((len(photo), _GAP, 3), 255, np.uint8), painted])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interior-surfaces recolor",
        description="Paints surfaces in other colours; shading, texture and edges stay.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("photos", nargs="+", metavar="PHOTO", help="path or address; a folder, a pattern, or - for a list on stdin")
    add("--surface", action="append", required=True, choices=list(BY_NAME), help="what to paint; repeat for several")
    add("--color", action="append", required=True, type=_colour, metavar="COLOR", help="'#8fa3ad', or a name of CSS")
    add("--compare", action="store_true", help="the photo and its new version side by side")
    add(
        "--output",
        type=local_path,
        default=Path("output"),
        metavar="FOLDER",
        help="where pictures go, a/room.jpg as a/room.recolored.jpg; what is there is replaced (default: ./output)",
    )
    add("--weights", type=local_path, metavar="FILE", help="network to use (default: the one that ships)")
    add("--accurate", action="store_true", help="as of segment.py: average with the mirror image")
    add("--allow-private", action="store_true", help="also addresses of this machine and of private networks")
    add("--quiet", action="store_true", help="show no progress bar")
    add_version(parser)
    return parser


def _colour(text: str) -> tuple[int, int, int]:
    try:
        return parse_colour(text)
    except SurfacesError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
