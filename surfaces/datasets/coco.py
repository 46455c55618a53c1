"""Reads datasets in COCO's format (Lin et al., Microsoft COCO, ECCV 2014), of this project and of other tools.

Wall and floor are one annotation per photo, each dining table is one. Unlabelled regions have `iscrowd` and `ignore`: a
table of another kind as a dining table (predicting one is no error), any other region once for each class. `iscrowd`
alone is COCO's crowd: dining tables without instances.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import numpy as np

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF, SurfaceClass
from surfaces.datasets.coco_file import CocoContent, CocoRegion, Id, describe_image, read_coco, require_small
from surfaces.datasets.coco_writer import COCO_NAME, IMAGES_NAME
from surfaces.datasets.coco_writer import write_coco as write_coco
from surfaces.datasets.codec import COCO_BYTES_MAX, decode_image, read_bytes, read_photo
from surfaces.datasets.reading import DEFAULT_OPTIONS, FOLLOW_LINKS, ReadOptions, note, refuse_faults
from surfaces.datasets.sample import Labels, LabelScope, Sample, require_unique
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError
from surfaces.io.local_files import relative_path, require_inside
from surfaces.masks.rle import decode_segmentation
from surfaces.masks.table_parts import numbered_without_gaps
from surfaces.messages import counted, listed

_ANNOTATIONS = "annotations"
_INSTANCES = "instances_"
_KIND = re.compile(r"^(instances|panoptic|stuff)_")
# Names that only COCO files have; a damaged file of such a name is an error.
_COCO_FILE = re.compile(r"instances_|_annotations\.coco\.json$")
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/|[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class CocoSample:
    """A photo and its annotations in a COCO file.

    Attributes:
        name: the photo's path below `images` (or below the file's folder) without its suffix.
        background: the label of pixels outside of all regions: OTHER, or IGNORE where an annotation was left out.
        scope: the classes without a category in the file are unlabelled.
    """

    name: str
    image_path: Path
    size_hw: tuple[int, int]
    regions: tuple[CocoRegion, ...]
    background: int
    scope: LabelScope

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        image = decode_image(self.encoded_image(), str(self.image_path))
        if image.shape[:2] != self.size_hw:
            raise DatasetError(
                f"expected {self.image_path} of {self.size_hw} (rows, columns), got {image.shape[:2]} (upright)"
            )
        return image

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return read_photo(self.image_path)

    def labels(self) -> Labels:
        """Its labels, of the photo's size. Where regions overlap, tables win over floor, and floor over wall."""
        semantic = np.full(self.size_hw, self.background, np.uint8)
        for surface, value in ((DINING_TABLE, OTHER_TABLE), *((stuff, IGNORE) for stuff in STUFF)):
            for mask in self._masks(surface, ignored=True):
                semantic[mask] = value
        for surface in STUFF:  # stuff has no instances: a crowd is a region
            for mask in (*self._masks(surface), *self._masks(surface, crowd=True)):
                semantic[mask] = surface.coco_id
        for mask in self._masks(DINING_TABLE, crowd=True):
            semantic[mask] = DINING_TABLE.coco_id
        tables = np.zeros(self.size_hw, np.uint8)
        for number, mask in enumerate(self._masks(DINING_TABLE), 1):
            tables[mask] = number
        semantic[tables > 0] = DINING_TABLE.coco_id
        return Labels(semantic, numbered_without_gaps(tables), scope=self.scope)

    def table_masks(self) -> list[Mask]:
        """The masks of its dining tables as they were drawn, bool HxW; they may overlap."""
        return list(self._masks(DINING_TABLE))

    def _masks(self, surface: SurfaceClass, crowd: bool = False, ignored: bool = False) -> Iterator[Mask]:
        for region in self.regions:
            if (region.surface, region.crowd, region.ignored) == (surface, crowd, ignored):
                yield decode_segmentation(region.segmentation, *self.size_hw)


