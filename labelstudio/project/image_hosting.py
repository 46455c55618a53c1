"""Brings photos to where the server's pages can show them, in the first way that works.

    object storage  where `--url-base` tells that the corpus lies on the web as well
    local files     the server reads the photo from its own disk, below its document root; one that `up` started reads
                    links there, one to each photo that was pushed
    upload          the photo is sent to the server

Whether a way works is found out by trying: what comes back must be the photo, byte for byte. Photos that are no upright
JPEG or PNG are always uploaded, as upright JPEG files, since browsers do not agree on how to show the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol
from urllib.parse import parse_qs, quote, urlencode

import httpx

from labelstudio.errors import DeliveryError, ServerUnavailableError
from labelstudio.project.labeling_config import Project
from labelstudio.project.tasks import read_field
from labelstudio.server.connection import Server
from labelstudio.server.local_server import Running
from labelstudio.sync.progress import tell
from surfaces.datasets.codec import suffix_of
from surfaces.datasets.normalize import normalize_photo
from surfaces.errors import FetchError
from surfaces.io.http import WHOLE_STATUSES, FetchLimits, ask, fetch
from surfaces.io.storage import is_remote
from surfaces.messages import printable
from surfaces.store.label_store import StoredPhoto
from surfaces.store.records import StoredPhoto

_REFUSED = (400, 413)
_LONGEST_REFUSAL = 500


@dataclass(frozen=True)
class Original:
    """A photo to deliver.

    Attributes:
        photo: the store's record of it.
        place: the path or address of these bytes (`surfaces.io.storage`).
        data: its file.
    """

    photo: StoredPhoto
    place: str
    data: bytes


class Upload:
    """Photos that are sent to the server, each once: a file's name there is its photo's sha256."""

    told = "they are uploaded to the server"

    def __init__(self, server: Server, project: Project) -> None:
        self._server, self._project = server, project
        self._sent: dict[str, str] | None = None
        self._works = False

    def address(self, original: Original) -> str:
        """Uploads the photo's file."""
        return self.send(original.photo.sha256, original.data)

    def send(self, sha256: str, data: bytes) -> str:
        """Uploads a JPEG or PNG file as the one that is shown for a photo; an earlier upload is taken again.

        Returns:
            Its address on the server.

        Raises:
            DeliveryError: the server does not take it, or does not give it back.
        """
        name = f"{sha256}{suffix_of(data)}"
        if self._sent is None:
            self._sent = self._list()
        address = self._sent.get(name) or self._post(name, data)
        if not self._works:
            response = self._server.session.get(address)
            if not response.is_success or response.content != data:
                raise DeliveryError(f"the server took {name} and gives other bytes back (HTTP {response.status_code})")
            self._works = True
        return address

    def _list(self) -> dict[str, str]:
        """What was uploaded to the project before, perhaps by a push that was cut short; the server adds a prefix."""
        response = self._server.session.get(f"/api/projects/{self._project.id}/file-uploads", params={"all": "true"})
        files = [read_field(known, "file", str, ServerUnavailableError) for known in response.raise_for_status().json()]
        return {PurePosixPath(file).name.partition("-")[2]: f"/data/{file}" for file in files}

    def _post(self, name: str, data: bytes) -> str:
        response = self._server.session.post(
            f"/api/projects/{self._project.id}/import",
            params={"commit_to_project": "false"},
            files={"photo": (name, data)},
        )
        if response.status_code in _REFUSED:
            raise DeliveryError(f"the server does not take an upload of {len(data)} bytes: {refusal(response)}")
        numbers = read_field(response.raise_for_status().json(), "file_upload_ids", list, ServerUnavailableError)
        known = self._server.session.get(f"/api/import/file-upload/{''.join(map(str, numbers[:1]))}").raise_for_status()
        return f"/data/{read_field(known.json(), 'file', str, ServerUnavailableError)}"


