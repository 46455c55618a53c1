"""The sources that `distill data` knows: how each is opened, its class map, licence, and where it can be had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from distill.sources.base import Source
from surfaces.cli.settings_files import SettingsError, unknown_name
from surfaces.datasets.reading import ReadOptions
from surfaces.licences import Licence


@dataclass(frozen=True)
class KnownSource:
    """A source.

    Attributes:
        name: as the command takes it.
        title: what it is.
        opener: `module:class` of this package that reads it.
        class_map: of the package, by name.
        licence: of its labels and photos.
        address: of the page that offers it.
    """

    name: str
    title: str
    opener: str
    class_map: str
    licence: Licence
    address: str = ""

    def open(self, path: Path, work: Path, options: ReadOptions) -> Source:
        """Opens it; `work` is a folder for an index. Raises DatasetError where there is no such dataset."""
        module, _, name = self.opener.partition(":")
        opener: Callable[[Path, Path, ReadOptions], Source] = getattr(import_module(f"distill.sources.{module}"), name)
        return opener(path, work, options)


OWN_DATA = "dataset"
"""The name of the source that is a dataset of any form; its licences are those that it states."""

_SOURCES = (
    KnownSource(
        "coco",
        "COCO 2017: instances, stuff, panoptic",
        "coco:CocoSource",
        "coco",
        Licence("COCO", "annotations CC-BY-4.0; photos of Flickr under the licence of each", "unknown"),
        "https://cocodataset.org/#download",
    ),
    KnownSource(
        "ade20k",
        "ADE20K SceneParsing (ADEChallengeData2016), 150 classes",
        "ade20k:SceneParsingSource",
        "ade20k",
        Licence("ADE20K", "labels BSD-3-Clause; photos for non-commercial research and education", "no"),
        "https://groups.csail.mit.edu/vision/datasets/ADE20K/",
    ),
    KnownSource(
        "ade20k-full",
        "ADE20K, the full release of 2021",
        "ade20k:Ade20kSource",
        "ade20k",
        Licence("ADE20K", "labels BSD-3-Clause; photos for non-commercial research and education", "no"),
        "https://groups.csail.mit.edu/vision/datasets/ADE20K/",
    ),
    KnownSource(
        "open-images",
        "Open Images V6 and V7: masks, boxes, image-level labels",
        "open_images:OpenImagesSource",
        "open-images",
        Licence(
            "Open Images", "annotations CC-BY-4.0; photos listed as CC-BY-2.0, which is not vouched for", "unknown"
        ),
        "https://storage.googleapis.com/openimages/web/index.html",
    ),
    KnownSource(
        "opensurfaces",
        "OpenSurfaces, release 0",
        "opensurfaces:OpenSurfacesSource",
        "opensurfaces",
        Licence("OpenSurfaces", "annotations CC-BY-4.0; photos under the licence of each", "unknown"),
        "http://opensurfaces.cs.cornell.edu/",
    ),
    KnownSource(
        "nyuv2",
        "NYU Depth v2, the labelled part (a .mat file)",
        "nyuv2:NyuSource",
        "nyuv2",
        Licence("NYU Depth v2", "none stated; research use", "unknown"),
        "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    ),
    KnownSource(
        "sun-rgbd",
        "SUN RGB-D",
        "sun_rgbd:open_sun_rgbd",
        "sun-rgbd",
        Licence("SUN RGB-D", "none stated; research use", "unknown"),
        "https://rgbd.cs.princeton.edu/",
    ),
    KnownSource(
        "rooms",
        "photos in folders by room: Places365, ImageFolder",
        "rooms:RoomFolders",
        "rooms",
        Licence("photos by room", "not known: that of the photos", "unknown"),
    ),
    KnownSource(
        OWN_DATA,
        "any dataset that opens here: COCO, YOLO, Pascal VOC, LabelMe, masks, label stores",
        "opened:OpenedDataset",
        "rooms",
        Licence("own data", "not known: that of the photos and labels", "unknown"),
    ),
)
SOURCES = {source.name: source for source in _SOURCES}


def known_source(name: str) -> KnownSource:
    """A source by its name; raises SettingsError for an unknown one."""
    if name not in SOURCES:
        raise SettingsError(unknown_name("source", name, SOURCES))
    return SOURCES[name]
