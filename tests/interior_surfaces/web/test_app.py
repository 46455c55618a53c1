"""The HTTP interface on the loopback interface: answers, bad input, access, load."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from interior_surfaces.web.app import create_app
from interior_surfaces.web.limits import BodyLimit, WebLimits
from models import Segmenter
from surfaces.detections import Detection, Image
from surfaces.errors import WeightsError
from surfaces.images.load import load_image
from surfaces.masks.rle import decode
from surfaces.segmenting.pipeline import Segmented, describe, draw_jpeg, segment_names
from surfaces.serving.access import USER, Access
from surfaces.serving.http_server import ConnectionLimits, HttpServer
from tests.interior_surfaces.web.conftest import LIMITS, ROOM
from tests.photo_servers import PhotoServer
from tests.surfaces.images.image_mutations import mutant
from tests.surfaces.images.test_hostile_images import ATTACKS, MUTANTS
from tests.surfaces.io.test_hostile_urls import HOSTILE_URLS

SECRET = "correct horse battery"
PHOTO = ROOM.read_bytes()


def post(server: str, path: str = "/v1/segment", photo: bytes | None = PHOTO, **fields: Any) -> Any:
    """Sends a form: a photo named room.jpg unless `name` says otherwise, and fields; `headers` are the request's."""
    headers, name = fields.pop("headers", None), fields.pop("name", "room.jpg")
    parts = [("file", (name, photo))] if photo is not None else []
    for field, values in fields.items():
        parts += [(field, (None, value)) for value in ([values] if isinstance(values, str) else values)]
    return httpx.post(server + path, headers=headers, files=parts, timeout=60, trust_env=False)


def error_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    words = response.json()["error"]
    assert words.isprintable()
    return str(words)


def answer_with(url: str, status: int) -> httpx.Response:
    """The answer about a photo once it has this status, which another request's start or end brings about."""
    for _ in range(200):
        if (answer := post(url)).status_code == status:
            break
        time.sleep(0.05)
    assert answer.status_code == status, answer.text
    return answer


def files_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {name: np.asarray(Pillow.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()}


class Waiting:
    """A network that answers once it is let go."""

    name, sha256 = "waiting", "0" * 64

    def __init__(self) -> None:
        self.entered, self.go = threading.Semaphore(0), threading.Event()

    def predict(self, _: Image) -> list[Detection]:
        self.entered.release()
        assert self.go.wait(30)
        return []


def test_the_answer_is_the_json_of_the_command(url: str, segmenter: Segmenter) -> None:
    found = segmenter.predict(load_image(str(ROOM)))
    assert post(url).json() == describe("room.jpg", None, (384, 512), found, segmenter)


def test_classes_and_minimum_score(url: str) -> None:
    everything = post(url).json()["segments"]
    assert {"wall", "floor"} <= {segment["class"] for segment in everything}
    floors = post(url, classes="floor").json()["segments"]
    assert floors == [segment for segment in everything if segment["class"] == "floor"]
    bar = sorted(segment["score"] for segment in everything)[-1] - 0.0001
    assert len(post(url, min_score=str(bar)).json()["segments"]) == 1


def test_pictures_masks_and_cutouts(url: str, segmenter: Segmenter) -> None:
    image = load_image(str(ROOM))
    found = segmenter.predict(image)
    overlay = post(url, save="overlay", alpha="0.7")
    assert overlay.headers["Content-Type"] == "image/jpeg"
    assert overlay.content == draw_jpeg(Segmented(image.copy(), found, 0.0), 0.7)
    masks, cutouts = files_of(post(url, save="masks")), files_of(post(url, save="cutout"))
    assert list(masks) == [f"{name}.png" for name in segment_names(found)]
    assert list(cutouts) == [f"{name}_cutout.png" for name in segment_names(found)]
    for detection, mask, cut in zip(found, masks.values(), cutouts.values(), strict=True):
        assert np.array_equal(mask == 255, detection.mask)
        assert np.array_equal(cut[detection.mask][:, :3], image[detection.mask])
        assert np.array_equal(cut[:, :, 3] == 255, detection.mask)


def test_photos_of_the_web_come_back_where_asked(url: str, photo_server: PhotoServer) -> None:
    address = photo_server.serve("/room.jpg", PHOTO)
    answer = post(url, photo=None, url=address).json()
    assert answer["segments"] == post(url).json()["segments"]
    assert answer["image"] == {"source": address, "width": 512, "height": 384, "output": None}
    with_password = post(url, photo=None, url=address.replace("http://", "http://jane:hidden@"))
    assert "hidden" not in error_of(with_password, 422)
    wanted = {"url": (None, address), "photo": (None, "true")}
    answer = httpx.post(f"{url}/v1/segment", files=wanted, trust_env=False)
    head, _, data = answer.json()["image"]["data"].partition(",")
    assert head == "data:image/jpeg;base64"
    shown = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data)))).astype(int)
    assert np.abs(shown - load_image(str(ROOM))).mean() < 3


