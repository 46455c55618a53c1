"""What is read of a source: photos with labels under the source's own class names."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.datasets.codec import read_photo
from surfaces.datasets.named_labels import NamedLabels
from surfaces.datasets.parquet import NO_PROVENANCE, Provenance
from surfaces.datasets.sample import Labels
from surfaces.errors import DatasetError
from surfaces.images.guards import FORMATS
from surfaces.images.load import exif_orientation

_FLIPS = {
    2: (0, False, True),
    3: (0, True, True),
    4: (0, True, False),
    5: (1, False, False),
    6: (1, False, True),
    7: (1, True, True),
    8: (1, True, False),
}
"""By EXIF orientation (Exif 3.0, 4.6.5.1): whether rows and columns are exchanged, then which are reversed."""


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


class Source(Protocol):
    """A dataset of others; its photos are in a fixed order."""

    @property
    def vocabulary(self) -> Collection[str]:
        """The class names, where the source lists them; else none."""

    def __len__(self) -> int:
        """The number of photos."""

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""


@dataclass(frozen=True)
class PhotoShape:
    """A photo's size as it is stored, and the orientation in which it is shown."""

    stored_hw: tuple[int, int]
    orientation: int

    @property
    def upright_hw(self) -> tuple[int, int]:
        """The size as it is shown."""
        return self.stored_hw[::-1] if self.orientation in (5, 6, 7, 8) else self.stored_hw

    def upright(self, values: npt.NDArray[np.generic], source: str) -> npt.NDArray[np.generic]:
        """Turns a label map (HxW) of the stored photo as the photo is turned; one of the shown photo stays.

        Raises DatasetError, which begins with the source, where it fits neither.
        """
        size = values.shape[:2]
        if size == self.upright_hw:
            return values
        if size != self.stored_hw:
            raise DatasetError(f"{source}: expected labels of the photo's size {self.upright_hw}, got {size}")
        transposed, down, right = _FLIPS[self.orientation]
        turned = values.swapaxes(0, 1) if transposed else values
        return turned[:: -1 if down else 1, :: -1 if right else 1]


def shape_of(photo: bytes, source: str) -> PhotoShape:
    """The shape of an encoded photo, from its header. Raises DatasetError where it has none."""
    try:
        with Pillow.open(io.BytesIO(photo), formats=tuple(FORMATS)) as image:
            return PhotoShape(image.size[::-1], exif_orientation(image))
    except Exception as error:  # decoders raise nearly anything for damaged bytes
        raise DatasetError(f"{source}: expected a photo, got a damaged one") from error
