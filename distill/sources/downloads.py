"""Published datasets that may be downloaded: files, hashes, terms; and the folder they are unpacked to."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.weights.download import DownloadLimits, download
from models.weights.official import Checkpoint
from surfaces.cli.progress import track
from surfaces.errors import DatasetError, OutputError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import relative_path

TERMS_NAME = "TERMS.txt"
_COPIED_AT_ONCE = 1 << 20

# Sizes and hashes are those that TensorFlow Datasets records (url_checksums/coco.txt, ade20k.txt; November 2026).
_COCO = "http://images.cocodataset.org"
_COCO_TERMS = """COCO 2017. Annotations: CC BY 4.0 (COCO Consortium). Photos: of Flickr, each under its own licence,
which the annotations name; Flickr's terms of use hold too. See https://cocodataset.org/#termsofuse"""
_ADE20K_TERMS = """ADE20K. Labels and code: BSD 3-Clause. Photos: for non-commercial research and education only;
their owners keep their rights. See https://groups.csail.mit.edu/vision/datasets/ADE20K/terms/"""


@dataclass(frozen=True)
class Download:
    """The files of a dataset.

    Attributes:
        parts: archives by name, of which the user may choose.
        terms: of use, to be accepted.
        imports: the command that imports it, with `FOLDER` for the folder.
    """

    parts: Mapping[str, Checkpoint]
    terms: str
    imports: str


DOWNLOADS = {
    "coco": Download(
        {
            "panoptic": Checkpoint(
                f"{_COCO}/annotations/panoptic_annotations_trainval2017.zip",
                860_725_834,
                "c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
                "CC-BY-4.0",
            ),
            "instances": Checkpoint(
                f"{_COCO}/annotations/annotations_trainval2017.zip",
                252_907_541,
                "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
                "CC-BY-4.0",
            ),
            "val-photos": Checkpoint(
                f"{_COCO}/zips/val2017.zip",
                815_585_330,
                "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                "of each photo",
            ),
            "train-photos": Checkpoint(
                f"{_COCO}/zips/train2017.zip",
                19_336_861_798,
                "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                "of each photo",
            ),
        },
        _COCO_TERMS,
        "python -m distill data import coco FOLDER/annotations/panoptic_train2017.json --out coco",
    ),
    "ade20k": Download(
        {
            "all": Checkpoint(
                "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
                967_382_037,
                "7ff1be44964418441f542a7cc1e1a650e7dc0fc275f5d23252bc9bbdbc977b29",
                "research",
            )
        },
        _ADE20K_TERMS,
        "python -m distill data import ade20k FOLDER/ADEChallengeData2016 --out ade20k",
    ),
}


def accept_terms(terms: str, folder: Path, accepted: bool) -> None:
    """Keeps the terms that the user accepts in the folder, where they count for later calls too.

    Raises DatasetError, which has the terms, where they are not accepted.
    """
    file = folder / TERMS_NAME
    if file.is_file() and file.read_text("utf-8") == terms:
        return
    if not accepted:
        raise DatasetError(f"expected --accept-terms, which says that you accept these terms:\n{terms}")
    replace_file(file, terms.encode())


def fetch(parts: Sequence[Checkpoint], folder: Path, limits: DownloadLimits | None = None) -> None:
    """Downloads archives to a folder and unpacks them there; what is there already is not fetched again.

    An archive is removed when it is unpacked; a record of it remains (`.NAME.unpacked`).

    Raises:
        DownloadError: as of `models.weights.download.download`.
        DatasetError: an archive holds names that lead out of the folder.
        OutputError: the folder cannot be written.
    """
    for part in parts:
        done = folder / f".{part.name}.unpacked"
        if done.is_file():
            continue
        archive = folder / part.name
        download(part.address, archive, part.size, part.sha256, limits)
        try:
            unpack(archive, folder)
            done.write_text(part.sha256)
            archive.unlink()
        except OSError as error:
            raise OutputError(f"could not write {folder}: {error.strerror or error}") from error


def _is_note_of_macos(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a ZIP file; ZIP files in it are unpacked beside themselves (COCO's panoptic annotations).

    Raises DatasetError where it is none, or holds names that lead out of the folder.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if not name.endswith("/") and not _is_note_of_macos(name)]
            for name in track(names, unit="file"):
                target = folder / relative_path(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, _COPIED_AT_ONCE)
                if target.suffix == ".zip":
                    unpack(target, target.parent)
                    target.unlink()
    except (zipfile.BadZipFile, io.UnsupportedOperation) as error:
        raise DatasetError(f"expected a ZIP file at {archive}, got: {error}") from error
