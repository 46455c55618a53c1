"""Makes photos visible to the server's pages, by the first hosting method that returns the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol
from urllib.parse import parse_qs, quote, urlencode

import httpx

from labelstudio.errors import HostingError, ServerUnavailableError
from labelstudio.project.labeling_config import Project
from labelstudio.project.tasks import read_field
from labelstudio.server.connection import Server
from labelstudio.server.local_server import Running
from surfaces.cli.progress import write_line
from surfaces.errors import FetchError
from surfaces.images.encode import normalize_photo, suffix_of
from surfaces.io.http import WHOLE_STATUSES, FetchLimits, ask, fetch
from surfaces.io.storage import is_remote
from surfaces.messages import printable
from surfaces.store.records import StoredPhoto

METHODS = ("url", "local", "upload")
"""From the web at `--url-base`, from the server's own disk, and sent to the server."""

_REJECTED = (400, 413)
_REASON_CHARACTERS_MAX = 500
_DOCUMENT_ROOT = re.compile(r'LOCAL_FILES_DOCUMENT_ROOT="([^"]*)"')
_STORAGES = "/api/storages/localfiles/"
_LOCAL_FILES = "/data/local-files/"
_STORAGE_TITLE = "photos to review"
_NO_FILE = "(?!)"


class PhotoNotHostableError(Exception):
    """A method cannot host this photo; says why."""


class HostingUnavailableError(PhotoNotHostableError):
    """A method cannot host any photo; says why."""


@dataclass(frozen=True)
class Original:
    """A photo to host: its record in the label store, the path or address of its file, and bytes to show."""

    photo: StoredPhoto
    place: str
    data: bytes


class HostingMethod(Protocol):
    """Makes photos visible in one way; `description` is reported when it is first used."""

    description: str

    def host(self, original: Original) -> str:
        """Hosts a photo that browsers show as it is; returns its URL for the task's data.

        Raises:
            PhotoNotHostableError: this method cannot host it.
        """


class Upload:
    """Uploads photos, each once: a file's name on the server is its photo's sha256."""

    description = "they are uploaded"

    def __init__(self, server: Server, project: Project) -> None:
        self._server, self._project = server, project
        self._uploaded: dict[str, str] | None = None
        self._verified = False

    def host(self, original: Original) -> str:
        """Uploads the photo, or finds an earlier upload; see `HostingMethod`."""
        data = original.data
        name = f"{original.photo.sha256}{suffix_of(data)}"
        if self._uploaded is None:
            self._uploaded = self._list_uploads()
        url = self._uploaded.get(name) or self._post(name, data)
        if not self._verified:
            response = self._server.session.get(url)
            if not response.is_success or response.content != data:
                words = f"the server returns other bytes than the upload of {name} (HTTP {response.status_code})"
                raise HostingError(words)
            self._verified = True
        return url

    def _list_uploads(self) -> dict[str, str]:
        response = self._server.session.get(f"/api/projects/{self._project.id}/file-uploads", params={"all": "true"})
        files = [read_field(known, "file", str, ServerUnavailableError) for known in response.raise_for_status().json()]
        return {PurePosixPath(file).name.partition("-")[2]: f"/data/{file}" for file in files}

    def _post(self, name: str, data: bytes) -> str:
        response = self._server.session.post(
            f"/api/projects/{self._project.id}/import",
            params={"commit_to_project": "false"},
            files={"photo": (name, data)},
        )
        if response.status_code in _REJECTED:
            raise HostingError(f"the server rejects an upload of {len(data)} bytes: {_rejection(response)}")
        ids = read_field(response.raise_for_status().json(), "file_upload_ids", list, ServerUnavailableError)
        uploaded = self._server.session.get(f"/api/import/file-upload/{''.join(map(str, ids[:1]))}").raise_for_status()
        return f"/data/{read_field(uploaded.json(), 'file', str, ServerUnavailableError)}"


class WebCorpus:
    """Refers to photos of a corpus that is on the web with the same relative paths."""

    def __init__(self, base: str) -> None:
        if not base.startswith(("http://", "https://")):
            raise HostingError(f"expected --url-base to be an http or https address, got {base!r}")
        self._base = base.rstrip("/")
        self.description = f"browsers fetch them from {self._base}"
        self._verified = False

    def host(self, original: Original) -> str:
        """The photo's URL; the first one is fetched and compared. See `HostingMethod`."""
        url = f"{self._base}/{quote(_path_in_corpus(original.photo))}"
        if not self._verified:
            try:
                data = _fetch_once(url)
            except FetchError as error:
                reason = f"not from {self._base}, which does not answer with {url}: {error}"
                raise HostingUnavailableError(reason) from error
            if data != original.data:
                raise HostingUnavailableError(f"not from {self._base}, which has other bytes at {url}")
            self._verified = True
        return url


