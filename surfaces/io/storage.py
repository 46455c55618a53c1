"""Reads and writes files and objects of storage, such as `s3://bucket/room.jpg`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from surfaces.errors import DecodeError, FetchError, MissingExtraError, OutputError, SurfacesError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import open_regular
from surfaces.messages import brief, in_a_line, without_credentials

BYTES_MAX = 256_000_000
"""The largest file that is read as a photo."""

Stamp = tuple[int, int, int]
"""Inode, size and modification time: changes whenever a local file is written to."""

_SCHEMES_VARIABLE = "INTERIOR_SURFACES_STORAGE"  # allows further schemes of fsspec, such as `abfs,hf`
_URL = re.compile(r"(?:[a-z0-9+.-]+::)*[a-z][a-z0-9+.-]*://", re.IGNORECASE)  # fsspec chains with `::`
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WEB = re.compile(r"(?:^|::)https?://", re.IGNORECASE)


def is_remote(place: str) -> bool:
    """Whether a location is a URL rather than a path."""
    return _URL.match(place) is not None


def local_path(place: str) -> str:
    """The path of `file:///…` (also `file://localhost/…` and `file:/…`, RFC 8089); other locations are returned as is.

    Raises FetchError where the file would be on another machine, or the URL has no path.
    """
    if not place.lower().startswith("file:/"):
        return place
    try:
        parts = urlsplit(place)
    except ValueError as error:
        raise FetchError(f"expected an address of the form file:///path, got {brief(place)}") from error
    if parts.netloc.lower() not in ("", "localhost") or not parts.path:
        raise FetchError(f"expected a file of this machine, file:///path, got {brief(place)}")
    return url2pathname(parts.path) if os.name == "nt" else unquote(parts.path, errors="surrogateescape")


def name_of(address: str) -> str:
    """An object's key within its bucket, without suffix, empty parts and dots."""
    parts = [part for part in address.partition("://")[2].split("/") if part not in ("", ".", "..")]
    return os.path.splitext("/".join(parts[1:] or parts))[0]  # noqa: PTH122


def sha256_in_name(place: str) -> str | None:
    """The sha256 that is an object's name; None for other names, and for files."""
    name = PurePosixPath(place).stem
    return name if is_remote(place) and _SHA256.fullmatch(name) else None


def require_allowed(address: str) -> None:
    """Refuses URLs by which an untrusted list or store could reach more than object storage.

    Most of fsspec's file systems contact hosts that the URL names, chains (`::`) read one through another, and some
    run what they read. Raises FetchError where the URL chains file systems, contains a password, or its scheme is
    neither that of S3 or Google Cloud Storage nor named in INTERIOR_SURFACES_STORAGE.
    """
    scheme, _, rest = address.partition("://")
    if _WEB.search(address):
        raise FetchError("photos on the web are not read in place; `python -m autolabel crawl --urls` fetches them")
    allowed = {*_EXTRAS, *filter(None, re.split(r"[,\s]+", os.environ.get(_SCHEMES_VARIABLE, "").lower()))}
    shown = brief(without_credentials(address))
    if "::" in address or scheme.lower() not in allowed:
        names = ", ".join(f"{name}://" for name in sorted(allowed))
        raise FetchError(f"expected a path or an address of {names}, got {shown}; {_SCHEMES_VARIABLE} allows others")
    if re.match(r"[^/]*:[^/]*@", rest):
        raise FetchError(f"expected an address without a password, got {shown}")


