"""Columns of a corpus' list or manifest, by the photos' paths."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autolabel.labelling.corpus import Corpus
from surfaces.errors import DatasetError, MissingExtraError
from surfaces.io.local_files import LIST_BYTES_MAX, read_bytes
from surfaces.io.photo_lists import list_text
from surfaces.io.storage import is_remote

MANIFEST = "manifest.parquet"
"""The list of a crawled corpus, which is read where the corpus is given as a folder."""

Row = Mapping[str, str]


def folder_and_table(corpus: Corpus) -> tuple[Path, Path]:
    """The folder that a corpus' paths are relative to, and its list, which may be absent."""
    root = Path(corpus.root)
    return (root, root / MANIFEST) if root.is_dir() else (root.parent, root)


def read_columns(folder: Path, table: Path, columns: set[str]) -> Iterator[tuple[str, Row]]:
    """The texts in the columns of a list's photos, by path; nothing where it has none.

    Raises:
        DatasetError: the list is not as expected.
        MissingExtraError: pyarrow is not installed.
    """
    for path, row in _rows(table, columns):
        yield path if is_remote(path) else os.path.normpath(os.path.join(folder, path)), row  # noqa: PTH118


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
