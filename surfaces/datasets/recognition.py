"""Recognises the datasets of other tools by their files: YOLO, Pascal VOC, maps of classes, LabelMe."""

from __future__ import annotations

from pathlib import Path

from surfaces.datasets.class_maps import (
    CITYSCAPES_MAPS,
    CITYSCAPES_PHOTOS,
    class_lists,
    open_cityscapes,
    open_roboflow_masks,
)
from surfaces.datasets.labelme import labelme_files, open_labelme
from surfaces.datasets.reading import ReadOptions
from surfaces.datasets.sample import Sample
from surfaces.datasets.voc import BOXES, CLASS_MAPS, open_voc
from surfaces.datasets.yolo import open_yolo
from surfaces.datasets.yolo_config import config_file

FOREIGN_FORMS = "YOLO, Pascal VOC, Roboflow's masks, Cityscapes or LabelMe"


def open_foreign(folder: Path, options: ReadOptions) -> list[Sample] | None:
    """The samples of a folder that another tool wrote; None where it is of no known form.

    Raises:
        DatasetError: it is of a known form, and invalid.
    """
    if config := config_file(folder):
        return open_yolo(config, options)
    if (folder / CLASS_MAPS).is_dir() or any((folder / BOXES).glob("*.xml")):
        return open_voc(folder, options)
    if class_lists(folder):
        return open_roboflow_masks(folder, options)
    if (folder / CITYSCAPES_PHOTOS).is_dir() and (folder / CITYSCAPES_MAPS).is_dir():
        return open_cityscapes(folder, options)
    files, others = labelme_files(folder)
    return open_labelme(folder, files, others, options) if files else None
