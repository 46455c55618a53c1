"""Photos in folders by room, as of Places365 (Zhou et al., TPAMI 2018) and torchvision's ImageFolder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from distill.sources.base import SourcePhoto, shape_of
from surfaces.datasets.named_labels import NamedLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file


class RoomFolders:
    """`ROOM/*.jpg` or `SPLIT/ROOM/*.jpg`: no pixel is labelled, the room says what is absent or present.

    Raises:
        DatasetError: there is no photo in a folder of the folder.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        self._path = path
        self._files = sorted(file for file in path.rglob("*") if file.parent != path and is_photo_file(file))
        if not self._files:
            raise DatasetError(f"expected photos in folders named after rooms in {path}, got none")
        self.vocabulary: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._files)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index; its room is the name of its folder."""
        file = self._files[index]
        place = file.relative_to(self._path)
        split = place.parts[0] if len(place.parts) > 2 else ""
        provenance = Provenance(split=split, room=file.parent.name)
        return SourcePhoto(place.with_suffix("").as_posix(), file, partial(_labels, file), provenance)


def _labels(file: Path) -> NamedLabels:
    return NamedLabels(size_hw=shape_of(file).upright_hw, vocabulary=())
