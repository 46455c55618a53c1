"""`python -m labelstudio undo DATASET [PHOTO …]`: restores the automatic labels that pulled reviews replaced.

Masks, scores and origin become those before the first review. The next pull ignores these reviews until they change in
Label Studio; `pull --redo` pulls them again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

from labelstudio.sync.review_log import ReviewLog
from labelstudio.sync.reviews import describe_change
from surfaces.cli.arguments import local_path
from surfaces.cli.progress import write_line
from surfaces.errors import DatasetError
from surfaces.store.label_store import LabelStore, StoredPhoto


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("dataset", type=local_path, metavar="DATASET", help="folder that `pull` pulled into")
    parser.add_argument(
        "photos", nargs="*", metavar="PHOTO", help="path, name or sha256; every photo with a pulled review if not given"
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    with LabelStore.open(args.dataset) as store:
        photos = {photo.sha256: photo for photo in store.photos()}
        replaced = store.replaced()
        wanted = _find_photos(args.photos, photos, store) if args.photos else sorted(replaced)
        kept = sum(photo.origin == "reviewed" and photo.sha256 not in replaced for photo in photos.values())
        if kept and not args.photos:
            words = f"{kept} reviewed photos without automatic labels; older versions did not keep them"
            write_line(f"left as they are: {words}")
        with ReviewLog.of(args.dataset, create=False) as log:
            for sha256 in wanted:
                before = store.labels(sha256)
                log.note_undone(sha256)
                store.restore(sha256)
                name = photos[sha256].source if sha256 in photos else sha256
                print(f"{name}: {describe_change(before, store.labels(sha256))}")
    print(f"restored   {len(wanted)} photos")
    return 0


def _find_photos(names: Sequence[str], photos: Mapping[str, StoredPhoto], store: LabelStore) -> list[str]:
    known = {key: photo.sha256 for photo in photos.values() for key in (photo.name, photo.sha256)}
    known |= {path: sha256 for sha256 in photos for path in store.sources(sha256)}
    replaced = store.replaced()
    found = {name: known.get(name) or known.get(os.path.abspath(name)) for name in names}  # noqa: PTH100  (as `autolabel`)
    for name, sha256 in found.items():
        if sha256 is None:
            raise DatasetError(f"expected the path, name or sha256 of a photo of {store.path}, got {name!r}")
        if sha256 not in replaced:
            raise DatasetError(f"expected a photo whose automatic labels are kept beside a review, got {name!r}")
    return list(dict.fromkeys(filter(None, found.values())))
