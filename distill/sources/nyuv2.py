"""NYU Depth v2 (Silberman et al., ECCV 2012): the labelled part, one MATLAB file in HDF5's format."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from distill.sources.base import Source, SourcePhoto
from distill.sources.matlab import load_matlab, text_of
from surfaces.datasets.named_labels import MapLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_png

_SPLITS = "splits.mat"
_CLASSES_40 = "classMapping40.mat"


class NyuSource(Source):
    """The file `nyu_depth_v2_labeled.mat`; `splits.mat` beside it tells training and test photos apart.

    MATLAB's arrays are column by column, so HDF5 has them with all axes reversed. Class 0 is unlabelled. With
    `classMapping40.mat` (Gupta et al., CVPR 2013) beside it, the 40 classes replace the 894 names.

    Raises:
        DatasetError: a file is not of this form.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path.parent, options)
        try:
            self._file = h5py.File(path, "r")
            self._labels, self._instances, self._images = (self._file[key] for key in ("labels", "instances", "images"))
            names = [self._text(reference) for reference in np.asarray(self._file["names"]).ravel()]
            self._rooms = [self._text(reference) for reference in np.asarray(self._file["sceneTypes"]).ravel()]
        except (OSError, KeyError, ValueError) as error:
            raise DatasetError(f"expected NYU Depth v2's labelled file at {path}, got: {error}") from error
        self._names = _forty(path.with_name(_CLASSES_40), names) or dict(enumerate(names, 1))
        self._splits = _read_splits(path.with_name(_SPLITS))
        self._vocabulary = frozenset(self._names.values())

    def __len__(self) -> int:
        return int(self._labels.shape[0])

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index; its name has MATLAB's number, from 1."""
        split = self._splits.get(index + 1, "")
        provenance = Provenance(split=split, room=self._rooms[index])
        name = f"{split}/nyu_{index + 1:04d}" if split else f"nyu_{index + 1:04d}"
        return SourcePhoto(name, partial(self._encoded, index), partial(self._read, index), provenance)

    def _encoded(self, index: int) -> bytes:
        rgb = np.asarray(self._images[index]).transpose(2, 1, 0)
        return encode_png(np.ascontiguousarray(rgb[:, :, ::-1]))

    def _read(self, index: int) -> MapLabels:
        numbers = np.asarray(self._labels[index]).T.astype(np.int64)
        instances = np.asarray(self._instances[index]).T.astype(np.int64)
        return MapLabels(
            size_hw=(numbers.shape[0], numbers.shape[1]),
            vocabulary=self._vocabulary,
            numbers=numbers,
            names=self._names,
            instances=numbers * 256 + instances,
        )

    def _text(self, reference: Any) -> str:
        """A cell of MATLAB's text: UTF-16 units in a data set that the cell refers to."""
        return "".join(map(chr, np.asarray(self._file[reference]).ravel().tolist()))


def _read_splits(path: Path) -> dict[int, str]:
    """The split of each photo by MATLAB's number; nothing where the file is not there."""
    if not path.exists():
        return {}
    content = load_matlab(path)
    try:
        return {
            int(number): split
            for split, key in (("train", "trainNdxs"), ("test", "testNdxs"))
            for number in content[key].ravel()
        }
    except KeyError as error:
        raise DatasetError(f"expected trainNdxs and testNdxs in {path}, got no {error}") from error


def _forty(path: Path, names: list[str]) -> dict[int, str]:
    """The names of the 40 classes by the numbers of the 894 names; nothing where the file is not there."""
    if not path.exists():
        return {}
    content = load_matlab(path)
    try:
        classes = list(map(text_of, content["className"].ravel()))
        mapped = content["mapClass"].ravel().tolist()
    except (KeyError, ValueError) as error:
        raise DatasetError(f"expected mapClass and className in {path}, got: {error}") from error
    if len(mapped) != len(names):
        raise DatasetError(f"expected {len(names)} numbers in mapClass of {path}, got {len(mapped)}")
    return {number: classes[int(target) - 1] for number, target in enumerate(mapped, 1) if target}
