"""Files that are no photos go to no server."""

from __future__ import annotations

import hashlib
from typing import cast

import pytest

from labelstudio.project.image_hosting import HostingMethod, ImageHosting, Original, Upload
from surfaces.errors import DecodeError
from surfaces.store.label_store import StoredPhoto

pytestmark = pytest.mark.security

_SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----"


class _Recorder:
    description = "recorded"

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def host(self, original: Original) -> str:
        self.taken.append(original.data)
        return "/data/1.jpg"

    def upload(self, sha256: str, data: bytes) -> str:  # noqa: ARG002
        self.taken.append(data)
        return "/data/1.jpg"


def test_files_that_are_no_photos_are_not_hosted() -> None:
    sha256 = hashlib.sha256(_SECRET).hexdigest()
    photo = StoredPhoto(sha256, "secret", "/home/me/secret.jpg", 64, 40, "auto", "", "teacher", "f" * 64, {})
    recorder = _Recorder()
    hosting = ImageHosting([cast(HostingMethod, recorder)], cast(Upload, recorder))
    with pytest.raises(DecodeError, match=r"expected a photo \(JPEG, "):
        hosting.host(Original(photo, photo.source, _SECRET))
    assert recorder.taken == []
