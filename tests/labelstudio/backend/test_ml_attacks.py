"""Attacks on the ML backend: other hosts, half requests, floods, JSON bombs, paths that lead elsewhere."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
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
from labelstudio.backend.server import USER, Access, MlServer, ServerLimits, create_application
from labelstudio.backend.task_photos import TaskPhotos, is_photo_url
from labelstudio.errors import AnnotationError
from labelstudio.server.connection import RetryClient, Server
from models import Segmenter
from surfaces.errors import SurfacesError
from tests.labelstudio.backend.clicks import box, click

pytestmark = pytest.mark.security

FUZZING = settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
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


def first_line(port: int, sent: bytes) -> bytes:
    with ExitStack() as stack:
        return connected(stack, port, sent).makefile("rb").readline()


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
    assert model.asked == []


def test_the_names_of_this_machine_and_those_allowed_are_answered(backend: MlServer, model: Recorder) -> None:
    for host in ("localhost", "LOCALHOST:9090", "127.0.0.1", "[::1]:9090"):
        assert post(backend.port, {"tasks": [{}]}, Host=host).status_code == 200
    with MlServer("127.0.0.1", 0, model, Access(("gpu.example.com",))) as server:
        assert post(server.port, {"tasks": [{}]}, Host="gpu.example.com:9090").status_code == 200
        assert post(server.port, {"tasks": [{}]}).status_code == 400


def test_a_request_without_a_host_is_rejected(backend: MlServer) -> None:
    assert first_line(backend.port, b"GET /health HTTP/1.0\r\n\r\n").split()[1] == b"400"


def test_the_secret_is_asked_for_everywhere(model: Recorder) -> None:
    def basic(words: str) -> str:
        return f"Basic {base64.b64encode(words.encode()).decode()}"

    with MlServer("127.0.0.1", 0, model, Access(secret=SECRET)) as server:
        url = f"http://127.0.0.1:{server.port}"
        wrong = ["", "Basic", "Basic \xff", f"Bearer {SECRET}"]
        for header in [*wrong, basic(USER), basic(f"{USER}:{SECRET}x"), basic(f":{SECRET}")]:
            for method, path in (("GET", "/health"), ("GET", "/versions"), ("POST", "/setup"), ("POST", "/predict")):
                headers = {"Authorization": header.encode("latin-1")} if header else {}
                refused = httpx.request(method, url + path, headers=cast(Any, headers), trust_env=False)
                assert refused.status_code == 401
                assert SECRET not in refused.text
        assert post(server.port, {"tasks": [{}]}, Authorization=basic(f"{USER}:{SECRET}")).status_code == 200
        assert httpx.get(f"{url}/health", auth=(USER, SECRET), trust_env=False).json()["status"] == "UP"
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
        pytest.param(b'{"tasks": [' + b"{}," * 1_000_000 + b"{}]}", "300000 objects and lists", id="empty_tasks"),
        pytest.param(b'{"a": [' + b"[]," * 1_000_000 + b"[]]}", "300000 objects and lists", id="empty_lists"),
        pytest.param(b'{"a": [' + b'"",' * 1_600_000 + b'""]}', "1500000 texts", id="empty_texts"),
        pytest.param(b'{"tasks": [' + b"{}," * 1000 + b"{}]}", "at most 1000 tasks", id="many_tasks"),
    ],
)
def test_json_bombs_are_rejected(backend: MlServer, model: Recorder, body: bytes, words: str) -> None:
    refused = post(backend.port, body)
    assert refused.status_code == 413
    assert words in refused.json()["error"]
    assert model.asked == []


def test_a_thousand_tasks_are_answered(backend: MlServer, model: Recorder) -> None:
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
        pytest.param(b"GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n", id="escape_in_path"),
        pytest.param(b"\x1b]0;x\x07 / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="escape_in_method"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n", id="zero_in_header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", id="two_hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000, id="long_head"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="tls"),
        pytest.param(b"\0\0\0\r\n\r\n", id="zeros"),
        pytest.param(b"GET\r\n\r\n", id="no_path"),
        pytest.param(b"GET / HTTP/9.9.9\r\n\r\n", id="version"),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", id="long_path"),
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


def test_escapes_in_the_path_are_reported_as_text(backend: MlServer) -> None:
    answer = httpx.get(f"http://127.0.0.1:{backend.port}/%1b%5b2J%0a", trust_env=False)
    assert (answer.status_code, answer.json()) == (404, {"error": "no GET /\\x1b[2J here"})


def sesame(request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = "Token sesame"
    return request


def server_at(url: str) -> Server:
    session = RetryClient(base_url=url, auth=sesame, trust_env=False)
    return Server(url, cast(Any, None), session)


def test_the_token_goes_to_paths_of_photos_alone(photo_server: Any, room_path: Path) -> None:
    seen: dict[str, str | None] = {}
    photo = room_path.read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen[request.path] = request.headers.get("Authorization")
        away = request.path.startswith("/data/upload/1/away")
        request.send_response(302 if away else 200)
        if away:
            request.send_header("Location", "/api/current-user/whoami")
        request.send_header("Content-Length", str(len(photo)))
        request.end_headers()
        request.wfile.write(photo)

    class Everywhere(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            return answer

    photo_server.answers = Everywhere()
    url = photo_server.url("")
    photos = TaskPhotos(server_at(url), allow_private=True)
    for address in ("/data/upload/1/a.jpg", "/data/local-files/?d=rooms/a%26b.jpg", f"{url}/data/upload/1/b%20c.jpg"):
        photos.read(address)
    assert set(seen.values()) == {"Token sesame"}
    seen.clear()

    photos.read("/data/upload/1/away.jpg")
    assert seen == {"/data/upload/1/away.jpg": "Token sesame", "/api/current-user/whoami": None}
    seen.clear()

    for address in (
        "/api/projects",
        "/data/export/1.json",
        "/data/upload/../../api/projects",
        "/data/upload/%2e%2e/%2E%2e/api/projects",
        "/data/upload/%252e%252e/api/projects",
        "/data/upload/..%2f..%2fapi/projects",
        "/data/upload/..\\..\\api/projects",
        "/data/upload/..%5c..%5capi/projects",
        "/data/upload//evil.example/a.jpg",
        "/data/local-files/?d=../../etc/passwd",
        "/data/local-files/?d=%2e%2e%2f%2e%2e%2fetc/passwd",
        "/\\evil.example/a.jpg",
        f"//127.0.0.1:{photo_server.server_port}/api/projects",
    ):
        with pytest.raises(SurfacesError):
            photos.read(address)
    assert seen == {}
    for address in (f"{url}/api/projects", f"http://user:pw@127.0.0.1:{photo_server.server_port}/api/projects"):
        with pytest.raises(SurfacesError):
            TaskPhotos(server_at(url)).read(address)
    photos.read(f"{url}/api/projects")
    assert seen == {"/api/projects": None}


def test_paths_of_a_label_studio_that_has_a_prefix() -> None:
    base = "https://tools.example.com/label/"
    assert is_photo_url("https://tools.example.com/label/data/upload/1/a.jpg", base)
    assert is_photo_url("https://tools.example.com/data/upload/1/a.jpg", base)
    assert not is_photo_url("https://tools.example.com/label/api/data/upload/1", base)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("type", "value", "keypointlabels", "rectanglelabels", "x", "y", "width", "height", "rotation", "is_positive")
DRAWN = st.lists(
    st.sampled_from([click("wall", (9, 9), (384, 512)), box("floor", (1, 1, 9, 9), (384, 512))])
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
        for prompt in parse_prompts(drawn, (384, 512)):
            assert all(0 <= x < 512 and 0 <= y < 384 for x, y in (*prompt.points, *prompt.negative_points))


def test_too_many_prompts_are_rejected() -> None:
    with pytest.raises(AnnotationError, match="at most 200 clicks and boxes, got 201"):
        parse_prompts([click("wall", (9, 9), (384, 512))] * 201, (384, 512))
