"""What the readers of other tools' datasets share: their samples, faults, classes and paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from surfaces.classes import BY_NAME, CLASSES, DINING_TABLE, IGNORE, OTHER
from surfaces.datasets.codec import decode_image, photo_size, read_photo
from surfaces.datasets.named_regions import NamedRegions, labels_of_regions, target_of
from surfaces.datasets.reading import FOLLOW_LINKS, ReadOptions, note, refuse_faults
from surfaces.datasets.sample import ALL_LABELLED, Labels, LabelScope, Sample, require_unique
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError
from surfaces.images.load import turn_upright
from surfaces.io.local_files import require_inside
from surfaces.messages import brief, listed

_DRIVE_OR_SCHEME = re.compile(r"[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://")


class Annotation(Protocol):
    """What a tool says of one photo."""

    def read(self, photo_hw: tuple[int, int]) -> NamedRegions:
        """The regions of a photo of this size (upright); raises DatasetError where they are invalid."""


@dataclass(frozen=True)
class ForeignSample:
    """A photo and its labels in another tool's dataset.

    Attributes:
        name: unique within the dataset.
        image_path: the photo, or the file that contains it.
        label_path: the file of its labels, which need not exist.
        annotation: the regions, under the tool's class names.
        background: the label of pixels outside of all regions: OTHER, or IGNORE where an annotation was left out.
        targets: what the names mean, as in `ReadOptions`.
        scope: which classes the dataset labels.
    """

    name: str
    image_path: Path
    label_path: Path
    annotation: Annotation
    background: int = OTHER
    targets: Mapping[str, int] | None = None
    scope: LabelScope = ALL_LABELLED

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return decode_image(self.encoded_image(), str(self.image_path))

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return read_photo(self.image_path)

    def regions(self) -> NamedRegions:
        """Its regions under the tool's class names."""
        return self.annotation.read(photo_size(self.encoded_image(), str(self.image_path))[0])

    def table_masks(self) -> list[Mask]:
        """The masks of its single dining tables as they were drawn, bool HxW; they may overlap."""
        return [
            region.draw()
            for region in self.regions().regions
            if self._meaning(region.name) == DINING_TABLE.coco_id and not (region.is_box or region.is_whole_class)
        ]

    def _meaning(self, name: str) -> int:
        return target_of(name, {} if self.targets is None else self.targets)

    def labels(self) -> Labels:
        """Its labels, of the photo's size; labels of a photo's stored pixels are turned upright with it.

        Raises:
            DatasetError: the labels are invalid, or of another size than the photo.
        """
        photo_hw, orientation = photo_size(self.encoded_image(), str(self.image_path))
        try:
            named = self.annotation.read(photo_hw)
            if named.size_hw not in (photo_hw, photo_hw[::-1]):  # before memory is taken for it
                raise self._other_size(photo_hw, named.size_hw)
            labels = labels_of_regions(named, self._meaning, self.background, self.scope)
        except DatasetError as error:
            raise DatasetError(f"{self.label_path}: {error}") from error
        if labels.size_hw == photo_hw:
            return labels
        turned = replace(
            labels,
            semantic=turn_upright(labels.semantic, orientation),
            tables=turn_upright(labels.tables, orientation),
        )
        if turned.size_hw != photo_hw:
            raise DatasetError(f"{self.label_path}: {self._other_size(photo_hw, labels.size_hw)}")
        return turned

    @staticmethod
    def _other_size(photo_hw: tuple[int, int], size_hw: tuple[int, int]) -> DatasetError:
        return DatasetError(f"expected labels of {photo_hw} (rows, columns), as the photo, got {size_hw}")


class Faults:
    """The faults of a dataset: all are listed before any of it is used.

    Args:
        source: the dataset, for messages.
        options: whether faults that can be left out are.
    """

    def __init__(self, source: Path, options: ReadOptions) -> None:
        self._source = source
        self._options = options
        self._invalid: list[str] = []
        self._refused: list[str] = []

    def add(self, place: object, fault: object) -> None:
        """A fault that `--skip-invalid` leaves out."""
        self._invalid.append(f"{place}: {fault}")

    def inside(self, root: Path, path: Path) -> bool:
        """Whether a path may be read: a link that leaves the dataset is a fault that refuses it."""
        if not self._options.follow_links:
            try:
                require_inside(root, path, FOLLOW_LINKS)
            except DatasetError as error:
                self._refused.append(str(error))
                return False
        return True

    def report(self) -> None:
        """Raises DatasetError, which lists the faults; those left out are counted on stderr."""
        remedy = "--skip-invalid leaves out invalid annotations and photos" if self._invalid else ""
        skipped = self._invalid if self._options.skip_invalid else []
        refuse_faults(self._refused + ([] if skipped else self._invalid), str(self._source), remedy)
        if skipped:
            places = [fault.split(": ", 1)[0] for fault in skipped]
            note(f"{self._source}: left out {len(skipped)} invalid annotations or photos: {listed(places)}")


def finish(
    samples: Sequence[ForeignSample], names: Iterable[str], source: Path, options: ReadOptions, faults: Faults
) -> list[Sample]:
    """Reports faults, and gives samples the targets and the scope of their dataset's class names.

    Raises:
        DatasetError: there are faults, no photo, two photos of a name, or no class that is ours.
    """
    faults.report()
    if not samples:
        raise DatasetError(f"expected labelled photos in {source}, got none")
    require_unique(sample.name for sample in samples)
    names = list(dict.fromkeys(names))
    given = listed([brief(name) for name in names]) or "none"
    found = {target_of(name, options.targets) for name in names}
    missing = [surface for surface in CLASSES if surface.coco_id not in found]
    if len(missing) == len(CLASSES):
        raise DatasetError(f"expected the classes {', '.join(BY_NAME)}, got {given} ({source})")
    if missing:
        lacking = ", ".join(surface.name for surface in missing)
        note(f"{source}: no class for {lacking} among {given}: pixels outside the others are unlabelled")
    scope = LabelScope(frozenset(surface.coco_id for surface in missing))
    return [replace(sample, targets=options.targets, scope=scope) for sample in samples]


def background_of(is_complete: bool) -> int:
    """The label outside of all regions of a photo: unlabelled where an annotation was left out."""
    return OTHER if is_complete else IGNORE


def find_inside(root: Path, text: str, base: Path | None = None) -> Path | None:
    """The file or folder of a dataset that a path in one of its files means; None where there is none.

    Backslashes count as slashes. A path relative to `base` (default: the dataset) counts where it stays in the dataset;
    of other ones, absolute paths and addresses, the longest end that exists.
    """
    path = text.strip().replace("\\", "/")
    path = _DRIVE_OR_SCHEME.sub("", path, count=1) if _DRIVE_OR_SCHEME.match(path) else path
    places = [base or root, root]
    if path and not path.startswith("/"):
        exact = PurePosixPath(Path(os.path.relpath(places[0] / path, root)).as_posix())
        if ".." not in exact.parts and _exists(root / exact):
            return root / exact
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".")]
    while parts and parts[0] == "..":
        parts.pop(0)
    if ".." in parts:
        return None
    ends = (place.joinpath(*parts[start:]) for start in range(len(parts)) for place in dict.fromkeys(places))
    return next((end for end in ends if _exists(end)), None)


def named_by_split(name: str, split: str) -> str:
    """A sample's name that begins with its split's."""
    return name if not split or ("/" in name and name.startswith(split)) else f"{split}/{name}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
