"""Photos in folders by room, as of Places365 (Zhou et al., TPAMI 2018) and torchvision's ImageFolder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from distill.sources.base import Source, SourcePhoto, shape_of
from surfaces.datasets.named_labels import NamedLabels
from surfaces.datasets.parquet import Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.errors import DatasetError
from surfaces.io.photo_lists import is_photo_file

_SPLITS = ("train", "val", "valid", "validation", "test", "data_256", "val_256")


class RoomFolders(Source):
    """`ROOM/*.jpg` or `SPLIT/ROOM/*.jpg`: no pixel is labelled, the room says what is absent or present.

    Of Places365, whose folders are sorted by their first letter (`b/bathroom`) and divided further (`g/garage/indoor`),
    the room is `bathroom`, and `garage/indoor`.

    Raises:
        DatasetError: there is no photo in a folder of the folder.
    """

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path, options)
        self._files = sorted(file for file in path.rglob("*") if file.parent != path and is_photo_file(file))
        if not self._files:
            raise DatasetError(f"expected photos in folders named after rooms in {path}, got none")
        self._stems = Counter(file.with_suffix("") for file in self._files)

    def __len__(self) -> int:
        return len(self._files)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index; its room is the name of its folder."""
        file = self.inside(self._files[index])
        split, room = _split_and_room(file.relative_to(self.root).parts[:-1])
        is_alone = self._stems[file.with_suffix("")] == 1
        name = file.with_suffix("") if is_alone else file.with_name(file.name.replace(".", "_"))
        provenance = Provenance(split=split, room=room)
        return SourcePhoto(name.relative_to(self.root).as_posix(), file, partial(_labels, file), provenance)


def _split_and_room(folders: Sequence[str]) -> tuple[str, str]:
    """The split, if any, and the room of a photo in these folders."""
    split = folders[0] if folders[0] in _SPLITS and len(folders) > 1 else ""
    rest = folders[1:] if split else folders
    if len(rest) > 1 and len(rest[0]) == 1:  # Places365's letters
        rest = rest[1:]
    return split, "/".join(rest)


def _labels(file: Path) -> NamedLabels:
    return NamedLabels(size_hw=shape_of(file).upright_hw, vocabulary=())
