"""Labelled photos: the project's COCO format, folders of label maps, what `autolabel` is labelling, and the packed form
that travels to a GPU."""

from __future__ import annotations

from pathlib import Path

from surfaces.dataset.mask_folder import open_mask_folder
from surfaces.dataset.names import COCO_NAME, STORE_NAME
from surfaces.dataset.packed import INDEX_NAME, open_packed, write_packed
from surfaces.dataset.sample import Labels, MemorySample, Sample
from surfaces.dataset.split import split_blocks
from surfaces.errors import DatasetError


def open_dataset(path: Path) -> list[Sample]:
    """Opens a dataset of any known form; nothing but its index is read.

    Args:
        path: a COCO file (`*.json`, photos relative to it), or a folder with `annotations.json` (COCO), with
            `packed.json` (packed), with `labels.sqlite` (a label store), or with `images` and `masks`.

    Returns:
        Its samples.

    Raises:
        DatasetError: there is nothing at the path, or nothing that is a dataset.
    """
    if not path.exists():
        raise DatasetError(f"expected a dataset at {path}, got no such file or folder")
    if path.name == INDEX_NAME or (path / INDEX_NAME).is_file():
        return open_packed(path if path.is_dir() else path.parent)
    if path.suffix == ".json":
        return _open_coco(path)
    if (path / COCO_NAME).is_file():
        return _open_coco(path / COCO_NAME)
    if (path / STORE_NAME).is_file():
        return _open_store(path)
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return open_mask_folder(path)
    raise DatasetError(
        f"expected {COCO_NAME}, {INDEX_NAME}, {STORE_NAME}, or images and masks in {path}, got none of them"
    )


def _open_coco(path: Path) -> list[Sample]:
    # pycocotools is imported only where COCO files are read: a machine that trains may lack it.
    from surfaces.dataset.coco import open_coco

    return open_coco(path)


def _open_store(folder: Path) -> list[Sample]:
    from surfaces.dataset.stored_sample import open_store  # as above, and Pillow

    return open_store(folder)


__all__ = ["Labels", "MemorySample", "Sample", "open_dataset", "split_blocks", "write_packed"]
