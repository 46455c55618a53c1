"""`python -m autolabel export DATASET`: labels as COCO, YOLO or PNG, together with the photos."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path, PurePath

from tqdm import tqdm

from autolabel.export.coco import coco_export
from autolabel.export.png import png_export
from autolabel.export.selection import WHOLE, Format, Selection, kept_names, write_photo
from autolabel.export.yolo import yolo_export
from surfaces.cli.arguments import local_path, share
from surfaces.datasets.folders import new_folder, require_outside
from surfaces.datasets.reading import counted
from surfaces.datasets.split import split_in_two
from surfaces.errors import DatasetError
from surfaces.messages import printable
from surfaces.store.label_store import LabelStore, StoreCounts, StoredPhoto

FORMATS = ("coco", "yolo", "png")
PARTS = ("train", "val")

_EXAMPLES = 3


@dataclass(frozen=True)
class ExportSettings:
    """How photos are written.

    Attributes:
        split: into training and validation parts, by blocks of photos whose names follow each other.
        keep_names: call files as the photos are called, not by their sha256.
        link: hard links instead of copies, where the file system allows.
    """

    split: bool = False
    keep_names: bool = False
    link: bool = False


@dataclass
class Exported:
    """What was written.

    Attributes:
        photos: how many, by the part's name.
        linked: how many photos are hard links.
        renamed: the photos whose names could not be kept: the name of the source and that of the file.
    """

    photos: Counter[str] = field(default_factory=Counter)
    linked: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)


def export(
    store: LabelStore, out: Path, form: Format, selection: Selection, settings: ExportSettings | None = None
) -> Exported:
    """Writes the labels of a store and its photos to a folder, which appears whole or not at all.

    The same labels give the same bytes, whatever order they were made in.

    Args:
        store: the labels; one photo at a time is read.
        out: the folder; it must not exist yet.
        form: writes one format.
        selection: which labels.
        settings: how photos are written.

    Returns:
        What was written.

    Raises:
        DatasetError: no photo is selected, all belong to one block of a split, or one is gone or has changed since it
            was labelled.
        OutputError: the folder exists or cannot be written.
    """
    settings = settings or ExportSettings()
    photos: Iterable[StoredPhoto] = _at_least_one(selection.photos(store))
    if settings.split or settings.keep_names:
        photos = list(photos)
    names = kept_names(photos) if settings.keep_names else {}
    val = {photo.sha256 for photo in split_in_two(list(photos))[1]} if settings.split else set()
    exported = Exported()
    with new_folder(out) as folder, form(folder, PARTS if settings.split else WHOLE) as parts:
        for photo in tqdm(photos, unit="photo", disable=None):
            name = PARTS[photo.sha256 in val] if settings.split else WHOLE[0]
            file = write_photo(store, photo, parts[name].images, names.get(photo.sha256), settings.link)
            parts[name].add(photo, file.name, selection.labels(store, photo))
            exported.photos[name] += 1
            exported.linked += settings.link and file.stat().st_nlink > 1
            if settings.keep_names and file.stem != PurePath(photo.source).stem:
                exported.renamed.append((PurePath(photo.source).name, file.name))
    return exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into"
    )
    parser.add_argument("--format", choices=FORMATS, required=True, help="what labels are written as")
    parser.add_argument("--out", type=local_path, required=True, help="a new folder")
    parser.add_argument(
        "--min-score", type=share, default=0.0, help="segments of a teacher below it are unsure (default: %(default)s)"
    )
    parser.add_argument("--only", choices=("reviewed", "auto"), help="only photos that a person, or nobody, reviewed")
    parser.add_argument(
        "--no-unsure", action="store_true", help="coco: leave out the crowd regions that tell which pixels are unsure"
    )
    parser.add_argument(
        "--split",
        action="store_true",
        help="training and validation parts, divided between blocks of photos whose names follow each other",
    )
    parser.add_argument(
        "--keep-names",
        action="store_true",
        help="call files as the photos are called, not by their sha256; folders are joined with _",
    )
    parser.add_argument(
        "--link",
        action="store_true",
        help="hard links instead of copies: no space is taken, but whatever rewrites an exported photo rewrites yours",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, [args.dataset])
    settings = ExportSettings(args.split, args.keep_names, args.link)
    with LabelStore.open(args.dataset) as store:
        exported = export(store, args.out, _format(args, store), Selection(args.min_score, args.only), settings)
        counts = store.counts()
    print(args.out)
    print("\n".join(_summary(exported, settings, args.format, counts)), file=sys.stderr)
    return 0


def _summary(exported: Exported, settings: ExportSettings, form: str, counts: StoreCounts) -> list[str]:
    count = exported.photos.total()
    parts = ", ".join(f"{exported.photos[part]} {part}" for part in PARTS)
    lines = []
    if counts.failures:
        skipped = sum(counts.failures.values())
        lines.append(f"{counted(skipped, 'photo')} of the corpus not labelled; `python -m autolabel status` tells why")
    if counts.gone:
        lines.append(f"{counted(counts.gone, 'labelled photo')} no longer in the corpus, left out")
    if exported.renamed:
        examples = ", ".join(f"{printable(old)} -> {new}" for old, new in exported.renamed[:_EXAMPLES])
        more = f" and {len(exported.renamed) - _EXAMPLES} more" if len(exported.renamed) > _EXAMPLES else ""
        lines.append(f"{counted(len(exported.renamed), 'name')} changed to be safe and unique: {examples}{more}")
    if settings.link:
        lines.append(f"{counted(exported.linked, 'photo')} linked, {count - exported.linked} copied")
    return [*lines, f"{counted(count, 'photo')} as {form}" + (f": {parts}" if settings.split else "")]


def _format(args: argparse.Namespace, store: LabelStore) -> Format:
    if args.format != "coco":
        return {"yolo": yolo_export, "png": png_export}[args.format]
    settings = store.settings_in_use()
    told = {} if settings is None else {"teacher": settings.teacher, "settings": settings.fingerprint}
    return partial(coco_export, with_ignored=not args.no_unsure, info=told)


def _at_least_one(photos: Iterator[StoredPhoto]) -> Iterator[StoredPhoto]:
    first = next(photos, None)
    if first is None:
        raise DatasetError("expected labelled photos to export, got none")
    return chain([first], photos)