def refusal(response: httpx.Response) -> str:
    """Why the server refused, in its own words on one line; other errors are raised."""
    if response.status_code not in _REFUSED:
        response.raise_for_status()
    try:
        errors = response.json()["validation_errors"]["non_field_errors"]
        return printable(" ".join(map(str, errors)))[:_LONGEST_REFUSAL]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


WAYS = ("url", "local", "upload")

_DOCUMENT_ROOT = re.compile(r'LOCAL_FILES_DOCUMENT_ROOT="([^"]*)"')
_STORAGES = "/api/storages/localfiles/"
_LOCAL_FILES = "/data/local-files/"
_STORAGE_TITLE = "photos to review"
_NO_FILE = "(?!)"


class NotThisWayError(Exception):
    """A photo cannot be shown in this way; says why."""


class ClosedWayError(NotThisWayError):
    """No photo can be shown in this way."""


class Way(Protocol):
    """One way to bring photos to the server."""

    @property
    def told(self) -> str:
        """What is said when a photo first goes this way."""

    def address(self, original: Original) -> str:
        """Delivers a photo that browsers show as it is.

        Returns:
            What a task's image column must hold.

        Raises:
            NotThisWayError: it cannot be shown in this way.
        """


class Delivery:
    """Tries the ways in order, for each photo."""

    def __init__(self, ways: Sequence[Way], upload: Upload) -> None:
        """Prepares delivery.

        Args:
            ways: the preferred one first; `upload` is one of them, or not.
            upload: for photos that cannot be shown as they are.
        """
        self._ways, self._upload = ways, upload
        self._used: set[Way] = set()
        self._closed: dict[Way, str] = {}

    def address(self, original: Original) -> str:
        """Delivers a photo; a line on stderr tells when a way is taken for the first time, and why not an earlier one.

        Returns:
            What a task's image column must hold.

        Raises:
            DeliveryError: no way works.
            DecodeError: the bytes are no photo.
        """
        shown = normalize_photo(original.data)
        if shown is not original.data:
            return self._upload.send(original.photo.sha256, shown)
        reasons: list[str] = []
        for way in self._ways:
            try:
                address = self._try(way, original)
            except NotThisWayError as reason:
                reasons.append(str(reason))
                continue
            if way not in self._used:
                self._used.add(way)
                tell("; ".join([f"photos: {way.told}", *reasons]))
            return address
        raise DeliveryError(f"the server cannot be brought to show {original.place}: {'; '.join(reasons)}")

    def show_again(self, address: str, read: Callable[[], Original]) -> None:
        """Links a task's photo again whose link is gone, or was none: version 0.1 had the server read whole folders.

        Args:
            address: of the photo, as the task has it.
            read: gets the photo; called where it is needed.
        """
        for way in self._ways:
            if isinstance(way, LinkedFiles) and way.is_missing(address):
                with suppress(NotThisWayError):
                    way.address(read())

    def _try(self, way: Way, original: Original) -> str:
        if way in self._closed:
            raise NotThisWayError(self._closed[way])
        try:
            return way.address(original)
        except ClosedWayError as reason:
            self._closed[way] = str(reason)
            raise


def plan_delivery(
    server: Server, project: Project, way: str, url_base: str | None, here: Running | None = None
) -> Delivery:
    """What photos will be delivered by.

    Args:
        server: that shows them.
        project: that they are for.
        way: one of `WAYS`, or `auto` for all of them.
        url_base: the corpus on the web, or None.
        here: the server, where it is one that `up` started.
    """
    files = LocalFiles(server, project)
    local = LinkedFiles(files, Path(here.photos), Path(here.links)) if here and here.links else files
    upload = Upload(server, project)
    ways: dict[str, Way] = {"url": WebAddress(url_base)} if url_base else {}
    ways |= {"local": local, "upload": upload}
    if way == "auto":
        return Delivery(list(ways.values()), upload)
    if way not in ways:
        raise DeliveryError("expected --url-base with `--photos url`, got none")
    return Delivery([ways[way]], upload)