def test_recolour(url: str, segmenter: Segmenter) -> None:
    painted = post(url, "/v1/recolor", surface=["wall", "floor"], color=["#8fa3ad", "teal"])
    assert painted.status_code == 200, painted.text
    pixels = np.asarray(Pillow.open(io.BytesIO(painted.content))).astype(int)
    masks = {found.surface.name: found.mask for found in segmenter.predict(load_image(str(ROOM)))}
    assert np.abs(np.median(pixels[masks["wall"]], axis=0) - (0x8F, 0xA3, 0xAD)).max() < 10
    assert np.abs(np.median(pixels[masks["floor"]], axis=0) - (0, 128, 128)).max() < 10
    assert "expected one surface in each field, and each once" in error_of(
        post(url, "/v1/recolor", surface=["wall", "Wall"], color=["red", "teal"]), 422
    )
    assert post(url, "/v1/recolor", surface="wall,floor", color="red").status_code == 422
    assert "a color for each surface, got 1 for 2" in error_of(
        post(url, "/v1/recolor", surface=["wall", "floor"], color="red"), 422
    )
    assert "'marble'" in error_of(post(url, "/v1/recolor", surface="wall", color="marble"), 422)
    assert "got 'roof'" in error_of(post(url, "/v1/recolor", surface="roof", color="red"), 422)
    assert "found none" in error_of(post(url, "/v1/recolor", surface="wall", color="red", min_score="1"), 422)
    assert "surface: " in error_of(post(url, "/v1/recolor"), 422)


@pytest.mark.security
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"photo": None, "min_score": "0"}, "expected a file or a url, one of them"),
        ({"url": "https://example.com/room.jpg"}, "expected a file or a url, one of them"),
        ({"photo": b""}, "expected a photo, got 0 bytes"),
        ({"photo": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "got"),
        ({"photo": PHOTO[:300]}, "truncated"),
        ({"classes": "wall,roof"}, "got 'roof'"),
        ({"min_score": "nan"}, "min_score: "),
        ({"min_score": "2"}, "min_score: "),
        ({"alpha": "-1"}, "alpha: "),
        ({"save": "../../x"}, "save: "),
        ({"photo": None, "url": "file:///etc/passwd"}, "http or https"),
        ({"photo": None, "url": "/etc/passwd"}, "http or https"),
        ({"photo": None, "url": "ftp://example.com/room.jpg"}, "http or https"),
        ({"photo": None, "url": "http://127.0.0.1:1/room.jpg"}, "expected a port"),
        ({"photo": None, "url": "http://[::1"}, "expected"),
    ],
)
def test_bad_input_is_one_line(url: str, fields: dict[str, Any], words: str) -> None:
    assert words in error_of(post(url, **fields), 422)


@pytest.mark.security
def test_private_addresses_need_permission(segmenter: Segmenter, photo_server: PhotoServer) -> None:
    address = photo_server.serve("/room.jpg", PHOTO)
    with HttpServer("127.0.0.1", 0, create_app(segmenter)) as server:
        refused = post(f"http://127.0.0.1:{server.port}", photo=None, url=address)
    assert "expected a host on the public internet" in error_of(refused, 422)
    assert photo_server.asked == []


