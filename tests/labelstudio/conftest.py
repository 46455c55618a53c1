"""One real Label Studio a session, a fresh project a test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from servers import TestServer, running_server

from labelstudio.interface import Project, create_project


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server with local file serving; what tests leave on it does not matter."""
    with running_server(tmp_path_factory.mktemp("label_studio") / "home") as server:
        yield server


@pytest.fixture
def project(label_studio: TestServer) -> Iterator[Project]:
    """A project as `init` makes it, of this test alone."""
    project = create_project(label_studio, f"test {uuid.uuid4().hex[:12]}")
    yield project
    label_studio.client.projects.delete(project.id)
