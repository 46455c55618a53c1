"""`python -m autolabel export DATASET`: labels as COCO, YOLO or PNG, together with the photos."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path, PurePath

from autolabel.export.formats import WHOLE, Format, coco_export, png_export, yolo_export
from autolabel.export.selection import ExportSettings, unique_stems, write_photo
from surfaces.cli.arguments import local_path, share
from surfaces.cli.progress import track
from surfaces.datasets.description import add_sources
from surfaces.datasets.split import split_in_two
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import new_folder, require_outside
from surfaces.licences import Licence
from surfaces.messages import counted, printable
from surfaces.store.copies import record_copy
from surfaces.store.forgetting import CopyKind
from surfaces.store.label_store import LabelStore, StoreCounts, StoredPhoto

PARTS = ("train", "val")

_FORMATS = {"coco": coco_export, "yolo": yolo_export, "png": png_export}
_EXAMPLES = 3


@dataclass
class Exported:
    """Counts of an export.

    Attributes:
        photos: by the part's name.
        linked: those that are hard links.
        renamed: those whose names could not be kept: the name of the source and that of the file.
    """

    photos: Counter[str] = field(default_factory=Counter)
    linked: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)


def export(store: LabelStore, out: Path, form: Format, settings: ExportSettings) -> Exported:
    """Writes the labels of a store and its photos to a new folder, which appears whole or not at all.

    The same labels give the same bytes, in whatever order they were made. One photo at a time is read. The licences of
    the exported photos and their teachers are the `sources` of its `dataset.toml`.

    Raises:
        DatasetError: no photo is selected, all belong to one block of a split, or one is gone or has changed since it
            was labelled.
        OutputError: the folder exists or cannot be written.
    """
    photos: Iterable[StoredPhoto] = _require_photos(settings.photos(store))
    if settings.split or settings.keep_names:
        photos = list(photos)
    names = unique_stems(photos) if settings.keep_names else {}
    val = {photo.sha256 for photo in split_in_two(list(photos))[1]} if settings.split else set()
    exported = Exported()
    licences: defaultdict[Path, set[Licence]] = defaultdict(set)
    with new_folder(out) as folder:
        with form(folder, PARTS if settings.split else WHOLE) as parts:
            for photo in track(photos):
                name = PARTS[photo.sha256 in val] if settings.split else WHOLE[0]
                part = parts[name]
                file = write_photo(store, photo, part.images, names.get(photo.sha256), settings.link)
                part.add(photo, file.name, settings.labels(store, photo))
                licences[part.folder].update(store.licences(photo.sha256))
                exported.photos[name] += 1
                exported.linked += settings.link and file.stat().st_nlink > 1
                if settings.keep_names and file.stem != PurePath(photo.source).stem:
                    exported.renamed.append((PurePath(photo.source).name, file.name))
        for dataset, sources in licences.items():
            add_sources(dataset, sources)
    return exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add = parser.add_argument
    add("dataset", type=local_path, metavar="DATASET", help="the folder that `autolabel run` labels into")
    add("--format", choices=_FORMATS, required=True, help="format of the labels")
    add("--out", type=local_path, required=True, help="a new folder")
    score_help = "ignore pixels of a teacher's segments with lower scores (default: %(default)s)"
    add("--min-score", type=share, default=0.0, help=score_help)
    add("--only", choices=("reviewed", "auto"), help="only photos that a person, or nobody, reviewed")
    add("--no-ignored", action="store_true", help="coco: leave out the crowd regions of ignored pixels")
    add("--no-unsure", dest="no_ignored", action="store_true", help=argparse.SUPPRESS)  # its name in version 0.1
    split_help = "training and validation parts, divided between blocks of photos with consecutive names"
    add("--split", action="store_true", help=split_help)
    names_help = "name files after the photos, not after their sha256; folders are joined with _"
    add("--keep-names", action="store_true", help=names_help)
    link_help = "hard links instead of copies: saves space, but a change to an exported photo changes yours"
    add("--link", action="store_true", help=link_help)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    require_outside(args.out, [args.dataset])
    settings = ExportSettings(args.min_score, args.only, args.split, args.keep_names, args.link)
    with LabelStore.open(args.dataset) as store:
        exported = export(store, args.out, _format(args, store), settings)
        record_copy(store, args.out, CopyKind.EXPORT)
        counts = store.counts()
    print(args.out)
    print("\n".join(_summary(exported, settings, args.format, counts)), file=sys.stderr)
    return 0


def _summary(exported: Exported, settings: ExportSettings, form: str, counts: StoreCounts) -> list[str]:
    count = exported.photos.total()
    lines = []
    if skipped := sum(counts.failures.values()):
        lines.append(f"{counted(skipped, 'photo')} of the corpus not labelled; see `python -m autolabel status`")
    if counts.gone:
        lines.append(f"{counted(counts.gone, 'labelled photo')} no longer in the corpus, left out")
    if exported.renamed:
        examples = ", ".join(f"{printable(old)} -> {new}" for old, new in exported.renamed[:_EXAMPLES])
        more = f" and {len(exported.renamed) - _EXAMPLES} more" if len(exported.renamed) > _EXAMPLES else ""
        lines.append(f"{counted(len(exported.renamed), 'name')} changed to be safe and unique: {examples}{more}")
    if settings.link:
        lines.append(f"{counted(exported.linked, 'photo')} linked, {count - exported.linked} copied")
    parts = f": {', '.join(f'{exported.photos[part]} {part}' for part in PARTS)}" if settings.split else ""
    return [*lines, f"{counted(count, 'photo')} as {form}{parts}"]


def _format(args: argparse.Namespace, store: LabelStore) -> Format:
    if args.format != "coco":
        return _FORMATS[args.format]
    settings = store.settings_in_use()
    info = {} if settings is None else {"teacher": settings.teacher, "settings": settings.fingerprint}
    return partial(coco_export, with_ignored=not args.no_ignored, info=info)


def _require_photos(photos: Iterator[StoredPhoto]) -> Iterator[StoredPhoto]:
    first = next(photos, None)
    if first is None:
        raise DatasetError("expected labelled photos to export, got none")
    return chain([first], photos)
