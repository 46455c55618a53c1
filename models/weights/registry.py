"""The shipped weights, checked against their recorded hashes."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from surfaces.errors import WeightsError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import open_regular

FOLDER = Path(__file__).parent
INDEX = FOLDER / "shipped.toml"


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights, and the SHA-256 of its bytes, hexadecimal."""

    path: Path
    sha256: str


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hexadecimal.

    Raises:
        WeightsError: it is missing or cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"expected weights at {path}: {error.strerror}") from error


def shipped(kind: str) -> WeightsFile:
    """The shipped file of a kind: `onnx` for the runtime, `npz` to train from.

    Raises:
        WeightsError: the file or the record of its hash is missing, or it has other bytes.
    """
    try:
        entry = tomllib.loads(INDEX.read_text(encoding="utf-8"))[kind]
        path, recorded = FOLDER / entry["file"], str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"expected names and hashes of the weights in {INDEX}, got {error!r}: reinstall") from error
    found = sha256_of(path)
    if found != recorded:
        raise WeightsError(f"expected {path.name} with sha256 {recorded[:12]}…, got {found[:12]}…: reinstall")
    return WeightsFile(path, found)


def write_index(files: dict[str, Path]) -> None:
    """Records the shipped files by kind, with their hashes; they are in FOLDER."""
    entries = [f'[{kind}]\nfile = "{path.name}"\nsha256 = "{sha256_of(path)}"\n' for kind, path in files.items()]
    replace_file(INDEX, ("# Written by `python -m distill export --ship`.\n" + "\n".join(entries)).encode())
