"""Attacks on the ML backend: other hosts, half requests, floods, JSON bombs, paths that lead elsewhere."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.prompts import parse_prompts
from labelstudio.backend.segmenters import StudentSegmenter
from labelstudio.backend.server import MlServer, ServerLimits, create_application
from labelstudio.backend.task_photos import TaskPhotos
from labelstudio.errors import AnnotationError
from models import Segmenter
from surfaces.serving.access import USER, Access
from tests.labelstudio.backend.clicks import SIZE, box, click
from tests.labelstudio.backend.test_task_photos import server_at

pytestmark = pytest.mark.security

FUZZING = settings(max_examples=70, suppress_health_check=list(HealthCheck))
SECRET = "correct horse battery"
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "


class Recorder:
    version = name = "recorder"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[Any]:
        assert context is None
        self.asked.append(len(tasks))
        return [{"result": []} for _ in tasks]


@pytest.fixture
def model() -> Recorder:
    return Recorder()


@pytest.fixture
def backend(model: Recorder) -> Iterator[MlServer]:
    with MlServer("127.0.0.1", 0, model, limits=ServerLimits(request_s=1.0, connections_max=8)) as server:
        yield server


def post(port: int, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} | headers
    return httpx.post(f"http://127.0.0.1:{port}/predict", content=content, headers=given, trust_env=False, timeout=60)


def connected(stack: ExitStack, port: int, sent: bytes) -> socket.socket:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    client.sendall(sent)
    return client


def is_hung_up(client: socket.socket) -> bool:
    try:
        return client.recv(1 << 16) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "a b", ""],
    ids=["rebound", "with_port", "name_like_an_address", "other_address", "no_name", "empty"],
)
def test_a_host_that_is_not_ours_is_rejected(backend: MlServer, model: Recorder, host: str) -> None:
    assert post(backend.port, {"tasks": [{}]}, Host=host).status_code == 400
    with ExitStack() as stack:
        none = connected(stack, backend.port, b"POST /predict HTTP/1.0\r\n\r\n").makefile("rb").readline()
    assert none.split()[1] == b"400"
    assert model.asked == []


def test_the_names_of_this_machine_and_those_allowed_are_answered(backend: MlServer, model: Recorder) -> None:
    for host in ("localhost", "LOCALHOST:9090", "127.0.0.1", "[::1]:9090"):
        assert post(backend.port, {"tasks": [{}]}, Host=host).status_code == 200
    with MlServer("127.0.0.1", 0, model, Access(("gpu.example.com",))) as server:
        assert post(server.port, {"tasks": [{}]}, Host="gpu.example.com:9090").status_code == 200
        assert post(server.port, {"tasks": [{}]}).status_code == 400


def test_the_secret_is_asked_for_everywhere(model: Recorder) -> None:
    def basic(words: str) -> str:
        return f"Basic {base64.b64encode(words.encode()).decode()}"

    with MlServer("127.0.0.1", 0, model, Access(secret=SECRET)) as server:
        url = f"http://127.0.0.1:{server.port}"
        wrong = ["", "Basic", "Basic \xff", "Bearer", f"Bearer {SECRET}x", f"Digest {SECRET}"]
        for header in [*wrong, basic(USER), basic(f"{USER}:{SECRET}x"), basic(f":{SECRET}")]:
            for method, path in (("GET", "/health"), ("GET", "/versions"), ("POST", "/setup"), ("POST", "/predict")):
                headers = {"Authorization": header.encode("latin-1")} if header else {}
                refused = httpx.request(method, url + path, headers=cast(Any, headers), trust_env=False)
                assert refused.status_code == 401
                assert SECRET not in refused.text
        assert post(server.port, {"tasks": [{}]}, Authorization=basic(f"{USER}:{SECRET}")).status_code == 200
        assert httpx.get(f"{url}/health", auth=(USER, SECRET), trust_env=False).json()["status"] == "UP"
        bearer = {"Authorization": f"bearer {SECRET}"}
        assert httpx.get(f"{url}/health", headers=bearer, trust_env=False).status_code == 200
    assert model.asked == [1]


@pytest.mark.parametrize(
    "half",
    [b"", HEAD, HEAD + b"100\r\n\r\n{", HEAD.replace(b"/predict", b"/train") + b"100\r\n\r\n{"],
    ids=["silence", "head", "body", "body_that_was_refused"],
)
def test_half_requests_keep_no_connection(backend: MlServer, half: bytes) -> None:
    health = f"http://127.0.0.1:{backend.port}/health"
    with ExitStack() as stack:
        clients = [connected(stack, backend.port, half) for _ in range(3)]
        assert httpx.get(health, trust_env=False, timeout=20).status_code == 200
        clients += [connected(stack, backend.port, b"") for _ in range(5)]
        assert httpx.get(health, trust_env=False, timeout=20).status_code == 503
        for client in clients:
            while not is_hung_up(client):
                pass
        assert httpx.get(health, trust_env=False, timeout=20).status_code == 200


def test_more_connections_than_can_wait_are_ended_at_once(model: Recorder) -> None:
    limits = ServerLimits(request_s=600.0, connections_max=4)
    with MlServer("127.0.0.1", 0, model, limits=limits) as server, ExitStack() as stack:
        clients = [connected(stack, server.port, b"") for _ in range(17)]
        assert is_hung_up(clients[-1])
        for client in clients[:-1]:
            client.close()


def test_bodies_in_progress_count_together(model: Recorder) -> None:
    limits = ServerLimits(body_bytes_max=1000)
    with MlServer("127.0.0.1", 0, model, limits=limits) as server, ExitStack() as stack:
        head = HEAD + b"1000\r\n"
        client = connected(stack, server.port, head + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1 << 16).split()[1] == b"100"
        client.sendall(b" " * 999)
        busy = connected(stack, server.port, head + b"\r\n" + b" " * 1000).makefile("rb").readline()
        assert busy.split()[1] == b"503"
        client.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"tasks": [' + b"{}," * 1_000_000 + b"{}]}", "300000 objects and lists"),
        (b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", "300000 objects and lists"),
        (b'{"a": [' + b'"",' * 1_600_000 + b'""]}', "1500000 texts"),
        (b'{"tasks": [' + b"{}," * 1000 + b"{}]}", "at most 1000 tasks"),
    ],
)
def test_json_bombs_are_rejected(backend: MlServer, model: Recorder, body: bytes, words: str) -> None:
    refused = post(backend.port, body)
    assert refused.status_code == 413
    assert words in refused.json()["error"]
    assert model.asked == []


def test_a_thousand_tasks_are_answered_and_escapes_in_a_path_are_text(backend: MlServer, model: Recorder) -> None:
    answer = httpx.get(f"http://127.0.0.1:{backend.port}/%1b%5b2J%0a", trust_env=False)
    assert (answer.status_code, answer.json()) == (404, {"error": "no GET /\\x1b[2J here"})
    assert len(post(backend.port, {"tasks": [{}] * 1000}).json()["results"]) == 1000
    assert model.asked == [1000]


def test_a_request_starts_no_photo_after_its_time(capfd: pytest.CaptureFixture[str]) -> None:
    model = InteractiveModel(cast(Any, Recorder()), TaskPhotos(None), time_max_s=0.0)
    with MlServer("127.0.0.1", 0, model) as server:
        refused = post(server.port, {"tasks": [{"data": {"image": "https://example.com/a.jpg"}}]})
    assert (refused.status_code, refused.json()) == (422, {"error": "expected photos that take 0 s, these take longer"})
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x1b]0;x\x07 / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000,
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
    ],
)
def test_requests_that_are_no_http_are_answered_in_one_line(
    backend: MlServer, capfd: pytest.CaptureFixture[str], sent: bytes
) -> None:
    with ExitStack() as stack:
        answer = connected(stack, backend.port, sent).recv(1 << 16)
    assert answer.split()[1] == b"400"
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "Invalid HTTP request received."}
    assert capfd.readouterr() == ("", "")
    assert httpx.get(f"http://127.0.0.1:{backend.port}/health", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    "image",
    ["/data/upload/\x00a.jpg", "https://h/\x1b[2J", "\x1b[2J\n", "\ud800", "/data/upload/\ud800"],
    ids=["zero", "escape", "bare_escape", "half_a_pair", "path_of_half_a_pair"],
)
def test_control_characters_of_tasks_reach_neither_the_answer_nor_the_terminal(
    capfd: pytest.CaptureFixture[str], image: str
) -> None:
    photos = TaskPhotos(server_at("http://127.0.0.1:1"))
    with MlServer("127.0.0.1", 0, InteractiveModel(cast(Any, Recorder()), photos)) as server:
        refused = post(server.port, {"tasks": [{"data": {"image": image}}]})
    assert refused.status_code == 422
    assert refused.json()["error"].isprintable()
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"labelstudio: {refused.json()['error']}"


def test_the_end_waits_for_neither_half_requests_nor_predictions() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Recorder):
        def predict(self, *_: Any) -> list[Any]:
            begun.set()
            go_on.wait()
            return []

    body = b'{"tasks": [{}]}'
    head = HEAD + b"15\r\n\r\n"
    with ExitStack() as stack:
        with MlServer("127.0.0.1", 0, Slow()) as server:
            for sent in (b"POST", head + b"{", head + body):
                connected(stack, server.port, sent)
            begun.wait()
        assert not go_on.is_set()
        go_on.set()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("type", "value", "keypointlabels", "rectanglelabels", "x", "y", "width", "height", "rotation", "is_positive")
DRAWN = st.lists(
    st.sampled_from([click("wall", (9, 9)), box("floor", (1, 1, 9, 9))])
    | st.dictionaries(st.sampled_from(KEYS), VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES))
    | VALUES,
    max_size=3,
)
IMAGES = (
    st.sampled_from(["/room", "/room", "/data/upload/1.jpg", "http://[", "http://0x7f.1/", "//", "ftp://a/"]) | VALUES
)
TASKS = st.lists(
    st.fixed_dictionaries({"data": st.fixed_dictionaries({"image": IMAGES}) | VALUES}) | VALUES, max_size=3
)
REQUESTS = st.fixed_dictionaries(
    {"tasks": TASKS | VALUES},
    optional={"params": st.fixed_dictionaries({"context": st.fixed_dictionaries({"result": DRAWN | VALUES})}) | VALUES},
)


class StillPhotos(TaskPhotos):
    def __init__(self, photo: bytes) -> None:
        super().__init__(None)
        self._photo = photo

    def download(self, address: str) -> bytes:
        return self._photo if address == "/room" else super().download(address)


@pytest.fixture(scope="module")
def client(room_path: Path) -> TestClient:
    model = InteractiveModel(StudentSegmenter(Segmenter(threads=1)), StillPhotos(room_path.read_bytes()))
    app = create_application(model, Access(), ServerLimits())
    return TestClient(app, "http://localhost", raise_server_exceptions=False)


@FUZZING
@given(body=REQUESTS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_any_request_is_answered_as_json_without_a_bug(client: TestClient, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 400, 413, 422}, answer.text
    assert isinstance(answer.json(), dict)
    assert ("error" in answer.json()) == (answer.status_code != 200)


@FUZZING
@given(drawn=DRAWN | VALUES)
def test_any_drawing_becomes_prompts_on_the_photo_or_an_error(drawn: Any) -> None:
    with suppress(AnnotationError):
        for prompt in parse_prompts(drawn, SIZE):
            assert all(0 <= x < 512 and 0 <= y < 384 for x, y in (*prompt.points, *prompt.negative_points))


def test_too_many_prompts_are_rejected() -> None:
    with pytest.raises(AnnotationError, match="at most 200 clicks and boxes, got 201"):
        parse_prompts([click("wall", (9, 9))] * 201, SIZE)
