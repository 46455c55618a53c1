"""Recognises folders that are opened as label stores."""

from __future__ import annotations

from pathlib import Path

from surfaces.datasets.coco_writer import COCO_NAME
from surfaces.datasets.packed import INDEX_NAME
from surfaces.datasets.parquet import is_parquet_dataset
from surfaces.io.photo_lists import STORE_NAME


def is_label_store(folder: Path) -> bool:
    """Whether a folder holds a label store, and no packed, Parquet or COCO dataset, which come first."""
    others = any((folder / name).is_file() for name in (INDEX_NAME, COCO_NAME))
    return (folder / STORE_NAME).is_file() and not others and not is_parquet_dataset(folder)
