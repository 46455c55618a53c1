"""The backend as a process of its own, beside the real Label Studio that asks it as the browser has it asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from labelstudio.project.labeling_config import Project
from surfaces.detections import Mask
from surfaces.errors import MissingExtraError
from tests.absent_packages import command_without
from tests.labelstudio.backend.clicks import FLOOR_CLICK, box, click, iou, masks_of, question
from tests.labelstudio.servers import TestServer

ROOT = Path(__file__).parents[3]
_PATIENCE_S = 90


@dataclass
class Running:
    process: subprocess.Popen[str]
    address: str

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        assert out == ""
        return self.process.returncode, err


Start = Callable[..., Running]


def test_sam_without_its_packages_names_the_extra_that_brings_them(tmp_path: Path) -> None:
    program = command_without(["torch"], "labelstudio")
    words = ["backend", "--home", str(tmp_path), "--sam", str(tmp_path / "sam.pth")]
    ran = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, text=True, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (MissingExtraError.exit_code, "")
    assert ran.stderr.splitlines()[-1] == (
        "labelstudio: `backend --sam` needs torch, which is not installed; pip install 'interior-surfaces[autolabel]'"
    )


def command(arguments: tuple[object, ...], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO_")}
    words = [sys.executable, "-m", "labelstudio", "backend", *map(str, arguments)]
    return subprocess.Popen(
        words, cwd=ROOT, env=variables | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts backends on free ports; those that still run are killed at the end."""
    with ExitStack() as stack:

        def run(*arguments: object, **environment: str) -> Running:
            given = ("--port", 0, "--threads", 1, "--home", tmp_path / "home", *arguments)
            process = stack.enter_context(command(given, environment))
            stack.callback(process.kill)
            assert process.stdout is not None
            watch = threading.Timer(_PATIENCE_S, process.kill)
            watch.start()
            address = process.stdout.readline().strip()
            watch.cancel()
            assert address.startswith("http://127.0.0.1:"), process.communicate()
            return Running(process, address)

        yield run


@pytest.fixture
def start_beside(start: Start, label_studio: TestServer, project: Project) -> Start:
    named = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.account.token}
    return lambda *arguments, **environment: start("--project", project.title, *arguments, **named, **environment)


def upload(server: TestServer, project: Project, path: Path) -> int:
    files = {"photo": (path.name, path.read_bytes())}
    server.session.post(f"/api/projects/{project.id}/import", files=files).raise_for_status()
    return max(int(task.id) for task in server.client.tasks.list(project=project.id))


def predict(running: Running, image: str, drawn: list[Any] | None) -> dict[str, Any]:
    response = httpx.post(f"{running.address}/predict", json=question(image, drawn), trust_env=False, timeout=60)
    (prediction,) = response.raise_for_status().json()["results"]
    return dict(prediction)


def ask(server: TestServer, backend: int, task: int, drawn: list[Any]) -> dict[str, Any]:
    body = {"task": task, "context": {"result": drawn}}
    response = server.session.post(f"/api/ml/{backend}/interactive-annotating", json=body).raise_for_status()
    return dict(response.json())


def test_clicks_in_a_project_are_answered(
    start_beside: Start, label_studio: TestServer, project: Project, room_path: Path, student: dict[str, Mask]
) -> None:
    running = start_beside("--connect")
    (entry,) = label_studio.client.ml.list(project=project.id)
    assert (entry.url, entry.is_interactive, entry.state) == (running.address, True, "CO")
    assert str(entry.model_version).startswith("student (surfaces) ")
    assert label_studio.client.projects.get(project.id).model_version == ""
    assert list(label_studio.client.webhooks.list(project=project.id)) == []
    task = upload(label_studio, project, room_path)

    floor = masks_of(ask(label_studio, entry.id, task, [FLOOR_CLICK])["data"])["floor"]
    assert floor[370, 256]
    assert iou(floor, student["floor"]) > 0.95
    edges = (100, 50, 300, 120)
    wall = masks_of(ask(label_studio, entry.id, task, [box("wall", edges)])["data"])["wall"]
    np.testing.assert_array_equal(wall[50:120, 100:300], student["wall"][50:120, 100:300])
    assert not wall[:50].any()
    assert ask(label_studio, entry.id, task, [])["data"]["result"] == []
    (failure,) = ask(label_studio, entry.id, task, [click("curtain", (1, 1))])["errors"]
    assert "422" in failure

    code, err = running.stop()
    assert code == 0
    assert label_studio.account.token not in err
    told, refused = err.splitlines()
    assert told == f"clicks and boxes are answered in {project.title!r}, {project.url}"
    assert refused == "labelstudio: expected a label of wall, floor, dining table, got 'curtain'"
    (failure,) = ask(label_studio, entry.id, task, [FLOOR_CLICK])["errors"]
    assert "Connection refused" in failure


def test_a_second_start_adds_no_entry_and_leaves_the_project_as_it_is(
    start_beside: Start, label_studio: TestServer, project: Project, room_path: Path
) -> None:
    client = label_studio.client
    task = upload(label_studio, project, room_path)
    client.predictions.create(task=task, result=[], model_version="teacher 1")
    client.projects.update(project.id, model_version="teacher 1")
    first = start_beside()
    (entry,) = client.ml.list(project=project.id)
    second = start_beside()
    (moved,) = client.ml.list(project=project.id)
    assert (entry.id, entry.url) == (moved.id, first.address)
    assert moved.url == second.address
    assert client.projects.get(project.id).model_version == "teacher 1"
    assert list(client.webhooks.list(project=project.id)) == []


