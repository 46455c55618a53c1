"""Content-addressed storage of photos, in a folder or in object storage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from surfaces.errors import MissingExtraError, OutputError
from surfaces.images.guards import format_of
from surfaces.io.atomic_files import is_plain_file, make_folder, replace_file, sweep
from surfaces.io.local_files import require_inside
from surfaces.io.storage import is_remote, local_path, open_remote
from surfaces.messages import in_a_line, without_credentials

PHOTOS = "photos"  # the default folder, within the corpus
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", None: ".img"}


def blob_name(sha256: str, data: bytes) -> str:
    """Returns the name of a photo, such as `ab/abcdef….jpg`; the suffix depends on the bytes."""
    name = format_of(data)
    return f"{sha256[:2]}/{sha256}{_SUFFIXES.get(name) or f'.{name}'.lower()}"


def open_blob_store(corpus: Path, place: str | None) -> BlobStore:
    """Opens the storage of photos and removes the half-written files of a killed crawl from the corpus.

    Args:
        corpus: its folder; no other crawl may be running there.
        place: a path, or a URL that `surfaces.io.storage` allows; None for `PHOTOS`.

    Raises:
        OutputError: it can't be written to, or the URL is not allowed.
        DatasetError: the corpus' own folder is a link that leaves the corpus.
        MissingExtraError: the package that fsspec needs is not installed.
    """
    folder = blob_store_folder(corpus, place)
    if folder is None:
        return RemoteBlobStore(str(place))
    if place is not None:
        return FolderBlobStore(folder, str(folder))
    require_inside(corpus, folder, "--store names another place for photos")
    store = FolderBlobStore(folder, PHOTOS)
    sweep(folder)
    return store


def blob_store_folder(corpus: Path, place: str | None) -> Path | None:
    """The local folder that `open_blob_store` writes to; None for object storage."""
    if place is None:
        return corpus / PHOTOS
    return None if is_remote(local_path(place)) else Path(local_path(place)).absolute()


class FolderBlobStore:
    """A local folder, created if missing; `prefix` is its path in manifests. Thread-safe."""

    def __init__(self, folder: Path, prefix: str) -> None:
        make_folder(folder)
        self._folder, self._prefix = folder, prefix

    def put(self, name: str, data: bytes) -> str:
        """Stores a photo atomically under its `blob_name`; returns its path as manifests show it.

        Raises:
            OutputError: it can't be stored.
            DatasetError: a link leaves the folder.
        """
        path = self._folder / name
        require_inside(self._folder, path.parent)
        # The name identifies the bytes, but a power cut may have left fewer of them.
        if not is_plain_file(path) or path.stat().st_size != len(data):
            replace_file(path, data)
        return f"{self._prefix}/{name}"

    def remove(self, sha256: str) -> int:
        """Removes the file of a photo, whatever its suffix; returns how many there were.

        Raises:
            OutputError: it can't be removed.
            DatasetError: a link leaves the folder.
        """
        folder = self._folder / sha256[:2]
        require_inside(self._folder, folder)
        paths = list(folder.glob(f"{sha256}.*"))
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"could not remove {folder / sha256}: {error.strerror}") from error
        return len(paths)


class RemoteBlobStore:
    """An fsspec URL such as `s3://bucket/prefix`; the bucket must exist. Thread-safe."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            self._files, self._root = open_remote(self._url)
        except MissingExtraError:
            raise
        except Exception as error:  # file systems raise anything: unknown schemes, missing keys
            raise OutputError(f"could not use {without_credentials(url)}: {in_a_line(error)}") from error

    def put(self, name: str, data: bytes) -> str:
        """As `FolderBlobStore.put`, but always writes: a request to look for the photo would cost as much."""
        path = f"{self._root}/{name}"
        try:
            try:
                self._files.pipe_file(path, data)
            except FileNotFoundError:  # object storage needs no folders, others do; buckets are never created
                with suppress(FileExistsError):  # another thread was faster
                    self._files.mkdir(path.rpartition("/")[0], create_parents=False)
                self._files.pipe_file(path, data)
        except Exception as error:  # file systems share no exception types
            raise OutputError(f"could not write {self._url}/{name}: {in_a_line(error)}") from error
        return f"{self._url}/{name}"

    def remove(self, sha256: str) -> int:
        """As `FolderBlobStore.remove`."""
        try:
            self._files.invalidate_cache()  # other processes have written since
            paths = self._files.glob(f"{self._root}/{sha256[:2]}/{sha256}.*")
            for path in paths:
                self._files.rm_file(path)
        except Exception as error:  # file systems share no exception types
            raise OutputError(f"could not remove {sha256} from {self._url}: {in_a_line(error)}") from error
        return len(paths)


BlobStore = FolderBlobStore | RemoteBlobStore