def open_coco(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """The samples of a COCO file, in the file's order; notes on its peculiarities are written to stderr.

    Categories are matched by name, ignoring case, `_` and `-`; other categories are left out. Classes without a
    category are unlabelled (`LabelScope`). Raises DatasetError, which lists the faults.
    """
    return list(_open_file(path, options))


def open_coco_splits(paths: Sequence[Path], options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """The samples of several COCO files as one dataset; each name begins with its split's.

    Raises DatasetError as of `open_coco`, or where a photo is in several files.
    """
    samples = [
        replace(sample, name=f"{_split_name(path)}/{sample.name}")
        for path in paths
        for sample in _open_file(path, options)
    ]
    photos: dict[Path, list[str]] = defaultdict(list)
    for sample in samples:
        photos[sample.image_path.resolve()].append(sample.name)
    twice = [f"{path}: labelled as {' and '.join(names)}" for path, names in photos.items() if len(names) > 1]
    refuse_faults(twice, f"the splits {listed(paths)}", "name one of them")
    require_unique(sample.name for sample in samples)
    note(f"{counted(len(paths), 'COCO file')} are read as one dataset: {listed(paths)}; name one to read it alone")
    return list(samples)


def coco_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: one, or one for each of its splits (`train`, `valid`, `instances_train.json`, …).

    They are searched for in the folder, in its `annotations`, then in its other folders, each of which is a split.
    Raises DatasetError where a folder has several, and their names are not those of splits.
    """
    for place in (folder, folder / _ANNOTATIONS):
        if files := _files_directly_in(place):
            return files
    return [file for place in sorted(folder.iterdir()) if place.is_dir() for file in _files_directly_in(place)]


def _files_directly_in(folder: Path) -> list[Path]:
    if (folder / COCO_NAME).is_file():
        return [folder / COCO_NAME]
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    files = [path for path in paths if path.is_file() and (_COCO_FILE.match(path.name) or _looks_like_coco(path))]
    splits = [path for path in files if path.stem.startswith(_INSTANCES)]
    if len(files) > 1 and not splits:
        raise DatasetError(f"expected one COCO file in {folder}, got {listed([p.name for p in files])}: name one")
    return splits or files


def _looks_like_coco(path: Path) -> bool:
    require_small(path)
    content = read_bytes(path, COCO_BYTES_MAX).replace(b"\0", b"")  # UTF-16
    return all(key in content for key in _KEYS)


def _split_name(file: Path) -> str:
    """The end of `instances_train.json`, else the name of the file's folder."""
    return file.stem.removeprefix(_INSTANCES) if file.stem.startswith(_INSTANCES) else file.parent.name


@dataclass(frozen=True)
class FoundPhoto:
    """The file of a COCO image's photo; `by_tail` says that only the end of the image's `file_name` led to it."""

    path: Path
    name: str
    by_tail: bool

    @property
    def sample_name(self) -> str:
        """The name of its sample."""
        return str(PurePosixPath(self.name.removeprefix(f"{IMAGES_NAME}/")).with_suffix(""))


class PhotoFinder:
    """Finds the photos of a COCO file in the folders that tools use, or in the one that the options name."""

    def __init__(self, file: Path, options: ReadOptions) -> None:
        dataset = file.parent.parent if file.parent.name == _ANNOTATIONS else file.parent
        self._named = options.images
        self._follow_links = options.follow_links
        self._base = options.images or dataset
        split = _KIND.sub("", file.stem)
        roots = [file.parent]
        for base in (file.parent, dataset):
            roots += [base / "images" / split, base / "images", base / split, base / "data", base]
        self._roots = [root for root in ([options.images] if options.images else dict.fromkeys(roots)) if root.is_dir()]
        if options.images and not self._roots:
            raise DatasetError(f"expected the folder of the photos at {options.images}, got none")

    def find(self, file_name: str) -> FoundPhoto | None:
        """The photo of a `file_name`; None where there is none.

        Backslashes count as slashes, and percent-encoded names are tried as they are and decoded. Of absolute paths,
        URLs, and every name below `--images`, the longest end that is a file counts.
        """
        for spelling in dict.fromkeys((file_name, unquote(file_name))):
            path = spelling.replace("\\", "/")
            absolute = _ABSOLUTE.match(path)
            parts = PurePosixPath(relative_path(path[absolute.end() :].lstrip("/") if absolute else path)).parts
            for start in range(len(parts) if absolute or self._named else 1):
                name = "/".join(parts[start:])
                for root in self._roots:
                    if _is_file(root / name):
                        if not self._follow_links:
                            require_inside(self._base, root / name, FOLLOW_LINKS)
                        return FoundPhoto(root / name, name, bool(absolute or start))
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _open_file(path: Path, options: ReadOptions) -> list[CocoSample]:
    content = read_coco(path, options)
    photos, faults, missing = _find_photos(content, PhotoFinder(path, options))
    skipped = [*content.invalid, *missing]
    remedies = ["--skip-invalid leaves out invalid annotations and missing photos"] if skipped else []
    remedies += ["--images DIR names the photos' folder"] if missing else []
    faults = [*content.faults, *faults]
    refuse_faults(faults if options.skip_invalid else [*faults, *skipped], str(path), "; ".join(remedies))
    if skipped:
        counts = [(len(content.invalid), "invalid annotation"), (len(missing), "missing photo")]
        what = " and ".join(counted(count, noun) for count, noun in counts if count)
        note(f"{path}: left out {what}: {listed([line.split(':')[0] for line in skipped])}")
    by_tail = [photo.name for photo in photos.values() if photo.by_tail]
    if by_tail:
        note(f"{path}: {counted(len(by_tail), 'photo')} found by the end of their names: {listed(by_tail)}")
    scope = LabelScope(frozenset(surface.coco_id for surface in set(CLASSES) - content.classes))
    return [
        CocoSample(
            photos[image.id].sample_name,
            photos[image.id].path,
            image.size_hw,
            tuple(content.regions[image.id]),
            IGNORE if image.id in content.incomplete else OTHER,
            scope,
        )
        for image in content.images
        if image.id in photos
    ]


def _find_photos(content: CocoContent, finder: PhotoFinder) -> tuple[dict[Id, FoundPhoto], list[str], list[str]]:
    """The photos by the ids of their images; a line for each faulty name; a line for each missing photo."""
    photos: dict[Id, FoundPhoto] = {}
    owners: dict[str, str] = {}
    faults, missing = [], []
    for image in content.images:
        described = describe_image(image)
        try:
            photo = finder.find(image.file_name)
        except DatasetError as error:
            faults.append(f"{described}: {error}")
            continue
        if photo is None:
            missing.append(f"{described}: expected its photo inside the dataset, got none")
            continue
        photos[image.id] = photo
        owner = owners.setdefault(photo.sample_name, described)
        if owner != described:
            faults.append(f"{described}: expected one image a name, got {photo.sample_name} twice: {owner}")
    return photos, faults, missing