def test_label_studio_is_given_the_secret_and_sends_it(
    start_beside: Start, label_studio: TestServer, project: Project, room_path: Path
) -> None:
    start_beside()
    secret = "correct horse battery"
    running = start_beside("--connect", INTERIOR_SURFACES_ML_SECRET=secret)
    (entry,) = label_studio.client.ml.list(project=project.id)
    assert (entry.url, entry.auth_method, entry.state) == (running.address, "BASIC_AUTH", "CO")
    assert httpx.get(f"{running.address}/health", trust_env=False).status_code == 401
    task = upload(label_studio, project, room_path)
    assert masks_of(ask(label_studio, entry.id, task, [FLOOR_CLICK])["data"])["floor"][370, 256]
    code, err = running.stop()
    assert code == 0
    assert secret not in err

    open_again = start_beside("--connect")
    (entry,) = label_studio.client.ml.list(project=project.id)
    assert (entry.url, entry.auth_method, entry.basic_auth_user) == (open_again.address, "NONE", "")


@pytest.mark.slow
def test_tasks_are_predicted_on_demand(
    start_beside: Start, label_studio: TestServer, project: Project, room_path: Path, student: dict[str, Mask]
) -> None:
    start_beside()
    tasks = [upload(label_studio, project, room_path) for _ in range(2)]
    action = {"id": "retrieve_tasks_predictions", "project": project.id}
    chosen = {"selectedItems": {"all": True, "excluded": []}}
    label_studio.session.post("/api/dm/actions", params=action, json=chosen).raise_for_status()
    for task in tasks:
        (prediction,) = label_studio.client.predictions.list(task=task)
        masks = masks_of({"result": prediction.result})
        assert list(masks) == list(student)
        for name, mask in student.items():
            np.testing.assert_array_equal(masks[name], mask)
        assert str(prediction.model_version).startswith("student (surfaces) ")


@pytest.mark.slow
def test_photos_of_the_servers_disk_are_read_and_nothing_is_entered_that_should_not_be(
    start_beside: Start, label_studio: TestServer, project: Project, room_path: Path
) -> None:
    running = start_beside("--no-connect")
    folder = label_studio.photos / "backend rooms"
    folder.mkdir(exist_ok=True)
    (folder / "a&b.jpg").write_bytes(room_path.read_bytes())
    storage = {"project": project.id, "path": str(folder), "use_blob_urls": True, "regex_filter": "none"}
    label_studio.session.post("/api/storages/localfiles", json=storage).raise_for_status()
    image = f"/data/local-files/?d={folder.parent.name}/backend%20rooms/a%26b.jpg"
    assert masks_of(predict(running, image, [FLOOR_CLICK]))["floor"][370, 256]
    assert list(label_studio.client.ml.list(project=project.id)) == []
    assert running.stop() == (0, "")


def test_without_a_label_studio_photos_on_the_web_are_answered(
    start: Start, photo_server: Any, room_path: Path
) -> None:
    running = start("--allow-private")
    address = photo_server.serve("/room.jpg", room_path.read_bytes())
    assert list(masks_of(predict(running, address, None))) == ["wall", "floor", "dining table"]
    code, err = running.stop(signal.SIGINT)
    assert code == 0
    assert err.startswith("labelstudio: no Label Studio is configured, and none was started here")
    assert len(err.splitlines()) == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.address}/health", trust_env=False)


def test_others_reach_it_under_the_names_it_was_given_and_with_the_secret(start: Start) -> None:
    secret = "correct horse battery"
    running = start("--host", "0.0.0.0", "--allowed-host", "gpu.example.com", INTERIOR_SURFACES_ML_SECRET=secret)

    def status(host: str, password: str) -> int:
        auth, headers = ("interior-surfaces", password), {"Host": host}
        return httpx.get(f"{running.address}/health", auth=auth, headers=headers, trust_env=False).status_code

    assert status("gpu.example.com:9090", secret) == 200
    assert status("gpu.example.com:9090", "wrong") == 401
    assert status("evil.example", secret) == 400
    code, err = running.stop()
    assert code == 0
    assert secret not in err


def test_start_errors_are_one_line(tmp_path: Path, photo_server: Any, label_studio: TestServer) -> None:
    home = ("--home", tmp_path / "home")
    named = {"LABEL_STUDIO_URL": label_studio.url, "LABEL_STUDIO_API_KEY": label_studio.account.token}
    cases: list[tuple[tuple[object, ...], dict[str, str], int, str]] = [
        (("--connect", *home), {}, 15, "no Label Studio is configured"),
        (("--port", photo_server.server_port, *home), named, 6, "could not listen on 127.0.0.1"),
        (("--port", 0, "--connect", "--project", "nowhere", *home), named, 17, "there is no project 'nowhere'"),
        (("--host", "0.0.0.0", *home), {}, 27, "expected a secret in INTERIOR_SURFACES_ML_SECRET"),
        (("--host", "", *home), {}, 27, "expected a secret in INTERIOR_SURFACES_ML_SECRET"),
        (("--address", "http://[", *home), {}, 27, "expected --address such as"),
        (("--host", "::", *home), {"INTERIOR_SURFACES_ML_SECRET": "short"}, 27, "expected INTERIOR_SURFACES_ML_SECRET"),
    ]
    started = [command(arguments, environment) for arguments, environment, _, _ in cases]
    for process, (_, _, code, words) in zip(started, cases, strict=True):
        out, err = process.communicate(timeout=_PATIENCE_S)
        assert (process.returncode, out) == (code, "")
        assert err.startswith(f"labelstudio: {words}")
        assert len(err.splitlines()) == 1