class LocalFiles:
    """Has the server read photos from its own disk, through an import storage of the project.

    The server serves folders below its document root, to those who may see the project. The storage matches no file's
    name, so that synchronising it does not duplicate tasks.
    """

    description = ""

    def __init__(self, server: Server, project: Project) -> None:
        self._server, self._project = server, project
        self._root: PurePath | None = None
        self._rejections: dict[PurePath, str] = {}  # by folder; empty if it is served

    def host(self, original: Original) -> str:
        """The photo's URL; the first one of each folder is fetched and compared. See `HostingMethod`."""
        if is_remote(original.place):
            raise PhotoNotHostableError(f"not from the server's disk, {original.place} is in object storage")
        if self._root is None:
            self._root = self._ask_document_root()
            self.description = f"the server reads them from its own disk, below {self._root}"
        relative = _relative_to(PurePath(original.place), self._root)
        if relative is None or len(relative.parts) == 1:
            raise PhotoNotHostableError(f"not from the server's disk, it serves subfolders of {self._root}")
        url = f"{_LOCAL_FILES}?{urlencode({'d': relative.as_posix()}, quote_via=quote)}"
        folder = self._root / _folder_to_serve(relative, original.photo)
        if folder not in self._rejections:
            self._rejections[folder] = self._serve(folder, url, original.data)
        if self._rejections[folder]:
            raise PhotoNotHostableError(self._rejections[folder])
        return url

    def _ask_document_root(self) -> PurePath:
        """The document root, which the server names when it rejects a storage outside of it."""
        response = self._server.session.post(
            f"{_STORAGES}validate", json={"project": self._project.id, "path": Path("/").anchor}
        )
        root = _DOCUMENT_ROOT.search(_rejection(response))
        if not root:
            raise HostingUnavailableError("not from the server's disk, it does not report its document root")
        return PurePath(root.group(1))

    def _serve(self, folder: PurePath, url: str, data: bytes) -> str:
        storage = self._create_storage(folder)
        if isinstance(storage, str):
            return f"not from the server's disk: {storage}"
        response = self._server.session.get(url)
        if response.is_success and response.content == data:
            if storage is not None:
                people = f"the people of project {self._project.title!r}"
                write_line(f"opened {folder} to {people}: they can read all files in it")
            return ""
        if storage is not None:
            self._server.session.delete(f"{_STORAGES}{storage}").raise_for_status()
        came = "other bytes" if response.is_success else f"HTTP {response.status_code}"
        return f"not from the server's disk, which has {came} in {folder}"

    def _create_storage(self, folder: PurePath) -> int | str | None:
        """Creates an import storage; returns its id, why it was rejected, or None if one exists already."""
        known = self._server.session.get(_STORAGES, params={"project": self._project.id}).raise_for_status().json()
        paths = [read_field(storage, "path", str, ServerUnavailableError) for storage in known]
        if any(_relative_to(folder, PurePath(path)) is not None for path in paths):
            return None
        settings = {"project": self._project.id, "path": str(folder), "title": _STORAGE_TITLE}
        response = self._server.session.post(_STORAGES, json=settings | {"regex_filter": _NO_FILE})
        if not response.is_success:
            return _rejection(response)
        return read_field(response.json(), "id", int, ServerUnavailableError)


class LinkedFiles:
    """Links pushed photos of a folder into the document root of a server that `up` started.

    The server sees nothing else of the folder. Links have the same relative paths as their photos.
    """

    def __init__(self, files: LocalFiles, photos: Path, links: Path) -> None:
        self._files, self._photos, self._links = files, photos, links
        self._folder = links / (photos.name or "photos")
        self.description = f"the server reads them from its own disk, through links in {links}"

    def is_missing(self, url: str) -> bool:
        """Whether a photo's URL is that of a link which does not exist."""
        prefix, _, query = url.partition("?")
        path = parse_qs(query).get("d", [""])[0] if prefix == _LOCAL_FILES else ""
        link = self._links / path.lstrip("/")
        return bool(path) and ".." not in link.parts and link.is_relative_to(self._folder) and not link.is_symlink()

    def host(self, original: Original) -> str:
        """Links the photo; see `HostingMethod`."""
        relative = None if is_remote(original.place) else _relative_to(PurePath(original.place), self._photos)
        if relative is None:
            raise PhotoNotHostableError(f"not from the server's disk, {original.place} is not in {self._photos}")
        link = self._folder / relative
        target = Path(original.place).resolve()
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_symlink() and link.readlink() != target:
                link.unlink()
            with suppress(FileExistsError):
                link.symlink_to(target)
        except OSError as error:
            raise PhotoNotHostableError(f"not from the server's disk, no link at {link}: {error.strerror}") from error
        return self._files.host(replace(original, place=str(link)))


