"""Where photos lie: content-addressed, in a folder or in object storage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from surfaces.errors import MissingExtraError, OutputError
from surfaces.files import is_plain_file, make_folder, replace_file, sweep
from surfaces.places import in_a_line, is_remote, local_path, open_remote
from surfaces.safe_paths import require_inside
from surfaces.wording import without_credentials

PHOTOS = "photos"
"""The folder of a corpus in which photos lie unless another place is named."""

_SUFFIXES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II", ".tif"),
    (b"MM", ".tif"),
)


class BlobStore(Protocol):
    """Holds photos by the sha256 of their bytes. `put` may be called from several threads."""

    def put(self, name: str, data: bytes) -> str:
        """Stores a photo; it appears whole or not at all.

        Args:
            name: sha256 and suffix, as `photo_name` makes it.
            data: its bytes.

        Returns:
            Where it lies, as a manifest tells it: relative to the corpus, absolute, or an address.

        Raises:
            OutputError: it can't be stored.
            DatasetError: a link leads out of the place.
        """


def photo_name(sha256: str, data: bytes) -> str:
    """A photo's name in a vault, such as `ab/abcdef….jpg`; the suffix is told from the bytes."""
    return f"{sha256[:2]}/{sha256}{_suffix(data)}"


def open_blob_store(corpus: Path, place: str | None) -> BlobStore:
    """Opens the place where photos go; what a killed crawl left half-written in its own folder is swept away.

    Args:
        corpus: its folder; no other crawl may work there.
        place: a path, `file:///…`, `s3://bucket/prefix`, `gs://…` or another address that `surfaces.places`
            allows; None: the folder `photos` of the corpus.

    Raises:
        OutputError: nothing can be written there, or the address is not allowed.
        DatasetError: the corpus' own folder is a link that leaves the corpus.
        MissingExtraError: the package that fsspec needs for it is not installed.
    """
    folder = blob_store_folder(corpus, place)
    if folder is None:
        return RemoteBlobStore(str(place))
    if place is None:
        require_inside(corpus, folder, "--store names another place for photos")
    vault = FolderBlobStore(folder, PHOTOS if place is None else str(folder))
    if place is None:
        sweep(folder)
    return vault


def blob_store_folder(corpus: Path, place: str | None) -> Path | None:
    """The folder on this machine that `open_blob_store` puts photos into; None for object storage."""
    if place is None:
        return corpus / PHOTOS
    return None if is_remote(local_path(place)) else Path(local_path(place)).absolute()


class FolderBlobStore:
    """A folder on a disk.

    Args:
        folder: created where absent.
        told: the folder as manifests tell it.
    """

    def __init__(self, folder: Path, told: str) -> None:
        make_folder(folder)
        self._folder, self._told = folder, told

    def put(self, name: str, data: bytes) -> str:
        """See `BlobStore`."""
        path = self._folder / name
        require_inside(self._folder, path.parent)
        # Its name says what the bytes are; a power cut may have left fewer of them.
        if not is_plain_file(path) or path.stat().st_size != len(data):
            replace_file(path, data)
        return f"{self._told}/{name}"


class RemoteBlobStore:
    """An address of fsspec, such as `s3://bucket/prefix`; the bucket must exist."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        try:
            self._files, self._root = open_remote(self._address)
        except MissingExtraError:
            raise
        except Exception as error:  # whatever the file systems raise: unknown schemes, missing keys
            raise OutputError(f"could not use {without_credentials(address)}: {in_a_line(error)}") from error

    def put(self, name: str, data: bytes) -> str:
        """See `BlobStore`. One request: to write again what a killed crawl wrote is rarer than to ask each time."""
        path = f"{self._root}/{name}"
        try:
            self._write(path, data)
        except Exception as error:  # no two file systems raise the same
            raise OutputError(f"could not write {self._address}/{name}: {in_a_line(error)}") from error
        return f"{self._address}/{name}"

    def _write(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(path, data)
        except FileNotFoundError:  # object storage needs no folders, others do; no bucket is ever made
            with suppress(FileExistsError):  # another thread was quicker
                self._files.mkdir(path.rpartition("/")[0], create_parents=False)
            self._files.pipe_file(path, data)


def _suffix(data: bytes) -> str:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ".webp"
    if data[4:8] == b"ftyp":
        return ".avif" if data[8:12] in (b"avif", b"avis") else ".heic"
    return next((suffix for signature, suffix in _SUFFIXES if data.startswith(signature)), ".img")
