"""The manifest of a crawled corpus: one row a kept photo, with all that is known of where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow.parquet import ParquetWriter

from autolabel.crawling.database import CrawlDatabase, PhotoEntry
from surfaces.files import replacing

MANIFEST_NAME = "manifest.parquet"

SCHEMA = pyarrow.schema(
    [
        ("path", pyarrow.string()),  # relative to the corpus, absolute, or an address of fsspec
        ("sha256", pyarrow.string()),
        ("near_hash", pyarrow.string()),
        ("bytes", pyarrow.int64()),
        ("width", pyarrow.int32()),
        ("height", pyarrow.int32()),
        ("url", pyarrow.string()),
        ("final_url", pyarrow.string()),  # after redirects
        ("time", pyarrow.timestamp("ms", tz="UTC")),
        ("source", pyarrow.string()),
        ("page", pyarrow.string()),
        ("title", pyarrow.string()),
        ("author", pyarrow.string()),
        ("licence", pyarrow.string()),
        ("licence_url", pyarrow.string()),
        ("headers", pyarrow.string()),  # JSON
    ]
)
"""The manifest's columns."""

_ROWS_AT_ONCE = 1000


def write_manifest(ledger: CrawlDatabase, corpus: Path) -> Path:
    """Writes the manifest, over an older one; it appears whole, and some thousand rows at a time are in memory.

    `python -m autolabel run CORPUS/manifest.parquet` reads it.

    Args:
        ledger: whose kept photos it lists, in the order in which they were found.
        corpus: the folder that it is written to.

    Returns:
        Its path.

    Raises:
        OutputError: it can't be written; an older one is as it was.
    """
    path = corpus / MANIFEST_NAME
    with replacing(path) as file, ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        rows = (_row(entry) for entry in ledger.photos("kept"))
        for batch in _batches(rows):
            writer.write_table(pyarrow.Table.from_pylist(batch, SCHEMA))
    return path


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch


def _row(entry: PhotoEntry) -> dict[str, Any]:
    lead, photo = entry.lead, entry.photo
    return {
        "path": photo.path,
        "sha256": photo.facts.sha256,
        "near_hash": photo.facts.near_hash,
        "bytes": photo.facts.size,
        "width": photo.facts.width,
        "height": photo.facts.height,
        "url": lead.url,
        "final_url": entry.final_url,
        "time": round(photo.time * 1000),
        "source": lead.source,
        "page": lead.page,
        "title": lead.title,
        "author": lead.author,
        "licence": lead.licence,
        "licence_url": lead.licence_url,
        "headers": json.dumps(dict(photo.headers)),
    }
