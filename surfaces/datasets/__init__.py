"""Labelled photos: the project's COCO format, folders of label maps, what `autolabel` is labelling, and the packed form
that travels to a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from surfaces.datasets.coco_layout import coco_files
from surfaces.datasets.folders import COCO_NAME, STORE_NAME
from surfaces.datasets.mask_folder import open_mask_folder
from surfaces.datasets.packed import INDEX_NAME, open_packed, write_packed
from surfaces.datasets.reading import DEFAULT_OPTIONS, FOLLOW_LINKS, ReadOptions
from surfaces.datasets.sample import Labels, MemorySample, Sample
from surfaces.datasets.split import split_blocks
from surfaces.errors import DatasetError
from surfaces.io.local_files import require_inside


def open_dataset(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """Opens a dataset of any known form; photos and label maps are not read yet.

    Args:
        path: a COCO file (`*.json`), or a folder with `packed.json` (packed), with `annotations.json` (COCO), with
            `labels.sqlite` (a label store), with `images` and `masks`, or one with COCO files as CVAT, FiftyOne, Label
            Studio and Roboflow lay them out (`surfaces.datasets.coco_layout`).
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
    if path.name == INDEX_NAME and not path.is_dir():
        return open_packed(path.parent, options.follow_links)
    if path.suffix.lower() == ".json":
        return _open_coco([path], options)
    for name, open_it in _BY_NAME.items():
        if (path / name).is_file():
            _require_own(path, path / name, options)
            return open_it(path, options)
    if (path / "images").is_dir() and (path / "masks").is_dir():
        return open_mask_folder(path, options.follow_links)
    files = coco_files(path) if path.is_dir() else []
    if not files:
        raise DatasetError(
            f"expected {COCO_NAME} or another COCO file, {INDEX_NAME}, {STORE_NAME}, or images and masks in {path}, "
            "got none of them"
        )
    for file in files:
        _require_own(path, file, options)
    return _open_coco(files, options)


def _require_own(folder: Path, file: Path, options: ReadOptions) -> None:
    if not options.follow_links:
        require_inside(folder, file, FOLLOW_LINKS)


def _open_coco(files: Sequence[Path], options: ReadOptions) -> list[Sample]:
    # pycocotools is imported only where COCO files are read: a machine that trains may lack it.
    from surfaces.datasets.coco import open_coco, open_coco_splits

    return open_coco(files[0], options) if len(files) == 1 else open_coco_splits(files, options)


def _open_store(folder: Path) -> list[Sample]:
    from surfaces.store.samples import open_store  # as above, and Pillow

    return open_store(folder)


_BY_NAME: Mapping[str, Callable[[Path, ReadOptions], list[Sample]]] = {
    INDEX_NAME: lambda folder, options: open_packed(folder, options.follow_links),
    COCO_NAME: lambda folder, options: _open_coco([folder / COCO_NAME], options),
    STORE_NAME: lambda folder, _: _open_store(folder),
}
"""Readers by the file that tells the form of a folder."""

__all__ = ["Labels", "MemorySample", "ReadOptions", "Sample", "open_dataset", "split_blocks", "write_packed"]
