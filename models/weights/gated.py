"""Weights that their authors give to people who have asked for them: fetched from the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.weights.official import cache_folder
from models.weights.registry import sha256_of
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import replace_file
from surfaces.messages import in_a_line

_RECORD = "sha256.json"


@dataclass(frozen=True)
class GatedFolder:
    """Files of a repository of the hub.

    Attributes:
        repository: `owner/name`.
        revision: the commit.
        files: SHA-256 by name, hexadecimal; empty where it is not known: it is recorded at the first download, and
            checked from then on.
        size: bytes of all files, about.
        licence: its own name.
    """

    repository: str
    revision: str
    files: Mapping[str, str]
    size: int
    licence: str

    @property
    def name(self) -> str:
        """The folder's in the cache."""
        return self.repository.rpartition("/")[2]

    @property
    def page(self) -> str:
        """Where access is asked for."""
        return f"https://huggingface.co/{self.repository}"

    def is_cached(self) -> bool:
        """Whether all files are in the cache."""
        return all((cache_folder() / self.name / file).is_file() for file in self.files)


# Size and hash of the weights as several unconnected public repositories record them (looked up in November 2026).
SAM3 = GatedFolder(
    "facebook/sam3",
    "3c879f39826c281e95690f02c7821c4de09afae7",
    {
        "config.json": "",
        "tokenizer.json": "",
        "model.safetensors": "6d06f0a5f84e435071fe6603e61d0b4cc7b40e0d39d487cfd4d67d8cc11cc14a",
    },
    3_439_938_512,
    "SAM License",
)
"""SAM 3 (Carion et al., 2025), as Meta publishes it for transformers."""


def find_gated(wanted: GatedFolder) -> Path:
    """The folder in the cache; downloaded where a file is missing, with the user's token (`hf auth login`).

    Raises:
        WeightsError: access is refused, the hub can't be reached, or a file has other bytes than the expected ones.
    """
    folder = cache_folder() / wanted.name
    for file in wanted.files:
        if not (folder / file).is_file():
            _download(wanted, file, folder)
    expected = {**_recorded(folder), **{file: sha256 for file, sha256 in wanted.files.items() if sha256}}
    found = {file: sha256_of(folder / file) for file in wanted.files}
    for file, sha256 in found.items():
        if expected.get(file, sha256) != sha256:
            raise WeightsError(
                f"expected sha256 {expected[file][:12]}… of {folder / file}, got {sha256[:12]}…: remove it, "
                "or name another folder with --weights where it is meant"
            )
    if expected != found:
        replace_file(folder / _RECORD, json.dumps(found, indent=2).encode())
    return folder


def _recorded(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _RECORD).read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"expected hashes of the weights in {folder / _RECORD}, got {in_a_line(error)}") from error


def _download(wanted: GatedFolder, file: str, folder: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        hf_hub_download(wanted.repository, file, revision=wanted.revision, local_dir=folder)
    except RepositoryNotFoundError as error:  # that access is refused is a kind of it
        raise WeightsError(
            f"{wanted.repository} is for people who have accepted its licence ({wanted.licence}) at {wanted.page}: do "
            "that, then `hf auth login`; or name a folder with its files with --weights"
        ) from error
    except Exception as error:  # of HTTP, of the disk, of the hub
        raise WeightsError(
            f"{file} of {wanted.repository} could not be downloaded: {in_a_line(error)}; get it from {wanted.page} by "
            "other means and name its folder with --weights"
        ) from error
