"""Records label stores in the corpora whose photos they label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.forgotten import note_label_store
from autolabel.labelling.corpus import Corpus
from surfaces.errors import SurfacesError
from surfaces.io.photo_lists import CRAWL_NAME, corpora_around
from surfaces.io.storage import is_remote
from surfaces.store.label_store import LabelStore


def register_label_store(photos: Corpus, folder: Path, store: LabelStore) -> Iterator[str]:
    """Records a label store in the crawled corpora that photos belong to, so that `--forget` finds it.

    Photos that these corpora have forgotten are removed from the store. Yields a line per corpus that can't be used.

    Args:
        photos: those that are labelled.
        folder: of the label store.
        store: it.
    """
    for corpus in _crawled(photos):
        try:
            with CrawlDatabase.open(Path(corpus)) as database:
                note_label_store(database, str(folder.absolute()))
                forgotten = [photo.sha256 for photo in database.forgotten_photos()]
        except SurfacesError as error:
            yield f"labels of {corpus} are not recorded there, so name them when you forget a photo: {error}"
        else:
            if forgotten:
                store.forget(forgotten)


def _crawled(photos: Corpus) -> list[str]:
    """The corpora around the list or folder, and those of photos in `CORPUS/photos/ab/abcd….jpg`."""
    base = photos.root if os.path.isdir(photos.root) else os.path.dirname(photos.root)  # noqa: PTH112, PTH120
    places = {os.path.dirname(photo.path) for photo in photos.photos if not is_remote(photo.path)}  # noqa: PTH120
    folders = {os.path.dirname(os.path.dirname(place)) for place in places}  # noqa: PTH120
    return sorted({*corpora_around(base), *(each for each in folders if (Path(each) / CRAWL_NAME).is_file())})
