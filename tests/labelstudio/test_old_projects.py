"""A project that version 0.1 made and filled is pulled from (`tests/data/version-0.1/review`)."""

from __future__ import annotations

import json
import lzma
import uuid
from pathlib import Path

import numpy as np
import pytest

from labelstudio.__main__ import main as labelstudio
from surfaces.store.label_store import LabelStore
from tests.labelstudio.servers import TestServer

REVIEW = Path(__file__).parents[1] / "data" / "version-0.1" / "review"


def _unpack(name: str, folder: Path) -> Path:
    folder.mkdir()
    for file in (REVIEW / name).glob("*.xz"):
        (folder / file.stem).write_bytes(lzma.decompress(file.read_bytes()))
    return folder


def test_a_project_is_pulled_from(label_studio: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.account.token)
    pushed, expected = _unpack("pushed", tmp_path / "pushed"), _unpack("pulled", tmp_path / "pulled")
    post = label_studio.session.post
    title = f"version 0.1 {uuid.uuid4().hex[:8]}"
    xml = (REVIEW / "labeling_config.xml").read_text("utf-8")
    project = post("/api/projects/", json={"title": title, "label_config": xml}).raise_for_status().json()["id"]
    for task in json.loads((REVIEW / "tasks.json").read_text("utf-8")):
        body = {"project": project, "data": task["data"]}
        number = post("/api/tasks/", json=body).raise_for_status().json()["id"]
        for prediction in task["predictions"]:
            post("/api/predictions/", json={"task": number, **prediction}).raise_for_status()
        for annotation in task["annotations"]:
            post(f"/api/tasks/{number}/annotations/", json=annotation).raise_for_status()

    assert labelstudio(["pull", str(pushed), "--project", title, "--url", label_studio.url]) == 0

    with LabelStore.open(pushed) as found, LabelStore.open(expected) as before:
        assert found.counts().reviewed == before.counts().reviewed == 2
        for photo in before.photos():
            one, other = (store.labels(photo.sha256).labels() for store in (found, before))
            assert np.array_equal(one.semantic, other.semantic)
            assert np.array_equal(one.tables, other.tables)
    label_studio.client.projects.delete(project)