@pytest.mark.security
def test_hostile_files_cost_one_line_each(start: Callable[..., str], segmenter: Segmenter) -> None:
    url = start(segmenter)
    for name, (data, reason) in ATTACKS.items():
        assert reason in error_of(post(url, photo=data), 422), name
    for number in range(0, MUTANTS, MUTANTS // 60):
        kind, data = mutant(number)
        answer = post(url, photo=data)
        assert answer.status_code == 200 or error_of(answer, 422), (number, kind)
    assert post(url).status_code == 200


@pytest.mark.security
@pytest.mark.parametrize("kind", ["loopback", "notations", "networks", "metadata", "userinfo", "schemes", "ports"])
def test_hostile_addresses_are_refused(segmenter: Segmenter, photo_server: PhotoServer, kind: str) -> None:
    with HttpServer("127.0.0.1", 0, create_app(segmenter)) as server:
        for address in HOSTILE_URLS[kind]:
            if "\0" not in address:  # which a form cannot hold
                error_of(post(f"http://127.0.0.1:{server.port}", photo=None, url=address), 422)
    assert photo_server.asked == []


@pytest.mark.security
def test_photos_that_are_too_large(url: str) -> None:
    assert "at most 2000000 bytes" in error_of(post(url, photo=b"x" * 2_100_000), 413)
    buffer = io.BytesIO()
    Pillow.new("L", (2000, 1100)).save(buffer, "PNG")
    assert "pixels" in error_of(post(url, photo=buffer.getvalue()), 422)
    # A request that does not say its length is counted as it comes.
    body = b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + b"x" * 2_100_000 + b"\r\n--b--\r\n"
    pieces = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    head = {"Content-Type": "multipart/form-data; boundary=b"}
    assert "bytes" in error_of(httpx.post(f"{url}/v1/segment", content=pieces, headers=head, trust_env=False), 413)
    assert post(url).status_code == 200


@pytest.mark.security
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=300), kind=st.sampled_from(["multipart/form-data; boundary=b", "application/json", "", "x"])
)
def test_no_body_breaks_the_server(url: str, body: bytes, kind: str) -> None:
    content = b"--b\r\n" + body + b"\r\n--b--\r\n"
    answer = httpx.post(f"{url}/v1/segment", content=content, headers={"Content-Type": kind}, trust_env=False)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"].isprintable()


def log_lines(capfd: pytest.CaptureFixture[str], count: int) -> list[str]:
    """The next lines of the log; a request's is written after its answer."""
    text = ""
    while text.count("\n") < count:
        text += capfd.readouterr().err
        time.sleep(0.01)
    return text.splitlines()