class WebAddress:
    """Photos that lie on the web as they lie in their corpus."""

    def __init__(self, base: str) -> None:
        if not base.startswith(("http://", "https://")):
            raise DeliveryError(f"expected --url-base to be an http or https address, got {base!r}")
        self._base = base.rstrip("/")
        self._works = False

    @property
    def told(self) -> str:
        """What is said when a photo first goes this way."""
        return f"browsers fetch them from {self._base}"

    def address(self, original: Original) -> str:
        """The photo's address on the web; the first one is fetched and compared."""
        address = f"{self._base}/{quote(_path_in_corpus(original.photo))}"
        if not self._works:
            try:
                came = _came_from_web(address)
            except FetchError as error:
                raise ClosedWayError(f"not from {self._base}, which does not answer with {address}: {error}") from error
            if came != original.data:
                raise ClosedWayError(f"not from {self._base}, which has other bytes at {address}")
            self._works = True
        return address


class LocalFiles:
    """Photos that the server reads from its own disk: it serves folders below its document root, to who may see the
    project that has an import storage there. The storage is open to no file's name, so that nobody doubles tasks by
    synchronising it."""

    def __init__(self, server: Server, project: Project) -> None:
        self._server, self._project = server, project
        self._root: PurePath | None = None
        self._folders: dict[PurePath, str] = {}
        """Whether folders are served: nothing, or why not."""

    @property
    def told(self) -> str:
        """What is said when a photo first goes this way."""
        return f"the server reads them from its own disk, below {self._root}"

    def address(self, original: Original) -> str:
        """The photo's address on the server; the first one of each folder that is opened is fetched and compared."""
        if is_remote(original.place):
            raise NotThisWayError(f"not from the server's disk, {original.place} lies in object storage")
        if self._root is None:
            self._root = self._ask_root()
        relative = _below(PurePath(original.place), self._root)
        if relative is None or len(relative.parts) == 1:
            raise NotThisWayError(f"not from the server's disk, it serves subfolders of {self._root}")
        query = urlencode({"d": relative.as_posix()}, quote_via=quote)
        address = f"{_LOCAL_FILES}?{query}"
        folder = self._root / _folder_to_open(relative, original.photo)
        if folder not in self._folders:
            self._folders[folder] = self._open(folder, address, original.data)
        if self._folders[folder]:
            raise NotThisWayError(self._folders[folder])
        return address

    def _ask_root(self) -> PurePath:
        """The document root, which the server tells when it refuses a storage that is not below it."""
        response = self._server.session.post(
            f"{_STORAGES}validate", json={"project": self._project.id, "path": Path("/").anchor}
        )
        told = _DOCUMENT_ROOT.search(refusal(response))
        if not told:
            raise ClosedWayError("not from the server's disk, it does not tell its document root")
        return PurePath(told.group(1))

    def _open(self, folder: PurePath, address: str, data: bytes) -> str:
        """Has a folder served; returns nothing, or why it is not."""
        made = self._make_storage(folder)
        if isinstance(made, str):
            return f"not from the server's disk: {made}"
        response = self._server.session.get(address)
        if response.is_success and response.content == data:
            if made is not None:
                tell(f"opened {folder} to the people of project {self._project.title!r}: they can read all files in it")
            return ""
        if made is not None:
            self._server.session.delete(f"{_STORAGES}{made}").raise_for_status()
        came = "other bytes" if response.is_success else f"HTTP {response.status_code}"
        return f"not from the server's disk, which has {came} in {folder}"

    def _make_storage(self, folder: PurePath) -> int | str | None:
        """Makes an import storage; its number, or why it was refused, or None where there was one."""
        known = self._server.session.get(_STORAGES, params={"project": self._project.id}).raise_for_status().json()
        paths = [read_field(storage, "path", str, ServerUnavailableError) for storage in known]
        if any(_below(folder, PurePath(path)) is not None for path in paths):
            return None
        settings = {"project": self._project.id, "path": str(folder), "title": _STORAGE_TITLE}
        response = self._server.session.post(_STORAGES, json=settings | {"regex_filter": _NO_FILE})
        return (
            read_field(response.json(), "id", int, ServerUnavailableError) if response.is_success else refusal(response)
        )