def open_remote(address: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path within it; raises whatever fsspec raises for unreadable URLs.

    fsspec caches file systems, so this is cheap. Call it in each process: connections do not survive a fork. Further
    errors as of `require_allowed`, and MissingExtraError where a package is not installed.
    """
    require_allowed(address)
    scheme = address.partition("://")[0].lower()
    try:
        import fsspec  # segmenting photos must not need it

        found: tuple[Any, str] = fsspec.core.url_to_fs(scheme + address[len(scheme) :])
    except ImportError as error:
        extra = f"; pip install 'interior-surfaces[{_EXTRAS[scheme]}]'" if scheme in _EXTRAS else ""
        raise MissingExtraError(f"photos at {scheme}:// need another package: {in_a_line(error)}{extra}") from error
    return found


def read_bytes(place: str, bytes_max: int = BYTES_MAX) -> bytes:
    """All bytes of a file or an object.

    Raises FetchError where it cannot be read, DecodeError where it has more than `bytes_max` bytes, MissingExtraError
    where fsspec needs another package for the URL.
    """
    return read_stamped(place, bytes_max)[0]


def read_stamped(place: str, bytes_max: int = BYTES_MAX) -> tuple[bytes, Stamp | None]:
    """As `read_bytes`, with the file's stamp; None for objects, which are written whole and never modified."""
    return (_read_object(place, bytes_max), None) if is_remote(place) else _read_file(place, bytes_max)


def write_bytes(place: str, data: bytes) -> None:
    """Writes a file or an object whole or not at all: renamed into place, or one request to the storage.

    Raises OutputError where it cannot be written; further errors as of `open_remote`.
    """
    if not is_remote(place):
        replace_file(Path(place), data)
        return
    files, inside = open_remote(place)
    try:
        files.pipe_file(inside, data)
    except Exception as error:  # no two file systems raise the same
        raise OutputError(f"could not write {without_credentials(place)}: {in_a_line(error)}") from error


def find_files(place: str, pattern: str) -> list[str]:
    """The files below a folder, or objects below an address, that a pattern of `glob` matches, sorted.

    Raises FetchError where they cannot be listed; further errors as of `open_remote`.
    """
    if not is_remote(place):
        return sorted(map(str, Path(place).glob(pattern)))
    files, inside = open_remote(place)
    try:
        return sorted(files.unstrip_protocol(path) for path in files.find(inside) if PurePosixPath(path).match(pattern))
    except Exception as error:  # no two file systems raise the same
        raise FetchError(f"could not list {without_credentials(place)}: {in_a_line(error)}") from error


def remove_file(place: str) -> None:
    """Removes a file or an object. Raises OutputError where it is there after; further errors as of `open_remote`."""
    try:
        if is_remote(place):
            files, inside = open_remote(place)
            files.rm_file(inside)
        else:
            Path(place).unlink(missing_ok=True)
    except SurfacesError:
        raise
    except Exception as error:  # no two file systems raise the same
        raise OutputError(f"could not remove {without_credentials(place)}: {in_a_line(error)}") from error


def find_bytes(places: Iterable[str], sha256: str) -> tuple[str, bytes]:
    """The first location whose bytes have a sha256 (64 hexadecimal digits), and these bytes.

    Raises FetchError where there is none; the message says what is wrong with the last one.
    """
    reason = "no place of it is known"
    for place in places:
        try:
            data = read_bytes(place)
        except (FetchError, DecodeError) as error:
            reason = str(error)
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return place, data
        reason = "other bytes are there"
    raise FetchError(reason)


def stamp_of(path: str) -> Stamp | None:
    """A local file's current stamp; None where the file does not exist."""
    try:
        return _stamp(os.stat(path))  # noqa: PTH116
    except OSError:
        return None


def is_there(place: str) -> bool:
    """Whether a file or an object exists; True where storage cannot be asked."""
    if not is_remote(place):
        return Path(place).exists()
    try:
        files, inside = open_remote(place)
        return bool(files.exists(inside))
    except Exception:  # no two file systems raise the same
        return True


def _read_object(address: str, bytes_max: int) -> bytes:
    try:
        files, inside = open_remote(address)
        # One request, of a range, since the object's size is unknown.
        data = bytes(files.cat_file(inside, start=0, end=bytes_max + 1))
    except (MissingExtraError, FetchError):
        raise
    except FileNotFoundError as error:
        raise FetchError(f"there is no such object: {in_a_line(error)}") from error
    except Exception as error:  # no two file systems raise the same
        raise FetchError(f"the object could not be read: {in_a_line(error)}") from error
    if len(data) > bytes_max:
        raise DecodeError(f"expected at most {bytes_max} bytes, the object has more")
    return data


def _read_file(path: str, bytes_max: int) -> tuple[bytes, Stamp]:
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size > bytes_max:
                raise DecodeError(f"expected at most {bytes_max} bytes, got {status.st_size}")
            return file.read(status.st_size), _stamp(status)
    except (OSError, ValueError) as error:  # ValueError: a name that contains a NUL
        raise FetchError(f"the file could not be read: {getattr(error, 'strerror', None) or error}") from error


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns
