"""Datasets of labelled photos: our own forms, and those of other tools (COCO, YOLO, Pascal VOC, LabelMe, …)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from surfaces.datasets.coco import coco_files, open_coco, open_coco_splits
from surfaces.datasets.coco_writer import COCO_NAME
from surfaces.datasets.description import describe
from surfaces.datasets.label_stores import is_label_store
from surfaces.datasets.mask_folder import open_mask_folder
from surfaces.datasets.packed import INDEX_NAME, open_packed, write_packed
from surfaces.datasets.parquet import is_parquet_dataset, open_parquet
from surfaces.datasets.reading import DEFAULT_OPTIONS, FOLLOW_LINKS, ReadOptions
from surfaces.datasets.recognition import FOREIGN_FORMS, open_foreign
from surfaces.datasets.sample import Labels, LabelScope, MemorySample, Sample
from surfaces.datasets.split import split_blocks
from surfaces.datasets.yolo import open_yolo
from surfaces.datasets.yolo_config import YAML_SUFFIXES
from surfaces.errors import DatasetError
from surfaces.io.local_files import require_inside
from surfaces.io.photo_lists import STORE_NAME

__all__ = [
    "LabelScope",
    "Labels",
    "MemorySample",
    "ReadOptions",
    "Sample",
    "open_dataset",
    "split_blocks",
    "write_packed",
]


def open_dataset(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """Opens a dataset of any supported format; photos and label maps are read later.

    Args:
        path: a COCO file (`*.json`), a YOLO dataset's `*.yaml`, or a folder with `packed.json` (packed), with
            `labels-00000.parquet` (Parquet), with `annotations.json` (COCO), with `labels.sqlite` (a label store), with
            `images` and `masks`, with COCO files as CVAT, FiftyOne, Label Studio and Roboflow export them
            (`surfaces.datasets.coco.coco_files`), or of another tool (`surfaces.datasets.recognition`). A
            `dataset.toml` in the folder says which classes are labelled (`surfaces.datasets.description`).
        options: how it is read.

    Raises:
        DatasetError: there is no dataset, or it is invalid.
    """
    try:
        return describe(_open(path, options), path if path.is_dir() else path.parent)
    except OSError as error:
        raise DatasetError(f"expected a readable dataset at {path}, got: {error.strerror}") from error


def _open(path: Path, options: ReadOptions) -> list[Sample]:
    if not path.exists():
        raise DatasetError(f"expected a dataset at {path}, got no such file or folder")
    return _open_folder(path, options) if path.is_dir() else _open_file(path, options)


def _open_file(path: Path, options: ReadOptions) -> list[Sample]:
    if path.name == INDEX_NAME:
        return open_packed(path.parent, options.follow_links)
    if path.suffix.lower() == ".json":
        return open_coco(path, options)
    if path.suffix.lower() in YAML_SUFFIXES:
        return open_yolo(path, options)
    raise DatasetError(f"expected a folder, or a file *.json or *.yaml, got {path}")


def _open_folder(path: Path, options: ReadOptions) -> list[Sample]:
    if (path / INDEX_NAME).is_file():
        _require_inside(path, [path / INDEX_NAME], options)
        return open_packed(path, options.follow_links)
    if is_parquet_dataset(path):
        return open_parquet(path, options.follow_links)
    if is_label_store(path):
        from surfaces.store.samples import open_store  # which imports this package

        _require_inside(path, [path / STORE_NAME], options)
        return open_store(path)
    if not (path / COCO_NAME).is_file() and (path / "images").is_dir() and (path / "masks").is_dir():
        return open_mask_folder(path, options.follow_links)
    files = coco_files(path)
    if not files:
        samples = open_foreign(path, options)
        if samples is None:
            raise DatasetError(
                f"expected {COCO_NAME} or another COCO file, {INDEX_NAME}, {STORE_NAME}, images and masks, or a "
                f"dataset of {FOREIGN_FORMS} in {path}, got none of them"
            )
        return samples
    _require_inside(path, files, options)
    return open_coco(files[0], options) if len(files) == 1 else open_coco_splits(files, options)


def _require_inside(folder: Path, files: Iterable[Path], options: ReadOptions) -> None:
    for file in files:
        if not options.follow_links:
            require_inside(folder, file, FOLLOW_LINKS)
