"""Records label stores in the corpora whose photos they label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.forgotten import note_label_store
from surfaces.errors import SurfacesError
from surfaces.io.photo_lists import corpora_around
from surfaces.store.label_store import LabelStore


def register_label_store(root: str, folder: Path, store: LabelStore) -> Iterator[str]:
    """Records a label store in the corpora that a folder or list of photos belongs to, so that `--forget` finds it.

    Photos that these corpora have forgotten are removed from the store. Yields a line per corpus that can't be used.

    Args:
        root: the folder or list, absolute.
        folder: of the label store.
        store: it.
    """
    base = root if Path(root).is_dir() else str(Path(root).parent)
    for corpus in corpora_around(base):
        try:
            with CrawlDatabase.open(Path(corpus)) as database:
                note_label_store(database, str(folder.absolute()))
                forgotten = [photo.sha256 for photo in database.forgotten_photos()]
        except SurfacesError as error:
            yield f"labels of {corpus} are not recorded there, so name them when you forget a photo: {error}"
        else:
            if forgotten:
                store.forget(forgotten)
