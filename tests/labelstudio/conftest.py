"""One real Label Studio a session, a fresh project a test."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelstudio.errors import ServerUnavailableError
from labelstudio.project.labeling_config import Project, create_project
from labelstudio.server.local_server import LocalServer
from models import Segmenter
from surfaces.detections import Mask
from surfaces.images.load import load_image
from tests.labelstudio.review_scenes import Scene
from tests.labelstudio.servers import TestServer, running_server


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server with local file serving; what tests leave on it does not matter."""
    with running_server(tmp_path_factory.mktemp("label_studio") / "home") as server:
        yield server


@pytest.fixture
def project(label_studio: TestServer) -> Iterator[Project]:
    project = create_project(label_studio, f"test {uuid.uuid4().hex[:12]}")
    yield project
    label_studio.client.projects.delete(project.id)


@pytest.fixture
def scene(label_studio: TestServer, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.account.token)
    monkeypatch.setattr("labelstudio.server.connection._PAUSES_S", (0.1,))
    return Scene(label_studio, project, tmp_path)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def write(code: str) -> Path:
        path = tmp_path / "label-studio"
        path.write_text(f"#!{sys.executable}\n{code}", "utf-8")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalServer]:
    """A server's folder that does not exist yet; what was started in it is stopped."""
    server = LocalServer(tmp_path / "home")
    yield server
    with contextlib.suppress(ServerUnavailableError):
        server.stop()


@pytest.fixture(scope="session")
def student(room_path: Path) -> dict[str, Mask]:
    """What the shipped network finds in the photo of a room."""
    return {found.surface.name: found.mask for found in Segmenter(threads=1).predict(load_image(str(room_path)))}
