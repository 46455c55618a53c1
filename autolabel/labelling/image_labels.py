"""What is known of a corpus' photos as a whole: by the rules of its `dataset.toml`, and by the searches of a crawl."""

from __future__ import annotations

from autolabel.labelling.corpus import Corpus
from autolabel.labelling.photo_columns import folder_and_table, read_columns
from autolabel.labelling.search_words import scope_of_query
from surfaces.datasets.description import read_description
from surfaces.datasets.sample import ALL_LABELLED, LabelScope


def image_level_labels(corpus: Corpus) -> dict[str, LabelScope]:
    """What is known of photos as a whole, by their paths; photos of which nothing is known are left out.

    Rules are those of a `dataset.toml` in the corpus' folder (`surfaces.datasets.description`); `where` means columns
    of the list or manifest. Of classes on which the rules say nothing, the column `query` may.

    Raises:
        DatasetError: the file or the list is not as expected.
    """
    folder, table = folder_and_table(corpus)
    description = read_description(folder, has_rows=True)
    columns = {"query"} | {column for rule in description.rules for column in rule.where} if description else {"query"}
    rows = dict(read_columns(folder, table, columns))
    of_photos = [rows.get(photo.path, {}) for photo in corpus.photos]
    said = [ALL_LABELLED] * len(of_photos)
    if description:
        photos = ((photo.name, row) for photo, row in zip(corpus.photos, of_photos, strict=True))
        said = description.scopes(photos, is_part=True)
    scopes = {
        photo.path: _add_query(scope, scope_of_query(row.get("query", "")))
        for photo, row, scope in zip(corpus.photos, of_photos, said, strict=True)
    }
    return {path: scope for path, scope in scopes.items() if scope != ALL_LABELLED}


def _add_query(said: LabelScope, searched: LabelScope) -> LabelScope:
    """Rules decide, searches fill in; which classes the masks of a dataset label does not matter here."""
    decided = said.absent | said.present
    return LabelScope(
        absent=said.absent | (searched.absent - decided), present=said.present | (searched.present - decided)
    )
