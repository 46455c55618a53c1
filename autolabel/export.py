"""`python -m autolabel export DATASET`: labels as COCO, YOLO or PNG, together with the photos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from autolabel.export_coco import coco_export
from autolabel.export_png import png_export
from autolabel.export_yolo import yolo_export
from autolabel.exported import IMAGES, Format, Selection, write_photo
from surfaces.arguments import share
from surfaces.dataset.store import LabelStore, StoredPhoto
from surfaces.dataset.writing import new_folder, require_outside
from surfaces.errors import DatasetError

FORMATS = ("coco", "yolo", "png")


def export(store: LabelStore, out: Path, form: Format, selection: Selection, link: bool = False) -> int:
    """Writes the labels of a store and its photos to a folder, which appears whole or not at all.

    The same labels give the same bytes, whatever order they were made in.

    Args:
        store: the labels; one photo at a time is read.
        out: the folder; it must not exist yet.
        form: writes one format.
        selection: which labels.
        link: hard links instead of copies of the photos, where the file system allows.

    Returns:
        How many photos were written.

    Raises:
        DatasetError: no photo is selected, or one is gone or has changed since it was labelled.
        OutputError: the folder exists or cannot be written.
    """
    photos = _at_least_one(selection.photos(store))
    count = 0
    with new_folder(out) as folder, form(folder) as add:
        (folder / IMAGES).mkdir()
        for photo in tqdm(photos, unit="photo", disable=None):
            file_name = write_photo(store, photo, folder / IMAGES, link)
            add(photo, file_name, selection.labels(store, photo))
            count += 1
    return count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="the folder that `autolabel run` labels into")
    parser.add_argument("--format", choices=FORMATS, required=True, help="what labels are written as")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument(
        "--min-score", type=share, default=0.0, help="segments of a teacher below it are unsure (default: %(default)s)"
    )
    parser.add_argument("--only", choices=("reviewed", "auto"), help="only photos that a person, or nobody, reviewed")
    parser.add_argument(
        "--no-unsure", action="store_true", help="coco: leave out the crowd regions that tell which pixels are unsure"
    )
    parser.add_argument(
        "--link",
        action="store_true",
        help="hard links instead of copies: no space is taken, but whatever rewrites an exported photo rewrites yours",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, [args.dataset])
    with LabelStore.open(args.dataset) as store:
        count = export(store, args.out, _format(args, store), Selection(args.min_score, args.only), args.link)
    print(args.out)
    print(f"{count} photos as {args.format}", file=sys.stderr)
    return 0


def _format(args: argparse.Namespace, store: LabelStore) -> Format:
    if args.format != "coco":
        return {"yolo": yolo_export, "png": png_export}[args.format]
    settings = store.settings_in_use()
    told = {} if settings is None else {"teacher": settings.teacher, "settings": settings.fingerprint}
    return partial(coco_export, with_unsure=not args.no_unsure, info=told)


def _at_least_one(photos: Iterator[StoredPhoto]) -> Iterator[StoredPhoto]:
    first = next(photos, None)
    if first is None:
        raise DatasetError("expected labelled photos to export, got none")
    return chain([first], photos)
