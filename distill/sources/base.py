"""What is read of a source: photos with labels under the source's own class names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from surfaces.datasets.codec import photo_size, read_bytes, read_photo
from surfaces.datasets.id_maps import IdMap, decode_id_map
from surfaces.datasets.named_labels import NamedLabels
from surfaces.datasets.parquet import NO_PROVENANCE, Provenance
from surfaces.datasets.reading import FOLLOW_LINKS, ReadOptions
from surfaces.datasets.sample import Labels
from surfaces.errors import DatasetError
from surfaces.images.load import turn_upright
from surfaces.io.local_files import require_inside

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class SourcePhoto:
    """A photo of a source.

    Attributes:
        name: unique within the source, without a suffix; may have folders.
        photo: its file; or a function that gives the bytes of one, where the source has no files.
        labels: reads its labels, of the photo's upright size. Raises DatasetError where they are faulty.
        provenance: where it comes from; `room` decides about rules for rooms.
    """

    name: str
    photo: Path | Callable[[], bytes]
    labels: Callable[[], NamedLabels | Labels]
    provenance: Provenance = NO_PROVENANCE

    def encoded(self) -> bytes:
        """The photo's file, byte for byte. Raises DatasetError where it is missing or no photo."""
        return read_photo(self.photo) if isinstance(self.photo, Path) else self.photo()


class Source(ABC):
    """A dataset of others; its photos are in a fixed order.

    Args:
        root: the folder that its files may not leave.
        options: whether links may.
    """

    def __init__(self, root: Path, options: ReadOptions) -> None:
        self.root = root
        self._follow_links = options.follow_links

    @abstractmethod
    def __len__(self) -> int:
        """The number of photos."""

    @abstractmethod
    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index. Raises DatasetError where its file is missing."""

    def close(self) -> None:  # noqa: B027  (most hold nothing open)
        """Closes its files."""

    def inside(self, file: Path) -> Path:
        """Returns a file; raises DatasetError where a link leads out of the source, and links may not."""
        return file if self._follow_links else require_inside(self.root, file, FOLLOW_LINKS)


@dataclass(frozen=True)
class PhotoShape:
    """A photo's upright height and width, and its EXIF orientation."""

    upright_hw: tuple[int, int]
    orientation: int

    def upright(self, values: npt.NDArray[Number], source: str) -> npt.NDArray[Number]:
        """Turns a label map (HxW) of the stored photo as the photo is turned; one of the upright photo stays.

        Raises DatasetError, which begins with the source, where it fits neither.
        """
        if values.shape == self.upright_hw:
            return values
        turned = turn_upright(values, self.orientation)
        if turned.shape != self.upright_hw:
            raise DatasetError(f"{source}: expected labels of the photo's size {self.upright_hw}, got {values.shape}")
        return turned


def shape_of(photo: Path) -> PhotoShape:
    """The shape of a photo's file. Raises DatasetError where it is none."""
    return PhotoShape(*photo_size(read_photo(photo), str(photo)))


def read_numbers(file: Path) -> IdMap:
    """The numbers of a label map (PNG), int32 HxW. Raises DatasetError where it is none."""
    return decode_id_map(read_bytes(file), str(file)).ids


def read_colours(file: Path) -> tuple[IdMap, IdMap, IdMap]:
    """Red, green and blue of a PNG file, int32 HxW each. Raises DatasetError where it has none."""
    try:
        return decode_id_map(read_bytes(file), str(file)).channels()
    except DatasetError as error:
        raise DatasetError(f"{file}: {error}") from error
