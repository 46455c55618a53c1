"""SUN RGB-D (Song et al., CVPR 2015): names in `seg.mat` beside each photo, or the toolbox's file of 37 classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from distill.sources.base import Source, SourcePhoto, shape_of
from distill.sources.matlab import load_matlab, text_of
from surfaces.datasets.named_labels import MapLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.io.local_files import read_text
from surfaces.messages import brief

_RELEASE = "SUNRGBD"
# Of some 6,000 names those that matter: all objects of a photo are drawn.
_DRAWN = frozenset({"wall", "floor", "table", "dining table"})


def open_sun_rgbd(path: Path, work: Path, options: ReadOptions) -> Source:
    """The folder `SUNRGBD`, or the file `SUNRGBD2Dseg.mat`; errors as of the sources below."""
    return ToolboxSource(path, options) if path.suffix == ".mat" else SunRgbdSource(path, work, options)


class ToolboxSource(Source):
    """The file `SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat`, with `SUNRGBDMeta.mat` and `seg37list.mat` beside it.

    Photos are in `SUNRGBD`, beside the toolbox or below the folder of the file. Labels are HDF5, column by column, and
    class 0 is unlabelled. `traintestSUNRGBD/allsplit.mat` of the toolbox, where it is there, tells test photos apart.

    Raises:
        DatasetError: a file is missing, or not of this form.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        tools = path.absolute().parent.parent
        homes = (tools.parent, tools, path.absolute().parent)
        self._home = next((home for home in homes if (home / _RELEASE).is_dir()), tools.parent)
        super().__init__(self._home / _RELEASE, options)
        try:
            self._file = h5py.File(path, "r")
            self._labels = np.asarray(self._file["SUNRGBD2Dseg"]["seglabel"]).ravel()
        except (OSError, KeyError, ValueError) as error:
            raise DatasetError(f"expected SUN RGB-D's file of 37 classes at {path}, got: {error}") from error
        names = _texts(path.with_name("seg37list.mat"), "seg37list")
        self._names = dict(enumerate(names, 1))
        self._photos = [_below_release(text) for text in _photo_paths(path.with_name("SUNRGBDMeta.mat"))]
        self._splits = _read_splits(tools / "traintestSUNRGBD" / "allsplit.mat")
        if len(self._labels) != len(self._photos):
            raise DatasetError(
                f"expected labels of the {len(self._photos)} photos of SUNRGBDMeta.mat in {path}, got those of"
                f" {len(self._labels)}"
            )

    def __len__(self) -> int:
        return len(self._photos)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index; its name is its folder's, after its split."""
        place = self._photos[index]
        photo, folder = self.inside(self._home / place), place.parent.parent
        split = self._splits.get(folder, "")
        name = PurePosixPath(split) / folder.relative_to(_RELEASE)
        provenance = Provenance(split=split, room=_room(self._home / folder))
        return SourcePhoto(str(name), photo, partial(self._read, index, photo), provenance)

    def _read(self, index: int, photo: Path) -> MapLabels:
        values = np.asarray(self._file[self._labels[index]])
        if values.ndim != 2:
            raise DatasetError(f"expected a label map of {photo}, got {values.ndim} dimensions")
        shape = shape_of(photo)
        numbers = shape.upright(values.T.astype(np.int64), str(photo))
        vocabulary = frozenset(self._names.values())
        return MapLabels(size_hw=shape.upright_hw, vocabulary=vocabulary, numbers=numbers, names=self._names)


class SunRgbdSource(Source):
    """The folder `SUNRGBD`: `seg.mat` beside `image/*.jpg`; class 0 is unlabelled. The room is in `scene.txt`.

    Raises:
        DatasetError: there is no photo with its labels.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path, options)
        self._path = path
        self._files = sorted(path.rglob("seg.mat"))
        if not self._files:
            raise DatasetError(f"expected folders with image/*.jpg and seg.mat in {path}, got none")

    def __len__(self) -> int:
        return len(self._files)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index; its name is its folder's."""
        file = self.inside(self._files[index])
        folder = file.parent
        photos = sorted((folder / "image").glob("*.jpg"))
        if len(photos) != 1:
            raise DatasetError(f"expected one photo in {folder / 'image'}, got {len(photos)}")
        name = folder.relative_to(self._path).as_posix()
        return SourcePhoto(
            name, self.inside(photos[0]), partial(_read, file, self.inside(photos[0])), Provenance(room=_room(folder))
        )


def _read(file: Path, photo: Path) -> MapLabels:
    content = load_matlab(file)
    try:
        names = list(map(text_of, content["names"].ravel()))
        labels = np.asarray(content["seglabel"], np.int64)
    except (KeyError, ValueError) as error:
        raise DatasetError(f"expected names and seglabel in {file}, got: {error}") from error
    shape = shape_of(photo)
    numbers = shape.upright(labels, str(file))
    instances = content.get("seginstances")
    if instances is not None:
        instances = numbers * 65536 + shape.upright(np.asarray(instances, np.int64), str(file))
    return MapLabels(
        size_hw=shape.upright_hw,
        vocabulary=_DRAWN,
        numbers=numbers,
        names=dict(enumerate(names, 1)),
        instances=instances,
    )


def _texts(path: Path, key: str) -> list[str]:
    """The texts of a variable's cells; raises DatasetError where there is no such file."""
    try:
        return list(map(text_of, load_matlab(path)[key].ravel()))
    except (KeyError, AttributeError, TypeError) as error:
        raise DatasetError(f"expected {key} in {path}, got: {error}") from error


def _photo_paths(path: Path) -> list[str]:
    """The photos' paths on their authors' machine, in the order of the labels."""
    try:
        return list(map(text_of, load_matlab(path)["SUNRGBDMeta"]["rgbpath"].ravel()))
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DatasetError(f"expected SUNRGBDMeta with rgbpath in {path}, got: {error}") from error


def _below_release(text: str) -> PurePosixPath:
    """The part of a path from the folder of the release on."""
    parts = PurePosixPath(text).parts
    if _RELEASE not in parts or ".." in parts:
        raise DatasetError(f"expected a path with a folder {_RELEASE} in SUNRGBDMeta.mat, got {brief(text)}")
    return PurePosixPath(*parts[parts.index(_RELEASE) :])


def _read_splits(path: Path) -> dict[PurePosixPath, str]:
    """The split by the photo's folder; nothing where the file is not there."""
    if not path.exists():
        return {}
    return {
        _below_release(text): split
        for split, key in (("train", "alltrain"), ("test", "alltest"))
        for text in _texts(path, key)
    }


def _room(folder: Path) -> str:
    try:
        return read_text(folder / "scene.txt").strip()
    except (OSError, UnicodeDecodeError):
        return ""
