"""SUN RGB-D (Song et al., CVPR 2015): the release's folders, one a photo, each with `seg.mat`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from distill.sources.base import Source, SourcePhoto, shape_of
from distill.sources.matlab import load_matlab, text_of
from surfaces.datasets.named_labels import MapLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.io.local_files import read_text

# Of some 6,000 names those that matter: all objects of a photo are drawn.
_DRAWN = frozenset({"wall", "floor", "table", "dining table"})


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


def _room(folder: Path) -> str:
    try:
        return read_text(folder / "scene.txt").strip()
    except (OSError, UnicodeDecodeError):
        return ""
