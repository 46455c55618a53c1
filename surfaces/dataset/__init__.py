"""Labelled photos: the project's COCO format, folders of label maps, what `autolabel` is labelling, and the packed form
that travels to a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from surfaces.dataset.coco_layout import coco_files
from surfaces.dataset.mask_folder import open_mask_folder
from surfaces.dataset.names import COCO_NAME, STORE_NAME
from surfaces.dataset.options import DEFAULT_OPTIONS, ReadOptions
from surfaces.dataset.packed import INDEX_NAME, open_packed, write_packed
from surfaces.dataset.sample import Labels, MemorySample, Sample
from surfaces.dataset.split import split_blocks
from surfaces.errors import DatasetError


def open_dataset(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """Opens a dataset of any known form; photos and label maps are not read yet.

    Args:
        path: a COCO file (`*.json`), or a folder with `packed.json` (packed), with `annotations.json` (COCO), with
            `labels.sqlite` (a label store), with `images` and `masks`, or one with COCO files as CVAT, FiftyOne, Label
            Studio and Roboflow lay them out (`surfaces.dataset.coco_layout`).
        options: how it is read.

    Returns:
        Its samples.

    Raises:
        DatasetError: there is nothing at the path, or nothing that is a dataset.
    """
    try:
        return _open(path, options)
    except OSError as error:
        raise DatasetError(f"expected a readable dataset at {path}, got: {error.strerror}") from error


def _open(path: Path, options: ReadOptions) -> list[Sample]:
    if not path.exists():
        raise DatasetError(f"expected a dataset at {path}, got no such file or folder")
    if path.name == INDEX_NAME or (path / INDEX_NAME).is_file():
        return open_packed(path if path.is_dir() else path.parent)
    if path.suffix.lower() == ".json":
        return _open_coco([path], options)
    if (path / COCO_NAME).is_file():
        return _open_coco([path / COCO_NAME], options)
    if (path / STORE_NAME).is_file():
        return _open_store(path)
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return open_mask_folder(path)
    files = coco_files(path) if path.is_dir() else []
    if not files:
        raise DatasetError(
            f"expected {COCO_NAME} or another COCO file, {INDEX_NAME}, {STORE_NAME}, or images and masks in {path}, "
            "got none of them"
        )
    return _open_coco(files, options)


def _open_coco(files: Sequence[Path], options: ReadOptions) -> list[Sample]:
    # pycocotools is imported only where COCO files are read: a machine that trains may lack it.
    from surfaces.dataset.coco import open_coco, open_coco_splits

    return open_coco(files[0], options) if len(files) == 1 else open_coco_splits(files, options)


def _open_store(folder: Path) -> list[Sample]:
    from surfaces.dataset.stored_sample import open_store  # as above, and Pillow

    return open_store(folder)


__all__ = ["Labels", "MemorySample", "ReadOptions", "Sample", "open_dataset", "split_blocks", "write_packed"]
