"""The project's dataset format: COCO JSON and photos. Wall and floor are one annotation a photo, tables one each.

Regions that nobody vouches for are `iscrowd` regions, which evaluators leave out, with `ignore`: a table of another
kind as a dining table (calling it one is not punished), an unlabelled region as each of the classes. `iscrowd` alone is
COCO's crowd: dining tables that are not told apart.
The format is that of Lin et al., Microsoft COCO, ECCV 2014 (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from surfaces.classes import CLASSES, DINING_TABLE, IGNORE, OTHER, OTHER_TABLE, STUFF, SurfaceClass
from surfaces.datasets.coco_file import CocoContent, CocoRegion, Id, image_words, read_coco
from surfaces.datasets.coco_layout import FoundPhoto, PhotoFolders, split_name
from surfaces.datasets.coco_regions import decode_segmentation
from surfaces.datasets.coco_writer import new_coco
from surfaces.datasets.codec import decode_image, encode_jpeg, read_photo, suffix_of
from surfaces.datasets.folders import inside, new_folder, require_unique
from surfaces.datasets.normalize import is_normalized
from surfaces.datasets.reading import DEFAULT_OPTIONS, ReadOptions, counted, listed, note, refuse_faults
from surfaces.datasets.sample import Labels, Sample, read_sample
from surfaces.detections import Image, Mask
from surfaces.errors import DatasetError
from surfaces.masks.table_parts import numbered_without_gaps

_IMAGES = "images"


@dataclass(frozen=True)
class CocoSample:
    """A photo and its annotations in a COCO file.

    Attributes:
        name: the photo's path below `images` (or below the file's folder) without its suffix.
        image_path: the photo's file.
        size_hw: height and width that the COCO file states.
        regions: the photo's annotations.
        background: what pixels outside of all regions are: OTHER, or IGNORE where the file lacks a class or where
            an annotation was left out.
    """

    name: str
    image_path: Path
    size_hw: tuple[int, int]
    regions: tuple[CocoRegion, ...]
    background: int

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
        """Its labels, of the photo's own size. Where regions overlap, tables win over floor, and floor over wall."""
        return _labels_of(self.regions, self.size_hw, self.background)


