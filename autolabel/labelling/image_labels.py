"""What is known of a corpus' photos as a whole: by the rules of its `dataset.toml`, and by the searches of a crawl."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autolabel.labelling.corpus import Corpus
from autolabel.labelling.search_words import scope_of_query
from surfaces.datasets.description import read_description
from surfaces.datasets.sample import ALL_LABELLED, LabelScope
from surfaces.errors import DatasetError, MissingExtraError
from surfaces.io.local_files import LIST_BYTES_MAX, read_bytes
from surfaces.io.photo_lists import list_text
from surfaces.io.storage import is_remote

MANIFEST = "manifest.parquet"
"""The list of a crawled corpus, which is read where the corpus is given as a folder."""

Row = Mapping[str, str]


def image_level_labels(corpus: Corpus) -> dict[str, LabelScope]:
    """What is known of photos as a whole, by their paths; photos of which nothing is known are left out.

    Rules are those of a `dataset.toml` in the corpus' folder (`surfaces.datasets.description`); `where` means columns
    of the list or manifest. Of classes on which the rules say nothing, the column `query` may.

    Raises:
        DatasetError: the file or the list is not as expected.
    """
    root = Path(corpus.root)
    folder, table = (root, root / MANIFEST) if root.is_dir() else (root.parent, root)
    description = read_description(folder, has_rows=True)
    columns = {"query"} | {column for rule in description.rules for column in rule.where} if description else {"query"}
    rows = {_path_of(folder, path): row for path, row in _rows(table, columns)}
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


def _path_of(folder: Path, path: str) -> str:
    return path if is_remote(path) else os.path.normpath(os.path.join(folder, path))  # noqa: PTH118


def _rows(table: Path, columns: set[str]) -> Iterator[tuple[str, Row]]:
    """The columns of a list's photos, by path; nothing where it has none."""
    suffix = table.suffix.lower()
    if not table.is_file() or suffix not in (".parquet", ".csv", ".jsonl"):
        return
    try:
        for row in _parquet_rows(table, columns) if suffix == ".parquet" else _text_rows(table):
            if isinstance(path := row.get("path"), str):
                yield path, {name: value for name, value in row.items() if name in columns and isinstance(value, str)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"expected a list of photos in {table}, got: {error}".splitlines()[0]) from error


def _text_rows(table: Path) -> Iterator[dict[str, Any]]:
    text = io.StringIO(list_text(read_bytes(table, LIST_BYTES_MAX)), newline="")
    if table.suffix.lower() == ".csv":
        yield from csv.DictReader(text)
        return
    for line in text:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # reported where the corpus is read
        if isinstance(row, dict):
            yield row


def _parquet_rows(table: Path, columns: set[str]) -> list[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("Parquet lists need pyarrow, which is not installed; pip install pyarrow") from error
    there = [name for name in parquet.read_schema(table).names if name in columns | {"path"}]
    rows: list[dict[str, Any]] = parquet.read_table(table, columns=there).to_pylist()
    return rows