class LinkedFiles:
    """Photos that a server which `up` started reads through links: nothing else of their folder can be seen there.

    Args:
        files: of the server, below whose document root the links lie.
        photos: the folder whose photos may be linked.
        links: the document root. It is laid out as `photos` is.
    """

    def __init__(self, files: LocalFiles, photos: Path, links: Path) -> None:
        self._files, self._photos, self._links = files, photos, links
        self._folder = links / (photos.name or "photos")

    @property
    def told(self) -> str:
        """What is said when a photo first goes this way."""
        return f"the server reads them from its own disk, through links in {self._links}"

    def is_missing(self, address: str) -> bool:
        """Whether an address is one of a link that is not there."""
        prefix, _, query = address.partition("?")
        named = parse_qs(query).get("d", [""])[0] if prefix == _LOCAL_FILES else ""
        link = self._links / named.lstrip("/")
        return bool(named) and ".." not in link.parts and link.is_relative_to(self._folder) and not link.is_symlink()

    def address(self, original: Original) -> str:
        """Links the photo; returns its address on the server."""
        relative = None if is_remote(original.place) else _below(PurePath(original.place), self._photos)
        if relative is None:
            raise NotThisWayError(f"not from the server's disk, {original.place} does not lie in {self._photos}")
        link = self._folder / relative
        target = Path(original.place).resolve()
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_symlink() and link.readlink() != target:
                link.unlink()
            with suppress(FileExistsError):
                link.symlink_to(target)
        except OSError as error:
            raise NotThisWayError(f"not from the server's disk, no link at {link}: {error.strerror}") from error
        return self._files.address(replace(original, place=str(link)))


def _came_from_web(address: str) -> bytes:
    """What lies at an address that the user gave, on this machine perhaps; a redirect leads to the internet alone."""
    answer = ask(address, FetchLimits(allow_private=True))
    if answer.redirect:
        return fetch(answer.redirect)
    if answer.status not in WHOLE_STATUSES:
        raise FetchError(f"HTTP {answer.status}")
    return answer.body


def _path_in_corpus(photo: StoredPhoto) -> str:
    name = photo.name.removesuffix(f"-{photo.sha256[:12]}")
    source = photo.source if is_remote(photo.source) else PurePath(photo.source).as_posix()
    relative = name + PurePosixPath(source).suffix
    if not source.endswith(f"/{relative}"):
        raise NotThisWayError(f"not from the web, {photo.source} does not lie in its corpus as {relative}")
    return relative


def _folder_to_open(relative: PurePath, photo: StoredPhoto) -> PurePath:
    """The photo's corpus, or what of it is below the document root: the first folder there at most.

    Args:
        relative: the photo's path below the root, of two parts or more.
        photo: the store's record of it.
    """
    with suppress(NotThisWayError):
        inside = PurePath(_path_in_corpus(photo)).parts
        shared = min(len(inside), len(relative.parts))
        if inside[-shared:] == relative.parts[-shared:]:
            return PurePath(*relative.parts[: max(1, len(relative.parts) - len(inside))])
    return relative.parent


def _below(path: PurePath, folder: PurePath) -> PurePath | None:
    """A path relative to a folder, links followed; None where it is not below it."""
    # `..` would lead out of the folder again.
    for inner, outer in ((path, folder), (Path(path).resolve(), Path(folder).resolve())):
        if ".." not in inner.parts and inner.is_relative_to(outer):
            return inner.relative_to(outer)
    return None
