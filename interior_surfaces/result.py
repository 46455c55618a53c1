"""What was found in one photo, and what people do with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from surfaces.classes import BY_NAME, CLASSES
from surfaces.datasets.coco_writer import detection_annotation
from surfaces.detections import Detection, Image, Mask
from surfaces.drawing.recolour import parse_colour, recolour
from surfaces.errors import SurfacesError
from surfaces.images.encode import encode_png, write_picture

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True, eq=False)
class Result:
    """The segments of a photo: wall, floor, then dining tables by descending score. Masks do not overlap.

    Attributes:
        image: the photo, uint8 HxWx3 RGB.
        detections: its segments, each with `surface`, `score`, `box_xyxy` and `mask`.
    """

    image: Image
    detections: tuple[Detection, ...]

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    @property
    def class_names(self) -> list[str]:
        """The class of each segment: `wall`, `floor` or `dining table`."""
        return [detection.surface.name for detection in self.detections]

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """float32 (N,), 0 to 1."""
        return np.array([detection.score for detection in self.detections], np.float32)

    @property
    def boxes_xyxy(self) -> npt.NDArray[np.float32]:
        """float32 (N, 4), absolute pixels, right and bottom exclusive."""
        return np.array([detection.box_xyxy for detection in self.detections], np.float32).reshape(-1, 4)

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """bool (N, H, W)."""
        masks = np.zeros((len(self), *self.image.shape[:2]), bool)
        for mask, detection in zip(masks, self.detections, strict=True):
            mask[:] = detection.mask
        return masks

    def mask(self, surface: str) -> Mask:
        """All segments of a class (`wall`, `floor`, `dining table`) as one mask, bool HxW.

        Raises:
            SurfacesError: there is no such class.
        """
        if surface not in BY_NAME:
            raise SurfacesError(f"expected one of {', '.join(BY_NAME)}, got {surface!r}")
        union = np.zeros(self.image.shape[:2], bool)
        for detection in self.detections:
            if detection.surface.name == surface:
                union |= detection.mask
        return union

    def to_supervision(self) -> sv.Detections:
        """The segments as `supervision.Detections`; `class_id` counts wall, floor, dining table from 0."""
        import supervision as sv

        return sv.Detections(
            xyxy=self.boxes_xyxy,
            mask=self.masks,
            confidence=self.scores,
            class_id=np.array([CLASSES.index(detection.surface) for detection in self.detections], int),
            data={"class_name": np.array(self.class_names, dtype=str)},
        )

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """The segments as COCO's annotations, masks as compressed RLE; category ids are 1 to 3 in the order above.

        Args:
            image_id: of the photo in the COCO file.
            first_id: of the first annotation.
        """
        return [
            {"id": first_id + number, "image_id": image_id, **detection_annotation(detection)}
            for number, detection in enumerate(self.detections)
        ]

    def plot(self, alpha: float = 0.4) -> Image:
        """The photo with its segments drawn in, uint8 HxWx3 RGB; `alpha` is the opacity of the masks, 0 to 1."""
        from surfaces.drawing.overlay import draw_overlay

        return draw_overlay(self.image, self.detections, alpha)

    def recolor(self, surface: str, color: str | tuple[int, int, int]) -> Image:
        """The photo with a class's segments in another colour, uint8 HxWx3 RGB; shading and texture stay.

        Args:
            surface: `wall`, `floor` or `dining table`.
            color: `#8fa3ad`, a name such as `teal`, or sRGB levels from 0 to 255.

        Raises:
            SurfacesError: no such class or colour.
        """
        return recolour(self.image, self.mask(surface), parse_colour(color))

    def save(self, path: str | os.PathLike[str], alpha: float = 0.4) -> None:
        """Writes what `plot` draws as a .jpg or .png file. Raises OutputError."""
        write_picture(Path(path), self.plot(alpha))

    def _repr_png_(self) -> bytes:
        return encode_png(self.plot()[:, :, ::-1])

    def __repr__(self) -> str:
        found = ", ".join(f"{d.surface.name} {d.score:.0%}" for d in self.detections) or "nothing found"
        return f"Result({self.image.shape[1]}x{self.image.shape[0]}: {found})"
