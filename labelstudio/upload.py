"""Photos that are sent to the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import httpx

from labelstudio.connection import Server
from labelstudio.errors import DeliveryError, ServerAwayError
from labelstudio.fields import read_field
from labelstudio.interface import Project
from surfaces.dataset.codec import suffix_of
from surfaces.dataset.stored import StoredPhoto
from surfaces.wording import printable

_REFUSED = (400, 413)
_LONGEST_REFUSAL = 500


@dataclass(frozen=True)
class Original:
    """A photo to deliver.

    Attributes:
        photo: the store's record of it.
        place: the path or address of these bytes (`surfaces.places`).
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
        files = [read_field(known, "file", str, ServerAwayError) for known in response.raise_for_status().json()]
        return {PurePosixPath(file).name.partition("-")[2]: f"/data/{file}" for file in files}

    def _post(self, name: str, data: bytes) -> str:
        response = self._server.session.post(
            f"/api/projects/{self._project.id}/import",
            params={"commit_to_project": "false"},
            files={"photo": (name, data)},
        )
        if response.status_code in _REFUSED:
            raise DeliveryError(f"the server does not take an upload of {len(data)} bytes: {refusal(response)}")
        numbers = read_field(response.raise_for_status().json(), "file_upload_ids", list, ServerAwayError)
        known = self._server.session.get(f"/api/import/file-upload/{''.join(map(str, numbers[:1]))}").raise_for_status()
        return f"/data/{read_field(known.json(), 'file', str, ServerAwayError)}"


def refusal(response: httpx.Response) -> str:
    """Why the server refused, in its own words on one line; other errors are raised."""
    if response.status_code not in _REFUSED:
        response.raise_for_status()
    try:
        errors = response.json()["validation_errors"]["non_field_errors"]
        return printable(" ".join(map(str, errors)))[:_LONGEST_REFUSAL]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"
