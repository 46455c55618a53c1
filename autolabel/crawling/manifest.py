"""The manifest of a crawled corpus: one row per kept photo, with its provenance."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow.parquet import ParquetWriter

from autolabel.crawling.database import CrawlDatabase
from autolabel.crawling.records import PhotoEntry
from surfaces.io.atomic_files import replacing

MANIFEST_NAME = "manifest.parquet"

_PROVENANCE = ("source", "page", "title", "author", "licence", "licence_url", "query")

SCHEMA = pyarrow.schema(
    [
        ("path", pyarrow.string()),  # relative to the corpus, absolute, or an fsspec URL
        ("sha256", pyarrow.string()),
        ("near_hash", pyarrow.string()),
        ("bytes", pyarrow.int64()),
        ("width", pyarrow.int32()),
        ("height", pyarrow.int32()),
        ("url", pyarrow.string()),
        ("final_url", pyarrow.string()),  # after redirects
        ("time", pyarrow.timestamp("ms", tz="UTC")),
        *((name, pyarrow.string()) for name in _PROVENANCE),
        ("headers", pyarrow.string()),  # JSON
    ]
)

_BATCH = 1000


def write_manifest(database: CrawlDatabase, corpus: Path) -> Path:
    """Writes the manifest of the kept photos atomically; memory is bounded. Returns its path.

    Raises:
        OutputError: it can't be written; an older one is unchanged.
    """
    path = corpus / MANIFEST_NAME
    rows = map(_row, database.photos("kept"))
    with replacing(path) as file, ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pyarrow.Table.from_pylist(batch, SCHEMA))
    return path


def _row(entry: PhotoEntry) -> dict[str, Any]:
    photo, stats = entry.photo, entry.photo.stats
    return {name: getattr(entry.request, name) for name in ("url", *_PROVENANCE)} | {
        "path": photo.path,
        "sha256": stats.sha256,
        "near_hash": stats.near_hash,
        "bytes": stats.size,
        "width": stats.width,
        "height": stats.height,
        "final_url": entry.final_url,
        "time": round(photo.time * 1000),
        "headers": json.dumps(dict(photo.headers)),
    }
