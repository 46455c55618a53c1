"""Downloads weights: large files of known size and SHA-256, resumed where they broke off."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from filelock import FileLock, Timeout
from tqdm import tqdm

from models.weights.registry import sha256_of
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import is_plain_file
from surfaces.io.http import TRANSIENT_STATUSES, USER_AGENT, broke_off, first_cause
from surfaces.io.urls import AddressError, look_up, parse_url, resolve_public
from surfaces.messages import without_credentials

_CHUNK_BYTES = 1 << 20
_REDIRECTS_MAX = 10
_LOOK_UP_S = 10.0


class DownloadError(WeightsError):
    """The server can't be reached, refuses, or sends something else: other means may still get the file."""


class _TransientError(DownloadError):
    pass


class _NoConnectionError(_TransientError):
    pass


@dataclass(frozen=True)
class DownloadLimits:
    """Timeouts and retries of a download; its total time is not limited.

    Attributes:
        connect_s: longest wait for a connection, seconds.
        read_s: longest silence of a server, seconds.
        attempts: how many attempts in a row may fail without a new byte.
        pause_s: wait before the second attempt, seconds; doubled before each further one.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    attempts: int = 5
    pause_s: float = 1.0


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            _check_redirect(urljoin(resp.url, target), resp.url)
        return target


def _check_redirect(place: str, source: str) -> None:
    there, here = urlsplit(place), urlsplit(source)
    if here.scheme == "https" and there.scheme != "https":
        raise DownloadError(f"{source} redirects to {without_credentials(place)}, which is not encrypted")
    if there.hostname == here.hostname:
        return
    try:
        resolve_public(parse_url(place), False, look_up, _LOOK_UP_S)
    except AddressError as error:
        reason = str(error).removesuffix("; --allow-private permits it")
        raise DownloadError(f"{source} redirects to {without_credentials(place)}: {reason}") from error
    except (OSError, ValueError) as error:
        raise _TransientError(f"{source} redirects to {without_credentials(place)}: {first_cause(error)}") from error


@dataclass(frozen=True)
class _Part:
    """The bytes downloaded so far, and the server's tag of their version (HTTP's `If-Range`)."""

    path: Path

    @property
    def _tag_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.tag")

    @property
    def tag(self) -> str:
        return self._tag_path.read_text("ascii", "ignore") if is_plain_file(self._tag_path) else ""

    @property
    def length(self) -> int:
        return self.path.stat().st_size if is_plain_file(self.path) else 0

    def begin(self, tag: str) -> None:
        self.drop()  # it may be a link
        self.path.write_bytes(b"")
        self._tag_path.write_text(tag, "ascii")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag_path.unlink(missing_ok=True)

    def publish(self, path: Path) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(path)
        self.drop()


def download(address: str, path: Path, size: int, sha256: str, limits: DownloadLimits | None = None) -> None:
    """Downloads a file unless it is there; it gets its name when it is whole.

    An interrupted download resumes from `PATH.part`. Of several processes that want the same file one downloads, the
    others wait. Redirects are followed, to the public internet alone unless they stay on the host.

    Args:
        address: http or https.
        path: of the file; folders are created.
        size: bytes of the file.
        sha256: of its bytes, hexadecimal.
        limits: None: the defaults.

    Raises:
        DownloadError: the server can't be reached, refuses, breaks off too often, or has a file of other bytes.
        WeightsError: the file can't be written, or there is too little space.
    """
    part = _Part(path.with_name(f"{path.name}.part"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if not path.is_file():
                _check_space(part, size)
                _fetch(address, part, size, limits or DownloadLimits())
                _check(address, part, size, sha256)
                part.publish(path)
    except OSError as error:
        raise WeightsError(f"could not write {path}: {error.strerror or error}") from error


def _lock(path: Path) -> AbstractContextManager[object]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that downloads {path.name}", file=sys.stderr)
        return lock.acquire()


def _check_space(part: _Part, size: int) -> None:
    wanted, free = size - part.length, shutil.disk_usage(part.path.parent).free
    if free < wanted:
        raise WeightsError(
            f"expected {wanted / 1e6:.0f} MB of free space in {part.path.parent}, there are {free / 1e6:.0f}"
        )


def _check(address: str, part: _Part, size: int, sha256: str) -> None:
    length, found = part.length, sha256_of(part.path)
    if (length, found) != (size, sha256):
        part.drop()
        raise DownloadError(
            f"expected {size} bytes with sha256 {sha256[:12]}… from {address}, got {length} with {found[:12]}…"
        )


def _fetch(address: str, part: _Part, size: int, limits: DownloadLimits) -> None:
    """Attempts until the part is as long as the file. Only a server that has been reached once is waited for."""
    print(f"downloading {address} ({size / 1e6:.0f} MB)", file=sys.stderr)
    failures, reached = 0, False
    while (start := part.length) < size:
        try:
            _attempt(address, part, size, limits)
        except _TransientError as error:
            failures = 1 if part.length > start else failures + 1
            reached = reached or not isinstance(error, _NoConnectionError)
            if not reached or failures >= limits.attempts:
                raise
            time.sleep(limits.pause_s * 2 ** (failures - 1))


def _attempt(address: str, part: _Part, size: int, limits: DownloadLimits) -> None:
    try:
        with _Session() as session:
            session.max_redirects = _REDIRECTS_MAX
            session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
            if part.length:
                session.headers["Range"] = f"bytes={part.length}-"
                if part.tag:
                    session.headers["If-Range"] = part.tag
            with session.get(address, stream=True, timeout=(limits.connect_s, limits.read_s)) as response:
                _begin_or_resume(response, address, part, size)
                _append(response, part, size)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _explained(error, address, limits) from error


def _begin_or_resume(response: requests.Response, address: str, part: _Part, size: int) -> None:
    """Makes the part ready for the response's body, or raises."""
    status = response.status_code
    if status == requests.codes.ok:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != size:
            raise DownloadError(f"expected {size} bytes from {address}, the server offers {announced}")
        tag = response.headers.get("ETag", "")
        part.begin(tag if tag.startswith('"') and tag.isascii() else "")  # HTTP resumes by no weak tag
    elif status in (requests.codes.partial_content, requests.codes.requested_range_not_satisfiable):
        if response.headers.get("Content-Range") != f"bytes {part.length}-{size - 1}/{size}":
            part.drop()
            raise _TransientError(f"{address} could not be resumed: the server answered with another range")
    else:
        kind = _TransientError if status in TRANSIENT_STATUSES else DownloadError
        raise kind(f"expected a file at {address}, the server answered {status} {response.reason}".rstrip())


def _append(response: requests.Response, part: _Part, size: int) -> None:
    start = part.length
    with (
        part.path.open("ab") as file,
        tqdm(total=size, initial=start, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        # One byte too many is read, so that a longer file than expected is noticed.
        left = size - start + 1
        while left and (chunk := response.raw.read1(min(left, _CHUNK_BYTES))):
            file.write(chunk)
            bar.update(len(chunk))
            left -= len(chunk)
    if part.length < size:
        raise _TransientError(f"{response.url} broke off after {part.length} of {size} bytes")


def _explained(error: Exception, address: str, limits: DownloadLimits) -> DownloadError:
    """One line for what requests and urllib3 wrap in several exceptions."""
    if isinstance(error, requests.ConnectTimeout):
        return _NoConnectionError(f"no connection to {address} within {limits.connect_s:g} s")
    if isinstance(error, (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)):
        return _TransientError(f"{address} was silent for {limits.read_s:g} s")
    if broke_off(error):
        return _TransientError(f"{address} broke off: {first_cause(error)}")
    if isinstance(error, requests.ConnectionError):
        return _NoConnectionError(f"no connection to {address}: {first_cause(error)}")
    return DownloadError(f"{address} could not be downloaded: {first_cause(error)}")
