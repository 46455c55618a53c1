"""`python -m tools.training_data DATA OUT`: the reviewed photos as datasets with a split by perceptual hash.

DATA has the folders `tables`, `scenes`, `houses` and `ikea` (docs/results.md). OUT gets, as links to DATA's files:

- `tables`: photos with dining tables labelled and nothing else;
- `negatives`: those of `tables` where a network saw a dining table that is none, for a share of their own;
- `scenes`: photos with all classes labelled;
- `rooms`: bathrooms and bedrooms, which have no dining table;
- `unlabelled`: the other photos of `houses` and `ikea`, of which nothing is known;
- `tables-val`, `scenes-val`: photos kept apart. `tables-val` has no table that a network drew.

Photos that nearly look the same are on one side.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from surfaces.cli.arguments import local_path, share
from surfaces.cli.progress import track
from surfaces.errors import DatasetError
from surfaces.images.load import load_image
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash
from surfaces.io.atomic_files import new_folder
from tools.command_line import run_tool

DISTANCE_MAX = 10
TABLES_ONLY = 'labelled = ["dining table"]\n'
DESCRIPTIONS = {
    "tables": TABLES_ONLY,
    "tables-val": TABLES_ONLY,
    "negatives": TABLES_ONLY,
    "rooms": TABLES_ONLY + 'absent = ["dining table"]\n',
    "unlabelled": "labelled = []\n",
}
"""The `dataset.toml` of each dataset that has one."""


@dataclass(frozen=True)
class Photo:
    """A photo and its mask; None where nothing is drawn."""

    dataset: str
    path: Path
    mask: Path | None
    drawn_by_network: bool = False
    is_negative: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tool's arguments."""
    parser.add_argument("data", type=local_path, metavar="DATA", help="folder of `tables`, `scenes`, `houses`, `ikea`")
    parser.add_argument("out", type=local_path, metavar="OUT", help="the folder to write; it must not exist yet")
    parser.add_argument("--val-share", type=share, default=0.15, help="of the photos (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the datasets."""
    photos = sorted(find_photos(args.data), key=lambda photo: str(photo.path))
    with new_folder(args.out) as partial:
        for group in near_groups(photos):
            validates = any(photo.mask and not photo.drawn_by_network for photo in group)
            held_back = validates and share_of_name(min(photo.path.name for photo in group)) < args.val_share
            for photo in group:
                place(photo, partial, held_back)
        for folder in sorted(partial.iterdir()):
            if folder.name in DESCRIPTIONS:
                (folder / "dataset.toml").write_text(DESCRIPTIONS[folder.name])
            print(f"{folder.name}: {len(list((folder / 'images').iterdir()))} photos", file=sys.stderr)
    return 0


def find_photos(data: Path) -> Iterator[Photo]:
    """All photos; one of `scenes` is in no other dataset."""
    scenes = {}
    for row in rows(data / "scenes" / "index.csv"):
        scenes[data / row["photo"]] = Photo(
            "scenes", data / row["photo"], data / "scenes" / "masks" / f"{row['name']}.png"
        )
    yield from scenes.values()
    for row in rows(data / "tables" / "index.csv"):
        path, mask = (
            data / "tables" / kind / f"{row['name']}{suffix}"
            for kind, suffix in (("images", ".jpg"), ("masks", ".png"))
        )
        if path not in scenes:
            yield Photo("tables", path, mask, row["how"] == "accepted", row["how"] == "none")
    for path in sorted(path for folder in ("houses", "ikea") for path in (data / folder).glob("*.jpg")):
        if path not in scenes:
            without_table = path.stem.rsplit("_", 1)[-1] in ("bathroom", "bedroom")
            yield Photo("rooms" if without_table else "unlabelled", path, None)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file. Raises DatasetError where it cannot be read."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"expected a CSV file at {path}, got: {error}") from error


def near_groups(photos: list[Photo]) -> list[list[Photo]]:
    """Photos in groups of near-duplicates, each linked to another of its group."""
    index = NearDuplicateIndex(DISTANCE_MAX)
    leaders: dict[str, str] = {}
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in track(photos):
        hashed = near_hash(load_image(str(photo.path)))
        near = sorted({leaders[name] for name, _ in index.find_all(hashed)})
        leader = near[0] if near else str(photo.path)
        for other in near[1:]:
            for member in groups.pop(other):
                groups[leader].append(member)
                leaders[str(member.path)] = leader
        index.add(str(photo.path), hashed)
        leaders[str(photo.path)] = leader
        groups[leader].append(photo)
    return list(groups.values())


def share_of_name(name: str) -> float:
    """A number from 0 to 1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def place(photo: Photo, out: Path, held_back: bool) -> None:
    """Links a photo into its dataset; one of another origin than people's is dropped on the validation side."""
    if held_back and (photo.drawn_by_network or photo.mask is None):
        return
    for dataset in [f"{photo.dataset}-val"] if held_back else [photo.dataset, *["negatives"] * photo.is_negative]:
        link(photo, out / dataset)


def link(photo: Photo, folder: Path) -> None:
    """Links a photo and its mask into a dataset's folder; writes an empty mask where it has none."""
    image, mask = folder / "images" / photo.path.name, folder / "masks" / f"{photo.path.stem}.png"
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    image.symlink_to(photo.path.resolve())
    if photo.mask:
        mask.symlink_to(photo.mask.resolve())
    else:
        height, width = load_image(str(photo.path)).shape[:2]
        cv2.imwrite(str(mask), np.zeros((height, width), np.uint8))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; returns its exit code."""
    return run_tool("training_data", str(__doc__).splitlines()[0], add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
