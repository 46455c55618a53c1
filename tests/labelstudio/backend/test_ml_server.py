"""Label Studio's protocol for ML backends over HTTP on the loopback interface, with the shipped network."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.segmenters import StudentSegmenter
from labelstudio.backend.server import MlServer, ServerLimits
from labelstudio.backend.task_photos import TaskPhotos
from models import Segmenter
from surfaces.detections import Image, Mask, box_of_mask
from surfaces.errors import OutputError
from surfaces.images.load import decode_image
from tests.labelstudio.backend.clicks import FLOOR_CLICK, SIZE, box, click, iou, masks_of, question

Ask = Callable[..., httpx.Response]
Predict = Callable[..., dict[str, Any]]


class CountingSegmenter(StudentSegmenter):
    count = 0

    def encode(self, image: Image) -> Any:
        self.count += 1
        return super().encode(image)


class BrokenModel:
    version = "broken"

    def predict(self, *_: Any) -> list[Any]:
        raise ZeroDivisionError("in the secret part \x1b[2J")


@pytest.fixture(scope="module")
def segmenter() -> CountingSegmenter:
    return CountingSegmenter(Segmenter(threads=1))


@pytest.fixture(scope="module")
def backend(segmenter: CountingSegmenter) -> Iterator[MlServer]:
    model = InteractiveModel(segmenter, TaskPhotos(None, allow_private=True))
    limits = ServerLimits(body_bytes_max=200_000, request_s=1.0)
    with MlServer("127.0.0.1", 0, model, limits=limits) as server:
        yield server


@pytest.fixture
def ask(backend: MlServer) -> Iterator[Ask]:
    with client_of(backend) as client:
        yield lambda path, **body: client.request("POST" if body else "GET", path, **body)


@pytest.fixture
def predict(ask: Ask) -> Predict:
    def predict(*asked: Any) -> dict[str, Any]:
        response = ask("/predict", json=question(*asked))
        assert response.status_code == 200, response.text
        (prediction,) = response.json()["results"]
        return dict(prediction)

    return predict


@pytest.fixture
def photo(photo_server: Any, room_path: Path) -> str:
    return photo_server.serve("/room.jpg", room_path.read_bytes())


def client_of(server: MlServer) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=60)


def assert_rejected(response: httpx.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert words in response.json()["error"]
    assert "\n" not in response.json()["error"]
    assert "Traceback" not in response.text


def test_requests_other_than_predictions(ask: Ask, segmenter: CountingSegmenter) -> None:
    assert ask("/health").json() == {"status": "UP", "model_class": "InteractiveModel"}
    assert ask("/").json()["status"] == "UP"
    version = segmenter.name
    assert version.startswith("student (surfaces) ")
    assert ask("/versions").json() == ask("/versions?project=1").json() == {"versions": [version]}
    setup = {"project": "1.1", "schema": "<View/>", "hostname": "http://evil", "access_token": "secret"}
    assert ask("/setup", json=setup | {"extra_params": None}).json() == {"model_version": version}
    assert ask("/webhook", json={"action": "ANNOTATION_CREATED"}).json() == {}


def test_clicks_and_boxes_select_masks(
    predict: Predict, photo: str, segmenter: CountingSegmenter, student: dict[str, Mask]
) -> None:
    first = predict(photo, [FLOOR_CLICK])
    assert first["model_version"] == segmenter.name
    (region,) = first["result"]
    assert region["id"] != FLOOR_CLICK["id"]
    assert first["score"] == region["score"] > 0.8
    one = masks_of(first)["floor"]
    assert one.shape == SIZE
    assert one[370, 256]
    assert one[370, 40]
    assert iou(one, student["floor"]) > 0.95

    second = predict(photo, [FLOOR_CLICK, click("floor", (40, 370), positive=False)])
    assert second["result"][0]["id"] != region["id"], "ids are fresh"
    two = masks_of(second)["floor"]
    assert two[370, 256]
    assert not two[370, 40]
    assert not (two & ~one).any()

    nothing = predict(photo, [])
    assert (nothing["result"], nothing["score"]) == ([], 0)
    table = student["dining table"]
    drawn = [box("dining table", tuple(box_of_mask(table).tolist()))]
    assert iou(masks_of(predict(photo, drawn))["dining table"], table) > 0.75


def test_without_clicks_all_segments_of_the_student(
    ask: Ask, predict: Predict, photo: str, student: dict[str, Mask]
) -> None:
    found = predict(photo)
    masks = masks_of(found)
    assert list(masks) == list(student) == ["wall", "floor", "dining table"]
    for name, mask in student.items():
        np.testing.assert_array_equal(masks[name], mask)
    (without_params,) = ask("/predict", json={"tasks": question(photo)["tasks"]}).json()["results"]
    assert without_params == found


def test_a_photo_is_fetched_and_encoded_once(
    predict: Predict, photo_server: Any, room_path: Path, segmenter: CountingSegmenter
) -> None:
    url, before = photo_server.serve("/once.jpg", room_path.read_bytes()), segmenter.count
    drawn = [click("wall", (100, 60))]
    threads = [threading.Thread(target=predict, args=(url, drawn)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert photo_server.asked == ["/once.jpg"]
    assert segmenter.count == before + 1


def test_photos_are_rotated_as_in_the_browser(ask: Ask, predict: Predict, photo_server: Any, room_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Pillow.open(room_path).transpose(Pillow.Transpose.ROTATE_90).save(file, "JPEG", quality=95, exif=exif)
    assert decode_image(io.BytesIO(file.getvalue())).shape[:2] == SIZE
    url = photo_server.serve("/turned.jpg", file.getvalue())
    mask = masks_of(predict(url, [FLOOR_CLICK]))["floor"]
    assert mask.shape == SIZE
    assert mask[370, 256]
    not_rotated = question(url, [click("floor", (190, 256), (512, 384))])
    words = "a photo of 512x384 pixels, got them on one of 384x512"
    assert_rejected(ask("/predict", json=not_rotated), 422, words)


def test_tasks_without_a_photo_do_not_stop_others(ask: Ask, photo: str, capfd: Any) -> None:
    tasks = [task for url in (photo, f"{photo}?gone", photo) for task in question(url)["tasks"]]
    first, second, third = ask("/predict", json=question(photo, tasks=tasks)).json()["results"]
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
def test_broken_requests_are_rejected_in_one_line(ask: Ask, body: bytes, words: str) -> None:
    response = ask("/predict", content=body, headers={"Content-Type": "application/json"})
    assert_rejected(response, 400, words)


def test_invalid_questions_are_answered_in_one_line(ask: Ask, photo: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg"
    two = question(photo)["tasks"] * 2
    cases: list[tuple[dict[str, Any], str]] = [
        (question(photo, [click("curtain", (5, 5))]), "wall, floor, dining table, got 'curtain'"),
        (question(photo, [click("wall", (600, 5))]), "a click on the photo"),
        (question(photo, "wall"), "as a list"),
        (question(photo, [], tasks=two), "one task with what was drawn on it, got 2"),
        (question(None, tasks=[{"id": 1}]), "a task whose data has `image`"),
        (question(7), "a task whose data has `image`"),
        (question("room.jpg"), "a photo's path on the server or an http address, got 'room.jpg'"),
        (question("/data/upload/1/room.jpg"), "a Label Studio server, and this backend knows none"),
        (question("file:///etc/passwd"), "http or https"),
        (question("s3://bucket/room.jpg"), "http or https"),
        (question(f"{photo}?gone"), "the server answered 404"),
        (question(away), "Connection refused"),
    ]
    for body, words in cases:
        assert_rejected(ask("/predict", json=body), 422, words)


def test_a_file_that_is_no_photo_is_not_cached(ask: Ask, predict: Predict, photo_server: Any, room_path: Path) -> None:
    url = photo_server.serve("/late.jpg", b"<html>please log in</html>")
    assert_rejected(ask("/predict", json=question(url)), 422, "got an HTML page")
    photo_server.serve("/late.jpg", room_path.read_bytes())
    assert predict(url)["result"]


def test_other_paths_methods_types_and_sizes_are_rejected(ask: Ask, backend: MlServer) -> None:
    assert_rejected(ask("/train", json={}), 404, "no POST /train here")
    assert_rejected(ask("/predict"), 405, "no GET /predict here")
    assert_rejected(ask("/../etc/passwd"), 404, "no GET")
    assert_rejected(ask("/predict", content=b"{}", headers={"Content-Type": "text/plain"}), 415, "application/json")
    put = httpx.put(f"http://127.0.0.1:{backend.port}/predict", trust_env=False)
    assert_rejected(put, 405, "no PUT /predict here")
    assert_rejected(ask("/predict", json={"tasks": ["x" * 300_000]}), 413, "expected at most 200000 bytes, got 300")


@pytest.mark.parametrize(
    ("length", "status"), [("-1", 400), ("x", 400), ("1e3", 400), ("²", 400), (None, 411), ("1000000000000000", 413)]
)
def test_an_invalid_length_is_rejected(backend: MlServer, length: str | None, status: int) -> None:
    header = "" if length is None else f"Content-Length: {length}\r\n"
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}\r\n"
    with socket.create_connection(("127.0.0.1", backend.port), timeout=10) as client:
        client.sendall(head.encode("latin-1"))
        assert client.makefile("rb").readline().split()[1] == str(status).encode()


def test_our_own_bugs_show_no_traceback_to_others(capfd: Any) -> None:
    with MlServer("127.0.0.1", 0, BrokenModel()) as server:
        response = httpx.post(f"http://127.0.0.1:{server.port}/predict", json={"tasks": [{}]}, trust_env=False)
    assert_rejected(response, 500, "internal error (ZeroDivisionError)")
    assert "secret" not in response.text
    assert "in the secret part \\x1b[2J" in capfd.readouterr().err


def test_health_is_answered_during_a_prediction() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowModel:
        version = "slow"

        def predict(self, *_: Any) -> list[Any]:
            begun.set()
            go_on.wait(30)
            return [{"result": []}]

    with MlServer("127.0.0.1", 0, SlowModel(), limits=ServerLimits(threads=1)) as server:
        client = client_of(server)
        asking = threading.Thread(target=client.post, args=("/predict",), kwargs={"json": {"tasks": [{}]}})
        asking.start()
        assert begun.wait(10)
        assert client.get("/health", timeout=5).json()["status"] == "UP"
        assert client.post("/setup", json={}, timeout=5).json() == {"model_version": "slow"}
        go_on.set()
        asking.join()
        client.close()


def test_a_taken_port_is_reported(backend: MlServer) -> None:
    with pytest.raises(OutputError, match=rf"could not listen on 127.0.0.1:{backend.port}: Address already"):
        MlServer("127.0.0.1", backend.port, BrokenModel())
    with pytest.raises(OutputError, match=r"could not listen on 127\.0\.0\.1:99999"):
        MlServer("127.0.0.1", 99_999, BrokenModel())
