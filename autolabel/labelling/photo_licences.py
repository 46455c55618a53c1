"""The licences of a corpus' photos: the `sources` of its `dataset.toml`, else those of its list or manifest."""

from __future__ import annotations

from autolabel.labelling.corpus import Corpus
from autolabel.labelling.photo_columns import MANIFEST, folder_and_table, read_columns
from surfaces.creative_commons import name_at
from surfaces.datasets.description import sources_of
from surfaces.licences import Licence

_COLUMNS = {"licence", "licence_url"}


def photo_licences(corpus: Corpus) -> dict[str, tuple[Licence, ...]]:
    """The licences of each photo, by path; none where nothing is known.

    Raises:
        DatasetError: the `dataset.toml` in the corpus' folder, or the list, is not as expected.
    """
    folder, table = folder_and_table(corpus)
    if sources := sources_of(folder):
        return dict.fromkeys((photo.path for photo in corpus.photos), sources)
    source = "crawled photos" if table.name == MANIFEST else "listed photos"
    found: dict[str, tuple[Licence, ...]] = {photo.path: () for photo in corpus.photos}
    for path, row in read_columns(folder, table, _COLUMNS):
        terms = row.get("licence", "").strip() or name_at(row.get("licence_url", ""))
        if path in found and terms:
            found[path] += (Licence.of(source, terms),)
    return found
