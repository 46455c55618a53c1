"""Datasets of a command line: their arguments, several as one, and the side of their split."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surfaces.classes import BY_ID, BY_NAME
from surfaces.cli.arguments import local_path, positive
from surfaces.datasets import ReadOptions, Sample, open_dataset, split_blocks
from surfaces.datasets.reading import CROWDS, DEFAULT_OPTIONS
from surfaces.datasets.sample import WrappedSample, unwrapped
from surfaces.datasets.sample import read_sample as read_sample
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import refuse_overwrite
from surfaces.messages import counted

SPLITS = ("train", "val", "all")


@dataclass(frozen=True, eq=False)
class _RenamedSample(WrappedSample):
    """A sample whose name begins with its dataset's, since names of several datasets may clash."""

    dataset: str

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.sample.name}"


def add_dataset_arguments(parser: argparse.ArgumentParser, split: str) -> None:
    """Adds the datasets and their split, `split` where none is given, to a command."""
    parser.add_argument(
        "data",
        nargs="+",
        type=local_path,
        metavar="DATA",
        help="a dataset: a COCO file or another tool's folder, or a folder with packed.json or with images and masks",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=split,
        help="which side of each dataset's split by blocks of neighbouring photos (default: %(default)s)",
    )
    add_reading_arguments(parser)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds how datasets are read to a command."""
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out invalid annotations and photos of other tools' datasets (default: refuse the dataset)",
    )
    parser.add_argument(
        "--crowds",
        choices=CROWDS,
        default=DEFAULT_OPTIONS.crowds,
        help="COCO: what iscrowd annotations of dining tables are: one table each; refused; or tables that are not "
        "told apart, unless the file has no others (default: %(default)s)",
    )
    parser.add_argument("--images", type=local_path, metavar="DIR", help="COCO: the folder of the photos")
    parser.add_argument("--follow-links", action="store_true", help="take links that leave a dataset's folder")


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the exported network and how it runs to a command."""
    parser.add_argument("--weights", type=local_path, help="an exported network (default: the one that ships)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--accurate", action="store_true", help="as of segment.py: average with the mirror image")


def read_options(args: argparse.Namespace) -> ReadOptions:
    """How datasets are read, from the arguments of `add_reading_arguments`."""
    return ReadOptions(args.skip_invalid, args.crowds, args.images, args.follow_links)


def open_datasets(
    paths: Sequence[Path],
    split: str = "all",
    options: ReadOptions = DEFAULT_OPTIONS,
    names: Sequence[str] = (),
) -> list[Sample]:
    """Opens one side (one of `SPLITS`) of each dataset; of several, each sample's name begins with its dataset's.

    These names are `names`, where they are given also of one dataset, else those of `names_of`.

    Raises:
        DatasetError: one of them cannot be opened, or no photo is left.
    """
    samples: list[Sample] = []
    names = names or (names_of(paths) if len(paths) > 1 else [""])
    for path, name in zip(paths, names, strict=True):
        opened = open_dataset(path, options)
        chosen = opened if split == "all" else split_blocks(opened)[SPLITS.index(split)]
        samples += [_RenamedSample(sample, name) for sample in chosen] if name else chosen
    if not samples:
        hint = "" if split == "all" else ": too few to split; `--split all` takes all photos"
        raise DatasetError(f"expected photos on the {split} side of {', '.join(map(str, paths))}, got none{hint}")
    return samples


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name a dataset: its folder's, or as much of the end of its path as tells the datasets apart.

    Files of one folder are told apart by their names, too.
    """
    resolved = [path.resolve() for path in paths]
    of_files = [path.parent for path in resolved if not path.is_dir()]
    places = [
        path if path.is_dir() else path.with_suffix("") if of_files.count(path.parent) > 1 else path.parent
        for path in resolved
    ]
    for length in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-length:]).lstrip("/") for place in places]
        if len(set(names)) == len(set(places)):
            break
    return names


def protect_inputs(
    outputs: Iterable[Path], data: Iterable[Path], samples: Sequence[Sample], others: Iterable[Path | None] = ()
) -> None:
    """Stops a command whose outputs would overwrite its datasets (`data`, with their samples) or other inputs.

    Raises:
        OutputError: an output is one of the inputs.
    """
    files = {path for sample in samples for path in _files_of(sample)}
    refuse_overwrite(outputs, [*data, *files, *{path.parent for path in files}, *filter(None, others)])


def require_labelled(samples: Iterable[Sample]) -> None:
    """Checks that there is something to learn or to score; labels are read up to the first photo that has it.

    Raises:
        DatasetError: no pixel of any photo is labelled as one of the classes.
    """
    photos = 0
    for photos, sample in enumerate(samples, 1):  # noqa: B007
        labels = sample.labels()
        by_photo = labels.soft_labels is not None or labels.scope.absent
        if by_photo or np.isin(labels.semantic, list(BY_ID)).any():
            return
    raise DatasetError(
        f"expected pixels labelled as {', '.join(BY_NAME)}, got no labelled pixel in {counted(photos, 'photo')}"
    )


def subsample(samples: Sequence[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples at even distances; all of them where it is None."""
    if limit is None or limit >= len(samples):
        return list(samples)
    return [samples[index * len(samples) // limit] for index in range(limit)]


def _files_of(sample: Sample) -> list[Path]:
    """The files, or the folder, of a sample: the fields that are paths, in every format."""
    return [value for value in vars(unwrapped(sample)).values() if isinstance(value, Path)]
