"""Decodes PNG files with a class or an object for each pixel, as other tools write them: numbers, palettes, colours."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from surfaces.datasets.codec import check_png, read_bytes
from surfaces.datasets.named_regions import REGIONS_MAX, NamedRegion, NamedRegions
from surfaces.detections import Mask
from surfaces.errors import DatasetError
from surfaces.messages import listed

IdMap = npt.NDArray[np.int32]

_RGB = 2


@dataclass(frozen=True, eq=False)
class DecodedMap:
    """A decoded PNG file.

    Attributes:
        ids: int32 HxW: grey values of up to 16 bits, indices of a palette, or colours as 65536 red + 256 green + blue.
        palette: such colours by index; None where there is no palette.
        is_colour: whether `ids` are colours.
    """

    ids: IdMap
    palette: IdMap | None
    is_colour: bool

    def channels(self) -> tuple[IdMap, IdMap, IdMap]:
        """Red, green and blue of colours; raises DatasetError where `ids` are none."""
        if not self.is_colour:
            raise DatasetError("expected a colour for each pixel, got a number")
        return self.ids >> 16, self.ids >> 8 & 255, self.ids & 255


@dataclass(frozen=True)
class ClassMapAnnotation:
    """A map of classes, and perhaps one of objects, of a photo.

    Attributes:
        classes: the map of classes.
        names: the classes by number, for grey maps, and for palettes with other colours than those of classes.
        colours: the classes by colour (as in `DecodedMap`), for colours and palettes; None where only numbers count.
        objects: a map of the same size with another value for each object, 0 outside of all.
    """

    classes: Path
    names: Mapping[int, str]
    colours: Mapping[int, str] | None = None
    objects: Path | None = None

    def read(self, photo_hw: tuple[int, int]) -> NamedRegions:  # noqa: ARG002  (the maps have a size)
        """The regions of the maps; raises DatasetError where they are invalid or have unknown classes."""
        decoded = decode_id_map(read_bytes(self.classes), str(self.classes))
        height, width = decoded.ids.shape
        found = _names_of(decoded, self.names, self.colours)
        objects = None
        if self.objects is not None:
            objects = decode_id_map(read_bytes(self.objects), str(self.objects)).ids
            if objects.shape != decoded.ids.shape:
                raise DatasetError(f"expected {self.objects} of {decoded.ids.shape} (rows, columns), as the classes")
        regions = [
            region for value, name in found.items() for region in _regions_of(decoded.ids == value, name, objects)
        ]
        if len(regions) > REGIONS_MAX:
            raise DatasetError(f"expected at most {REGIONS_MAX} objects in {self.objects}, got {len(regions)}")
        return NamedRegions((height, width), regions)


def decode_id_map(data: bytes, source: str) -> DecodedMap:
    """Decodes a PNG file without scaling its values; raises DatasetError where the bytes are none, or have opacity."""
    bits, colour = check_png(data, source)
    if colour == _RGB and bits != 8:
        raise DatasetError(f"expected colours of 8 bits in {source}, got {bits}")
    try:
        with Pillow.open(io.BytesIO(data), formats=("PNG",)) as image:
            mode, values = image.mode, np.array(image)
            palette = image.getpalette("RGB") if mode == "P" else None
    except Exception as error:  # the decoder raises nearly anything for corrupt bytes
        raise DatasetError(f"expected a whole PNG file in {source}, got: {error}".splitlines()[0]) from error
    if mode == "RGB":
        return DecodedMap(_colours(values), None, is_colour=True)
    if values.ndim != 2:
        raise DatasetError(f"expected a number or a colour without opacity for each pixel in {source}, got {mode}")
    ids = values.astype(np.int32)
    if mode == "L" and bits in (2, 4):  # which Pillow scales to white at 255
        ids //= 255 // (2**bits - 1)
    return DecodedMap(ids, None if palette is None else _colours(np.reshape(palette, (-1, 3))), is_colour=False)


def colour_id(red: int, green: int, blue: int) -> int:
    """A colour as in `DecodedMap`."""
    return red << 16 | green << 8 | blue


def _colours(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.int64]) -> IdMap:
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return np.asarray(red << 16 | green << 8 | blue, np.int32)


def _names_of(decoded: DecodedMap, names: Mapping[int, str], colours: Mapping[int, str] | None) -> dict[int, str]:
    """The class names of the values that a map has."""
    present = np.unique(decoded.ids).tolist()
    if decoded.is_colour and colours is None:
        raise DatasetError("expected a number for each pixel, got colours")
    by_value = colours if decoded.is_colour and colours is not None else names
    if decoded.palette is not None and colours is not None:
        palette = dict(enumerate(decoded.palette.tolist()))
        if all(palette.get(value) in colours for value in present):
            by_value = {value: colours[palette[value]] for value in present}
    if unknown := [value for value in present if value not in by_value]:
        shown = listed([f"#{value:06x}" if decoded.is_colour else value for value in unknown])
        raise DatasetError(f"expected the {'colours' if decoded.is_colour else 'numbers'} of classes, got {shown}")
    return {value: by_value[value] for value in present}


def _regions_of(mask: Mask, name: str, objects: IdMap | None) -> list[NamedRegion]:
    """A class's region, or one for each of its objects; pixels of no object are of objects that are not told apart."""
    if objects is None:
        return [NamedRegion(name, lambda: mask, is_whole_class=True)]
    return [
        NamedRegion(name, partial(_mask_of_object, mask, objects, number), is_whole_class=number == 0)
        for number in np.unique(objects[mask]).tolist()
    ]


def _mask_of_object(mask: Mask, objects: IdMap, number: int) -> Mask:
    return np.asarray(mask & (objects == number), np.bool_)
