"""Shared by several tests: rendered rooms with exact masks, a loopback server of photos, what a run leaves."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from surfaces.classes import BY_ID
from surfaces.detections import Detection, box_of_mask
from surfaces.masks import decode

# Spinning threads slow each other down tenfold on a busy machine; read when torch is imported, here and in processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOMS = Path(__file__).parent / "data" / "rooms"

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(scope="session")
def room_path() -> Path:
    """A photo of a room with a wall, a floor and a table; 512x384."""
    return ROOMS / "images" / "room_01.jpg"


@pytest.fixture(scope="session")
def room_detections() -> list[Detection]:
    """The exact masks of `room_path`."""
    document = json.loads((ROOMS / "annotations.json").read_text("utf-8"))
    found = [a for a in document["annotations"] if a["image_id"] == 1]
    masks = [decode(annotation["segmentation"]) for annotation in found]
    return [
        Detection(BY_ID[annotation["category_id"]], 0.9, box_of_mask(mask), mask)
        for annotation, mask in zip(found, masks, strict=True)
    ]


class PhotoServer(ThreadingHTTPServer):
    """Answers on a free loopback port; what is asked for is recorded."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.agents: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def answer(self, path: str, answer: Answer) -> str:
        """Has a function answer a path; returns the address."""
        self.answers[path] = answer
        return self.url(path)

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Has bytes answer a path, with headers such as `Content_Type`; returns the address."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in ({"Content_Length": str(len(body))} | headers).items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(body)

        return self.answer(path, answer)

    def handle_error(self, *_: object) -> None:
        """A client that leaves early is what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: PhotoServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.agents.append(self.headers.get("User-Agent", ""))
        self.server.answers.get(self.path, lambda request: request.send_error(404))(self)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def photo_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    """A server of photos on the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PhotoServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Run:
    """What a run of the command left: exit code, outputs, files."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


def check_failure(run: Run, code: int, words: str) -> None:
    assert run.code == code
    assert run.out == ""
    assert re.fullmatch(rf"segment\.py: .*{re.escape(words)}.*\n", run.err)
    assert run.files == []