@pytest.mark.security
def test_nothing_that_a_client_sends_reaches_a_path_or_the_log_unescaped(
    url: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "../../\x1b[2J\u202egpj.exe" + "x" * 1000
    assert post(url, name=name).json()["image"]["source"] == name[:200]
    assert "wall.png" in files_of(post(url, name=name, save="masks"))
    httpx.get(f"{url}/%1b[2J%0a{{}}", headers={"X-Request-ID": 'a", "status": 1'}, trust_env=False)
    assert list(tmp_path.iterdir()) == []
    lines = log_lines(capfd, 3)
    assert all(line.isascii() and line.isprintable() for line in lines)
    logged = [json.loads(line) for line in lines]
    assert [(entry["method"], entry["path"], entry["status"]) for entry in logged] == [
        ("POST", "/v1/segment", 200),
        ("POST", "/v1/segment", 200),
        ("GET", "/\x1b[2J\n{}", 404),
    ]
    assert len({entry["id"] for entry in logged}) == 3


def test_requests_have_ids(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = httpx.get(f"{url}/healthz", headers={"X-Request-ID": "from-the-client.1"}, trust_env=False)
    assert answer.headers["X-Request-ID"] == "from-the-client.1"
    assert json.loads(log_lines(capfd, 1)[0])["id"] == "from-the-client.1"
    wrong = ("", "a b", "x" * 65)
    answers = [httpx.get(f"{url}/healthz", headers={"X-Request-ID": bad}, trust_env=False) for bad in wrong]
    ids = {answer.headers["X-Request-ID"] for answer in answers}
    assert len(ids) == 3
    assert not ids & set(wrong)


@pytest.mark.security
def test_other_sites_are_refused(url: str) -> None:
    for headers in (
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert "this server's own page" in error_of(post(url, headers=headers), 403)
    assert post(url, headers={"Origin": url, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    for host in ("attacker.example", "attacker.example:80", "127.0.0.1.attacker.example", "", "[::1", "localhost:x"):
        error_of(httpx.get(f"{url}/healthz", headers={"Host": host}, trust_env=False), 400)
    for host in ("localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1:"):
        assert httpx.get(f"{url}/healthz", headers={"Host": host}, trust_env=False).status_code == 200
    page = httpx.get(url, trust_env=False)
    assert "access-control-allow-origin" not in page.headers
    assert "default-src 'none'; script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_other_sites_that_are_permitted(segmenter: Segmenter) -> None:
    origin = "https://rooms.example.com"
    with HttpServer("127.0.0.1", 0, create_app(segmenter, Access(secret=SECRET), origins=[origin])) as server:
        url = f"http://127.0.0.1:{server.port}"
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        allowed = httpx.options(f"{url}/v1/segment", headers={"Origin": origin, **asked}, trust_env=False)
        assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, origin)
        refused = httpx.options(f"{url}/v1/segment", headers={"Origin": "https://x.example", **asked}, trust_env=False)
        assert "Access-Control-Allow-Origin" not in refused.headers
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {SECRET}"}
        answer = post(url, headers=headers)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
        assert post(url, headers={"Origin": origin}).status_code == 401
        error_of(post(url, headers=headers | {"Origin": "https://x.example"}), 403)


@pytest.mark.security
def test_the_secret(segmenter: Segmenter) -> None:
    with HttpServer("127.0.0.1", 0, create_app(segmenter, Access(secret=SECRET))) as server:
        url = f"http://127.0.0.1:{server.port}"
        for path in ("/", "/static/page.js", "/static/page.css"):
            assert httpx.get(url + path, trust_env=False).status_code == 401
        for header in ({}, {"Authorization": f"Bearer {SECRET}x"}, {"Authorization": f"Basic {SECRET}"}):
            refused = post(url, headers=header)
            assert SECRET not in error_of(refused, 401)
        head = b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head)  # it is refused before its body comes
            assert connection.recv(1 << 16).split()[1] == b"401"
        assert post(url, headers={"Authorization": f"Bearer {SECRET}"}).status_code == 200
        assert httpx.get(url, auth=(USER, SECRET), trust_env=False).status_code == 200
        assert httpx.get(f"{url}/healthz", trust_env=False).json()["status"] == "ok"


def test_the_interface_is_described(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json", trust_env=False).json()["paths"]
    assert set(paths) == {"/v1/segment", "/v1/recolor", "/healthz"}
    assert set(paths["/v1/segment"]["post"]["responses"]) == {"200", "401", "403", "413", "422", "429", "503"}
    for path in ("/docs", "/redoc", "/static/app.py", "/static/..%2fapp.py"):
        assert httpx.get(url + path, trust_env=False).status_code == 404


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    servers: list[HttpServer] = []

    def start(predictor: Any, **limits: Any) -> str:
        servers.append(HttpServer("127.0.0.1", 0, create_app(predictor, limits=WebLimits(**limits))).__enter__())
        return f"http://127.0.0.1:{servers[-1].port}"

    yield start
    for server in servers:
        server.__exit__()


def test_a_full_queue_is_said_politely(start: Callable[..., str]) -> None:
    waiting = Waiting()
    urls = start(waiting, photos_max=1), start(waiting, client_photos_max=1)
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(post, url) for url in urls]
        for _ in first:
            assert waiting.entered.acquire(timeout=30)
        for url, status in zip(urls, (503, 429), strict=True):
            refused = post(url)
            error_of(refused, status)
            assert int(refused.headers["Retry-After"]) > 0
            assert httpx.get(f"{url}/healthz", trust_env=False).json()["photos_in_progress"] == 1
        waiting.go.set()
        assert [answer.result().status_code for answer in first] == [200, 200]
    assert [post(url).status_code for url in urls] == [200, 200]


@pytest.mark.security
def test_answers_that_nobody_reads_are_in_progress(start: Callable[..., str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(noise).save(buffer, "JPEG", quality=95)
    waiting = Waiting()
    waiting.go.set()
    url = start(waiting, client_photos_max=1)
    body = b"--b\r\nContent-Disposition: form-data; name=save\r\n\r\noverlay\r\n"
    body += (
        b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + buffer.getvalue() + b"\r\n--b--\r\n"
    )
    head = b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    with socket.socket() as unread:
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        unread.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert waiting.entered.acquire(timeout=30)
        for _ in range(40):
            error_of(post(url), 429)
            time.sleep(0.05)
    answer_with(url, 200)


@pytest.mark.security
def test_faults_of_the_server_are_logged_and_not_told(
    start: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(Waiting):
        def predict(self, _: Image) -> list[Detection]:
            raise WeightsError("expected /srv/secret/net.onnx to take a photo")

    assert error_of(post(start(Broken())), 500) == "the server could not do this; its log says why"
    assert "/srv/secret/net.onnx" in "".join(log_lines(capfd, 2))


@pytest.mark.security
def test_half_uploads_count_and_end(start: Callable[..., str]) -> None:
    waiting = Waiting()
    waiting.go.set()
    url = start(waiting, bytes_max=100_000, uploads_max=2)
    head = b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    part = b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as half:
        half.sendall(head + b"Content-Length: 165000\r\n\r\n" + part + b"x" * 150_000)
        assert "too many bytes of uploads of this address" in error_of(answer_with(url, 429), 429)
    answer_with(url, 200)


@pytest.mark.security
def test_uploads_of_all_addresses_together_are_limited() -> None:
    limits = WebLimits(bytes_max=100_000, uploads_max=2)
    half = 2 * (100_000 + (1 << 16)) // 2

    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await JSONResponse({})(scope, receive, send)

    app = BodyLimit(read_all, limits)

    async def upload(client: str, size: int, others: list[str]) -> None:
        """Sends a body, and before its end those of the other clients."""
        parts = iter([{"type": "http.request", "body": b"x" * size, "more_body": True}, None])

        async def receive() -> Any:
            if message := next(parts):
                return message
            if others:
                await upload(others[0], size, others[1:])
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: Message) -> None: ...

        await app({"type": "http", "headers": [], "client": (client, 1)}, receive, send)

    asyncio.run(upload("1", half - 10, ["2"]))
    with pytest.raises(HTTPException) as refused:
        asyncio.run(upload("1", half - 10, ["2", "3"]))
    assert refused.value.status_code == 503
    asyncio.run(upload("1", half - 10, ["2"]))  # the refused ones no longer count


@pytest.mark.security
def test_slow_clients_do_not_block_others(url: str) -> None:
    port = int(url.rpartition(":")[2])
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for number, connection in enumerate(slow):
        connection.sendall(
            b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\n" + b"Content-Length: 9\r\n\r\n" * (number % 2)
        )
    assert post(url).status_code == 200
    for connection in slow:
        connection.settimeout(30)
        with connection:
            while connection.recv(1 << 16):
                pass  # the server ends it
    assert post(url).status_code == 200


def test_twenty_clients_at_once(url: str) -> None:
    statuses: list[int] = []

    def client(_: int) -> list[Any]:
        found = []
        while len(found) < 3:
            answer = post(url)
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                found.append(answer.json()["segments"])
            else:
                error_of(answer, answer.status_code)
                time.sleep(0.1 * int(answer.headers["Retry-After"]))
        return found

    with ThreadPoolExecutor(20) as pool:
        answers = [segments for found in pool.map(client, range(20)) for segments in found]
    assert set(statuses) <= {200, 429, 503}
    assert len(answers) == 60
    assert all(answer == answers[0] for answer in answers)
    assert decode(answers[0][0]["segmentation"]).any()


def test_label_studio_is_answered_by_the_same_server(segmenter: Segmenter) -> None:
    from labelstudio.backend.model import InteractiveModel
    from labelstudio.backend.segmenters import StudentSegmenter
    from labelstudio.backend.server import ServerLimits, create_application
    from labelstudio.backend.task_photos import TaskPhotos

    access = Access()
    model = InteractiveModel(StudentSegmenter(segmenter), TaskPhotos(None))
    backend = create_application(model, access, ServerLimits())
    app = create_app(segmenter, access, LIMITS, {"/labelstudio": backend})
    with HttpServer("127.0.0.1", 0, app, ConnectionLimits()) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{url}/labelstudio/health", trust_env=False).json()["status"] == "UP"
        asked = httpx.post(f"{url}/labelstudio/predict", json={"tasks": [{"data": {"image": "/x"}}]}, trust_env=False)
        assert error_of(asked, 422) == "the photo is on a Label Studio server, and this backend knows none"
        assert post(url).status_code == 200
