"""Several datasets as one, and the side of their split that a command works on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surfaces.arguments import positive as positive
from surfaces.dataset import Labels, Sample, open_dataset, split_blocks
from surfaces.detections import Image
from surfaces.errors import DatasetError

SPLITS = ("train", "val", "all")


@dataclass(frozen=True)
class RenamedSample:
    """A sample under another name, since names of several datasets may clash."""

    name: str
    sample: Sample

    def image(self) -> Image:
        """The photo, uint8 HxWx3 RGB."""
        return self.sample.image()

    def encoded_image(self) -> bytes:
        """The photo's file, byte for byte."""
        return self.sample.encoded_image()

    def labels(self) -> Labels:
        """Its labels, of the photo's own size."""
        return self.sample.labels()


def add_dataset_arguments(parser: argparse.ArgumentParser, split: str) -> None:
    """Adds the datasets and their split, `split` where none is given, to a command."""
    parser.add_argument(
        "data",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="a dataset: a COCO file, or a folder with annotations.json, packed.json, or images and masks",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=split,
        help="which side of each dataset's split by blocks of neighbouring photos (default: %(default)s)",
    )


def open_datasets(paths: Sequence[Path], split: str = "all") -> list[Sample]:
    """Opens datasets one after another.

    Args:
        paths: of datasets; each is split on its own.
        split: one of `SPLITS`.

    Returns:
        Their samples; where there are several datasets each name begins with its folder's.

    Raises:
        DatasetError: one of them cannot be opened, or no photo is left.
    """
    samples: list[Sample] = []
    for path in paths:
        opened = open_dataset(path)
        chosen = opened if split == "all" else split_blocks(opened)[SPLITS.index(split)]
        samples += [RenamedSample(f"{_title(path)}/{s.name}", s) for s in chosen] if len(paths) > 1 else chosen
    if not samples:
        hint = "" if split == "all" else ": too few to split; `--split all` takes all photos"
        raise DatasetError(f"expected photos on the {split} side of {', '.join(map(str, paths))}, got none{hint}")
    return samples


def read_sample(sample: Sample) -> tuple[Image, Labels]:
    """A sample's photo and labels.

    Raises:
        DatasetError: they cannot be read, or their sizes differ.
    """
    image, labels = sample.image(), sample.labels()
    photo, labelled = image.shape[:2], labels.semantic.shape
    if photo != labelled:
        raise DatasetError(f"expected labels of the photo's size {photo} for {sample.name}, got {labelled}")
    return image, labels


def spread(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples at even distances; all of them where it is None."""
    if limit is None or limit >= len(samples):
        return list(samples)
    return [samples[index * len(samples) // limit] for index in range(limit)]


def _title(path: Path) -> str:
    path = path.resolve()
    return path.name if path.is_dir() else path.parent.name
