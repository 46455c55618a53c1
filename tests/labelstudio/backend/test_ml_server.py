"""Label Studio's protocol for ML backends over real HTTP on the loopback interface, with the shipped network."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.segmenters import StudentSegmenter
from labelstudio.backend.server import MlServer, ServerLimits
from labelstudio.backend.task_photos import SingleFlightCache, TaskPhotos
from models import Segmenter
from surfaces.detections import Image, Mask
from surfaces.errors import FetchError, OutputError
from surfaces.images.load import decode_image, load_image
from tests.labelstudio.backend.clicks import box, click, masks_of

SIZE = (384, 512)
Ask = Callable[..., httpx.Response]


class CountedSegmenter(StudentSegmenter):
    """The student, and how often it has looked."""

    looks = 0

    def encode(self, image: Image) -> Any:
        self.looks += 1
        return super().encode(image)


class Mistaken:
    """A model with a mistake."""

    version = "mistaken"

    def predict(self, *_: Any) -> list[Any]:
        raise ZeroDivisionError("in the secret part \x1b[2J")


@pytest.fixture(scope="module")
def segmenter() -> CountedSegmenter:
    return CountedSegmenter(Segmenter(threads=1))


@contextmanager
def serving(model: Any, **limits: Any) -> Iterator[MlServer]:
    with MlServer("127.0.0.1", 0, model, limits=ServerLimits(**limits)) as server:
        yield server


@pytest.fixture(scope="module")
def backend(segmenter: CountedSegmenter) -> Iterator[MlServer]:
    """A backend that knows no Label Studio: photos come from the web."""
    model = InteractiveModel(segmenter, TaskPhotos(None, allow_private=True))
    with serving(model, body_bytes_max=200_000, request_s=1.0) as server:
        yield server


@pytest.fixture
def ask(backend: MlServer) -> Iterator[Ask]:
    """Sends one request: what it posts is JSON."""
    with httpx.Client(base_url=f"http://127.0.0.1:{backend.port}", trust_env=False, timeout=60) as client:
        yield lambda path, **given: client.request("POST" if given else "GET", path, **given)


@pytest.fixture
def photo(photo_server: Any, room_path: Path) -> str:
    return photo_server.serve("/room.jpg", room_path.read_bytes())


def question(address: Any, drawn: Any = None, **others: Any) -> dict[str, Any]:
    """As Label Studio's `_prep_prediction_req` writes it."""
    return {
        "tasks": [{"id": 1, "data": {"image": address}, "annotations": [], "drafts": [], "predictions": []}],
        "project": "1.1700000000",
        "label_config": "<View/>",
        "params": {"login": None, "password": None, "context": None if drawn is None else {"result": drawn}},
    } | others