class ImageHosting:
    """Hosts each photo by the first method that can.

    Photos that are no upright JPEG or PNG are uploaded, as upright JPEG files: browsers differ in how they show them.
    """

    def __init__(self, methods: Sequence[HostingMethod], upload: Upload) -> None:
        self._methods, self._upload = methods, upload
        self._used: set[HostingMethod] = set()
        self._unavailable: dict[HostingMethod, str] = {}

    def host(self, original: Original) -> str:
        """Hosts a photo; returns its URL for the task's data. The first use of a method is reported on stderr.

        Raises:
            HostingError: no method works.
            DecodeError: the bytes are no photo.
        """
        shown = normalize_photo(original.data)
        if shown is not original.data:
            return self._upload.host(replace(original, data=shown))
        reasons: list[str] = []
        for method in self._methods:
            if method in self._unavailable:
                reasons.append(self._unavailable[method])
                continue
            try:
                url = method.host(original)
            except PhotoNotHostableError as reason:
                reasons.append(str(reason))
                if isinstance(reason, HostingUnavailableError):
                    self._unavailable[method] = str(reason)
                continue
            if method not in self._used:
                self._used.add(method)
                write_line("; ".join([f"photos: {method.description}", *reasons]))
            return url
        raise HostingError(f"the server cannot show {original.place}: {'; '.join(reasons)}")

    def restore_link(self, url: str, read: Callable[[], Original]) -> None:
        """Links a task's photo, read only if needed, again if its link is missing; version 0.1 made no links."""
        for method in self._methods:
            if isinstance(method, LinkedFiles) and method.is_missing(url):
                with suppress(PhotoNotHostableError):
                    method.host(read())


def open_hosting(
    server: Server, project: Project, method: str, url_base: str | None, running: Running | None = None
) -> ImageHosting:
    """Prepares hosting by one of `METHODS`, or by all of them for `auto`.

    Args:
        server: which shows the photos.
        project: for which they are.
        method: its name.
        url_base: address of the corpus on the web.
        running: the server, if `up` started it: it reads links to pushed photos.
    """
    files = LocalFiles(server, project)
    local = LinkedFiles(files, Path(running.photos), Path(running.links)) if running and running.links else files
    upload = Upload(server, project)
    methods: dict[str, HostingMethod] = {"url": WebCorpus(url_base)} if url_base else {}
    methods |= {"local": local, "upload": upload}
    if method == "auto":
        return ImageHosting(list(methods.values()), upload)
    if method not in methods:
        raise HostingError("expected --url-base with `--photos url`, got none")
    return ImageHosting([methods[method]], upload)


def _rejection(response: httpx.Response) -> str:
    """The server's reason for a rejection, on one line; other errors are raised."""
    if response.status_code not in _REJECTED:
        response.raise_for_status()
    try:
        errors = response.json()["validation_errors"]["non_field_errors"]
        return printable(" ".join(map(str, errors)))[:_REASON_CHARACTERS_MAX]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


def _fetch_once(url: str) -> bytes:
    """Fetches a URL that the user gave, perhaps of this machine; a redirect may lead to public hosts only."""
    response = ask(url, FetchLimits(allow_private=True))
    if response.redirect:
        return fetch(response.redirect)
    if response.status not in WHOLE_STATUSES:
        raise FetchError(f"HTTP {response.status}")
    return response.body


def _path_in_corpus(photo: StoredPhoto) -> str:
    name = photo.name.removesuffix(f"-{photo.sha256[:12]}")
    source = photo.source if is_remote(photo.source) else PurePath(photo.source).as_posix()
    relative = name + PurePosixPath(source).suffix
    if not source.endswith(f"/{relative}"):
        raise PhotoNotHostableError(f"not from the web, {photo.source} is not in its corpus as {relative}")
    return relative


def _folder_to_serve(relative: PurePath, photo: StoredPhoto) -> PurePath:
    """The photo's corpus, or the first folder below the document root if the corpus contains that."""
    with suppress(PhotoNotHostableError):
        inside = PurePath(_path_in_corpus(photo)).parts
        shared = min(len(inside), len(relative.parts))
        if inside[-shared:] == relative.parts[-shared:]:
            return PurePath(*relative.parts[: max(1, len(relative.parts) - len(inside))])
    return relative.parent


def _relative_to(path: PurePath, folder: PurePath) -> PurePath | None:
    """A path relative to a folder, as written or with links resolved; None if it is not below it."""
    for inner, outer in ((path, folder), (Path(path).resolve(), Path(folder).resolve())):
        if ".." not in inner.parts and inner.is_relative_to(outer):
            return inner.relative_to(outer)
    return None