def open_coco(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """The samples of a COCO file, in the file's order; what is unusual in the file is told on stderr.

    Args:
        path: the file. Categories are told by name, without regard to case, `_` and `-`; those that are none of our
            classes are left out. Classes that the file has no category for are unlabelled.
        options: how it is read.

    Raises:
        DatasetError: it is no COCO file, or it has faults, which are listed.
    """
    return list(_open_file(path, options))


def open_coco_splits(paths: Sequence[Path], options: ReadOptions = DEFAULT_OPTIONS) -> list[Sample]:
    """The samples of several COCO files as one dataset; each name begins with its split's.

    Raises:
        DatasetError: as `open_coco`; or a photo is in several files.
    """
    samples = [
        replace(sample, name=f"{split_name(path)}/{sample.name}")
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


def write_coco(samples: Sequence[Sample], folder: Path) -> int:
    """Writes a dataset as COCO JSON and photos. The folder appears whole or not at all.

    Photos are copied byte for byte to `images/` where they are upright JPEG or PNG files, else written as such. Regions
    are packed RLE: parts may be apart, holes stay holes.

    Args:
        samples: what to write; read one at a time.
        folder: where to; it must not exist yet.

    Returns:
        How many photos were written.

    Raises:
        DatasetError: two samples share a name, a name leads out of the folder, or a photo or its labels are invalid.
        OutputError: the folder exists or cannot be written.
    """
    require_unique(sample.name for sample in samples)
    with new_folder(folder) as partial, new_coco(partial) as coco:
        for sample in samples:
            image, labels = read_sample(sample)
            photo = sample.encoded_image()
            photo = photo if is_normalized(photo) else encode_jpeg(image)
            file_name = f"{_IMAGES}/{inside(sample.name)}{suffix_of(photo)}"
            (partial / file_name).parent.mkdir(parents=True, exist_ok=True)
            (partial / file_name).write_bytes(photo)
            image_id = coco.add_image(file_name, (labels.semantic.shape[0], labels.semantic.shape[1]))
            for region in coco_regions(labels):
                coco.add_region(image_id, region.surface, region.mask, region.crowd, ignore=int(region.ignored))
    return len(samples)


@dataclass(frozen=True, eq=False)
class LabelRegion:
    """A region of a photo's labels, as COCO has it.

    Attributes:
        surface: its class.
        mask: bool HxW, not empty.
        crowd: whether evaluators shall leave it out: it is ignored, or objects that are not told apart.
        ignored: whether nobody vouches for its pixels.
    """

    surface: SurfaceClass
    mask: Mask
    crowd: bool = False
    ignored: bool = False


def coco_regions(labels: Labels) -> Iterator[LabelRegion]:
    """The regions of a photo."""
    unlabelled = labels.semantic == IGNORE
    regions = [
        *(LabelRegion(surface, labels.semantic == surface.coco_id) for surface in STUFF),
        *(LabelRegion(DINING_TABLE, labels.tables == n) for n in range(1, int(labels.tables.max(initial=0)) + 1)),
        LabelRegion(DINING_TABLE, labels.table_crowd(), crowd=True),
        LabelRegion(DINING_TABLE, labels.semantic == OTHER_TABLE, crowd=True, ignored=True),
        *(LabelRegion(surface, unlabelled, crowd=True, ignored=True) for surface in CLASSES),
    ]
    return (region for region in regions if region.mask.any())


def _open_file(path: Path, options: ReadOptions) -> list[CocoSample]:
    content = read_coco(path, options)
    photos, faults, missing = _find_photos(content, PhotoFolders(path, options.images, options.follow_links))
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
    has_all_classes = set(CLASSES) <= content.classes
    return [
        CocoSample(
            _name_of(photos[image.id]),
            photos[image.id].path,
            image.size_hw,
            tuple(content.regions[image.id]),
            OTHER if has_all_classes and image.id not in content.incomplete else IGNORE,
        )
        for image in content.images
        if image.id in photos
    ]


def _find_photos(content: CocoContent, folders: PhotoFolders) -> tuple[dict[Id, FoundPhoto], list[str], list[str]]:
    """The photos by their images' ids; a line for each image whose name is at fault; one for each without a photo."""
    photos: dict[Id, FoundPhoto] = {}
    owners: dict[str, str] = {}
    faults, missing = [], []
    for image in content.images:
        try:
            photo = folders.find(image.file_name)
        except DatasetError as error:
            faults.append(f"{image_words(image)}: {error}")
            continue
        if photo is None:
            missing.append(f"{image_words(image)}: expected its photo inside the dataset, got none")
            continue
        photos[image.id] = photo
        owner = owners.setdefault(_name_of(photo), image_words(image))
        if owner != image_words(image):
            faults.append(f"{image_words(image)}: expected one image a name, got {_name_of(photo)} twice: {owner}")
    return photos, faults, missing


def _name_of(photo: FoundPhoto) -> str:
    return str(PurePosixPath(photo.name.removeprefix(f"{_IMAGES}/")).with_suffix(""))


def _labels_of(regions: Sequence[CocoRegion], size_hw: tuple[int, int], background: int) -> Labels:
    def masks(surface: SurfaceClass, crowd: bool = False, ignored: bool = False) -> Iterator[Mask]:
        for region in regions:
            if (region.surface, region.crowd, region.ignored) == (surface, crowd, ignored):
                yield decode_segmentation(region.segmentation, *size_hw)

    semantic = np.full(size_hw, background, np.uint8)
    for surface, value in ((DINING_TABLE, OTHER_TABLE), *((stuff, IGNORE) for stuff in STUFF)):
        for mask in masks(surface, ignored=True):
            semantic[mask] = value
    for surface in STUFF:  # no instances: a crowd of it is the same
        for mask in (*masks(surface), *masks(surface, crowd=True)):
            semantic[mask] = surface.coco_id
    for mask in masks(DINING_TABLE, crowd=True):
        semantic[mask] = DINING_TABLE.coco_id
    tables = np.zeros(size_hw, np.uint8)
    for number, mask in enumerate(masks(DINING_TABLE), 1):
        tables[mask] = number
    semantic[tables > 0] = DINING_TABLE.coco_id
    return Labels(semantic, numbered_without_gaps(tables))