def answered(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["results"]
    return dict(prediction)


def refused(response: httpx.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert words in response.json()["error"]
    assert "\n" not in response.json()["error"]
    assert "Traceback" not in response.text


def student(segmenter: StudentSegmenter, path: Path) -> dict[str, Mask]:
    return {found.surface.name: found.mask for found in segmenter.encode(load_image(str(path))).segments}


def test_the_small_questions_are_answered(ask: Ask, segmenter: CountedSegmenter) -> None:
    assert ask("/health").json() == {"status": "UP", "model_class": "InteractiveModel"}
    assert ask("/").json()["status"] == "UP"
    version = segmenter.name
    assert version.startswith("student (surfaces) ")
    assert ask("/versions").json() == ask("/versions?project=1").json() == {"versions": [version]}
    setup = {"project": "1.1", "schema": "<View/>", "hostname": "http://evil", "access_token": "secret"}
    assert ask("/setup", json=setup | {"extra_params": None}).json() == {"model_version": version}
    assert ask("/webhook", json={"action": "ANNOTATION_CREATED"}).json() == {}


def test_a_click_gets_the_mask_under_it(ask: Ask, photo: str, segmenter: CountedSegmenter, room_path: Path) -> None:
    known = student(segmenter, room_path)
    drawn = click("floor", (256, 370), SIZE)
    prediction = answered(ask("/predict", json=question(photo, [drawn])))
    assert prediction["model_version"] == segmenter.name
    (region,) = prediction["result"]
    assert region["id"] != drawn["id"]
    assert prediction["score"] == region["score"] > 0.8
    mask = masks_of(prediction)["floor"]
    assert mask.shape == SIZE
    assert mask[370, 256]
    assert (mask & known["floor"]).sum() / (mask | known["floor"]).sum() > 0.95


def test_a_box_and_another_label(ask: Ask, photo: str, segmenter: CountedSegmenter, room_path: Path) -> None:
    table = student(segmenter, room_path)["dining table"]
    rows, columns = np.flatnonzero(table.any(axis=1)), np.flatnonzero(table.any(axis=0))
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    mask = masks_of(answered(ask("/predict", json=question(photo, [box("dining table", edges, SIZE)]))))["dining table"]
    assert (mask & table).sum() / (mask | table).sum() > 0.75


def test_clicks_accumulate_and_ids_are_fresh(ask: Ask, photo: str) -> None:
    drawn = [click("floor", (256, 370), SIZE)]
    first = answered(ask("/predict", json=question(photo, drawn)))
    drawn.append(click("floor", (40, 370), SIZE, positive=False))
    second = answered(ask("/predict", json=question(photo, drawn)))
    assert first["result"][0]["id"] != second["result"][0]["id"]
    one, two = masks_of(first)["floor"], masks_of(second)["floor"]
    assert one[370, 40]
    assert two[370, 256]
    assert not two[370, 40]
    assert not (two & ~one).any()


def test_no_click_is_left(ask: Ask, photo: str) -> None:
    prediction = answered(ask("/predict", json=question(photo, [])))
    assert prediction["result"] == []
    assert prediction["score"] == 0


def test_without_clicks_all_that_the_student_sees(
    ask: Ask, photo: str, segmenter: CountedSegmenter, room_path: Path
) -> None:
    masks = masks_of(answered(ask("/predict", json=question(photo))))
    known = student(segmenter, room_path)
    assert list(masks) == list(known) == ["wall", "floor", "dining table"]
    for name, mask in known.items():
        np.testing.assert_array_equal(masks[name], mask)
    bare = {"tasks": question(photo)["tasks"]}
    assert masks_of(answered(ask("/predict", json=bare))).keys() == known.keys()


def test_a_photo_is_fetched_and_looked_at_once(
    ask: Ask, photo_server: Any, room_path: Path, segmenter: CountedSegmenter
) -> None:
    address, before = photo_server.serve("/once.jpg", room_path.read_bytes()), segmenter.looks
    drawn = [click("wall", (100, 60), SIZE)]
    threads = [
        threading.Thread(target=lambda: answered(ask("/predict", json=question(address, drawn)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert photo_server.asked == ["/once.jpg"]
    assert segmenter.looks == before + 1


def test_photos_are_turned_as_the_browser_turns_them(ask: Ask, photo_server: Any, room_path: Path) -> None:
    upright = Pillow.open(room_path)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    upright.transpose(Pillow.Transpose.ROTATE_90).save(file, "JPEG", quality=95, exif=exif)
    assert decode_image(io.BytesIO(file.getvalue())).shape[:2] == SIZE
    address = photo_server.serve("/turned.jpg", file.getvalue())
    mask = masks_of(answered(ask("/predict", json=question(address, [click("floor", (256, 370), SIZE)]))))["floor"]
    assert mask.shape == SIZE
    assert mask[370, 256]
    lying = [click("floor", (190, 256), (512, 384))]
    refused(
        ask("/predict", json=question(address, lying)), 422, "a photo of 512x384 pixels, got them on one of 384x512"
    )


def test_of_several_tasks_those_are_predicted_whose_photos_are_there(ask: Ask, photo: str, capfd: Any) -> None:
    tasks = question(photo)["tasks"] + question(f"{photo}?gone")["tasks"] + question(photo)["tasks"]
    response = ask("/predict", json=question(photo, tasks=tasks))
    first, second, third = response.json()["results"]
    assert first == third
    assert second == []
    assert capfd.readouterr().err == "labelstudio: expected a photo, the server answered 404 Not Found\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected JSON"),
        (b"{", "expected JSON"),
        (b"\xff\xfe{", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[]", "expected a JSON object, got list"),
        (b"null", "expected a JSON object, got NoneType"),
        (b"{}", "`tasks`"),
        (b'{"tasks": []}', "`tasks`"),
        (b'{"tasks": {}}', "`tasks`"),
        (b'{"tasks": [1]}', "`tasks`"),
        (b'{"tasks": [{}], "params": {"context": []}}', "`params.context`"),
        (b'{"tasks": [{}], "params": [1]}', "`params.context`"),
    ],
)
def test_broken_requests_are_refused_in_one_line(ask: Ask, body: bytes, words: str) -> None:
    refused(ask("/predict", content=body, headers={"Content-Type": "application/json"}), 400, words)


def test_questions_that_make_no_sense_are_answered_in_one_line(ask: Ask, photo: str) -> None:
    def check(address: Any, drawn: Any, words: str, **others: Any) -> None:
        refused(ask("/predict", json=question(address, drawn, **others)), 422, words)

    check(photo, [click("curtain", (5, 5), SIZE)], "wall, floor, dining table, got 'curtain'")
    check(photo, [click("wall", (600, 5), SIZE)], "a click on the photo")
    check(photo, "wall", "as a list")
    check(photo, [], "one task with what was drawn on it, got 2", tasks=question(photo)["tasks"] * 2)
    check(None, None, "a task whose data has `image`", tasks=[{"id": 1}])
    check(7, None, "a task whose data has `image`")
    check("room.jpg", None, "a photo's path on the server or an http address, got 'room.jpg'")
    check("/data/upload/1/room.jpg", None, "a Label Studio server, and this backend knows none")
    check("file:///etc/passwd", None, "http or https")
    check("s3://bucket/room.jpg", None, "http or https")
    check(f"{photo}?gone", None, "the server answered 404")


def test_what_is_no_photo_is_told_and_not_remembered(ask: Ask, photo_server: Any, room_path: Path) -> None:
    address = photo_server.serve("/late.jpg", b"<html>please log in</html>")
    refused(ask("/predict", json=question(address)), 422, "got an HTML page")
    photo_server.serve("/late.jpg", room_path.read_bytes())
    assert answered(ask("/predict", json=question(address)))["result"]


def test_a_photo_server_that_is_away_is_told(ask: Ask) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg"
    refused(ask("/predict", json=question(address)), 422, "Connection refused")


def test_other_doors_are_shut(ask: Ask, backend: MlServer) -> None:
    refused(ask("/train", json={}), 404, "no POST /train here")
    refused(ask("/predict"), 405, "no GET /predict here")
    refused(ask("/../etc/passwd"), 404, "no GET")
    refused(ask("/predict", content=b"{}", headers={"Content-Type": "text/plain"}), 415, "application/json")
    refused(httpx.put(f"http://127.0.0.1:{backend.port}/predict", trust_env=False), 405, "no PUT /predict here")


def test_too_large_a_body_is_refused_before_it_comes(ask: Ask, backend: MlServer) -> None:
    refused(ask("/predict", json={"tasks": ["x" * 300_000]}), 413, "expected at most 200000 bytes, got 300")
    connection = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**15))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"expected at most 200000 bytes" in answer.read()
    connection.close()


@pytest.mark.parametrize(("length", "status"), [("-1", 400), ("x", 400), ("1e3", 400), ("²", 400), (None, 411)])
def test_a_length_that_is_none_is_refused(backend: MlServer, length: str | None, status: int) -> None:
    stated = "" if length is None else f"Content-Length: {length}\r\n"
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{stated}\r\n"
    with socket.create_connection(("127.0.0.1", backend.port), timeout=10) as client:
        client.sendall(head.encode("latin-1"))
        assert client.makefile("rb").readline().split()[1] == str(status).encode()


def test_a_client_that_falls_silent_is_hung_up_and_keeps_nobody_waiting(ask: Ask, backend: MlServer) -> None:
    with socket.create_connection(("127.0.0.1", backend.port), timeout=10) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert ask("/health").status_code == 200
        assert client.recv(1000) == b""


def test_garbage_is_no_reason_to_stop(ask: Ask, backend: MlServer) -> None:
    long = b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n"
    for garbage in (b"\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", long):
        with socket.create_connection(("127.0.0.1", backend.port), timeout=10) as client:
            client.sendall(garbage)
            client.recv(1000)
    assert ask("/health").status_code == 200


def test_our_own_mistakes_show_no_traceback_to_others(capfd: Any) -> None:
    with serving(Mistaken()) as server:
        response = httpx.post(f"http://127.0.0.1:{server.port}/predict", json={"tasks": [{}]}, trust_env=False)
    refused(response, 500, "internal error (ZeroDivisionError)")
    assert "secret" not in response.text
    assert "in the secret part \\x1b[2J" in capfd.readouterr().err


def test_health_is_answered_while_a_prediction_takes_its_time() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        version = "slow"

        def predict(self, *_: Any) -> list[Any]:
            begun.set()
            go_on.wait(30)
            return [{"result": []}]

    with serving(Slow(), threads=1) as server:
        url = f"http://127.0.0.1:{server.port}"
        asking = threading.Thread(
            target=httpx.post, args=(f"{url}/predict",), kwargs={"json": {"tasks": [{}]}, "trust_env": False}
        )
        asking.start()
        assert begun.wait(10)
        assert httpx.get(f"{url}/health", trust_env=False, timeout=5).json()["status"] == "UP"
        assert httpx.post(f"{url}/setup", json={}, trust_env=False, timeout=5).json() == {"model_version": "slow"}
        go_on.set()
        asking.join()


def test_a_port_that_is_taken_is_told(backend: MlServer) -> None:
    with pytest.raises(OutputError, match=rf"could not listen on 127.0.0.1:{backend.port}: Address already"):
        MlServer("127.0.0.1", backend.port, Mistaken())
    with pytest.raises(OutputError, match=r"could not listen on 127\.0\.0\.1:99999"):
        MlServer("127.0.0.1", 99_999, Mistaken())


def test_the_memory_of_photos_forgets_the_oldest_and_failures() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        if key == "bad":
            raise FetchError("away")
        return key.upper()

    recent = SingleFlightCache(make, 2)
    assert [recent.get(key) for key in "abab"] == list("ABAB")
    assert made == ["a", "b"]
    recent.get("c")
    assert recent.get("b") == "B"
    assert made == ["a", "b", "c"]
    recent.get("a")
    assert made == ["a", "b", "c", "a"]
    for _ in range(2):
        with pytest.raises(FetchError, match="away"):
            recent.get("bad")
    assert made[-2:] == ["bad", "bad"]
