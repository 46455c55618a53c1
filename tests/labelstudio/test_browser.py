"""A person's review from `push` to `pull`, in a real browser at a real Label Studio."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from labelstudio.backend.model import InteractiveModel
from labelstudio.backend.segmenters import StudentSegmenter
from labelstudio.backend.server import MlServer
from labelstudio.backend.task_photos import TaskPhotos
from labelstudio.commands.backend import register_backend
from labelstudio.project.labeling_config import Project, create_project
from labelstudio.project.tasks import read_stats
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.review_log import LoggedAnnotation, ReviewLog
from models import Segmenter
from surfaces.classes import BY_ID, BY_NAME, DINING_TABLE, FLOOR, IGNORE, OTHER, WALL
from surfaces.detections import Image, Mask
from surfaces.images.load import decode_image
from surfaces.store.records import ScoredLabels
from tests.chromium import ARTEFACTS, needs_chromium
from tests.labelstudio.browser import OVERLAY_OPACITY, Editor, open_editor
from tests.labelstudio.review_scenes import Scene, labels_of_masks
from tests.labelstudio.servers import TestServer

pytestmark = needs_chromium

ROOMS = Path(__file__).parents[1] / "data" / "rooms"
PHOTO = (ROOMS / "images" / "room_07.jpg").read_bytes()
UNSURE_RGB = (128, 128, 128)

# Rows and columns of a dark door, which the teacher of these tests takes for a table, and of a picture, of which it is
# unsure.
DOOR = (slice(30, 150), slice(40, 60))
PICTURE = (slice(5, 40), slice(355, 400))


@pytest.fixture
def project(label_studio: TestServer) -> Iterator[Project]:
    project = create_project(label_studio, "rooms")
    yield project
    label_studio.client.projects.delete(project.id)


@pytest.fixture(scope="module")
def editor(label_studio: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    with open_editor(label_studio.url, tmp_path_factory.mktemp("profile")) as editor:
        editor.sign_in(label_studio.account.username, label_studio.account.password)
        yield editor


def test_untouched_predictions_lie_where_they_should_and_come_back_exactly(
    scene: Scene, editor: Editor, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = {add_room(scene, "upright"): PHOTO, add_room(scene, "turned", turned_photo()): turned_photo()}
    assert scene.push() == 0
    task = editor.open_stream(scene.project.id)
    editor.screenshot("review-guide")
    assert "A window is a hole in the wall's mask." in " ".join(editor.instructions().split())
    editor.close_instructions()
    remaining = set(photos)
    while remaining:
        sha256 = editor.data("sha256")
        remaining.remove(sha256)
        editor.screenshot("review-open" if photos[sha256] is PHOTO else "review-turned")
        assert_shown(editor.shown(), decode_image(io.BytesIO(photos[sha256])), labels_of_room())
        assert editor.submit()["task"] == task
        task = editor.wait_next(task) if remaining else task

    assert scene.pull() == 0
    assert "2 tasks: 2 accepted" in capsys.readouterr().out
    for sha256 in photos:
        assert same_labels(scene.labels(sha256), labels_of_room())


def test_drawings_arrive_in_the_dataset_and_nothing_else_changes(
    scene: Scene, editor: Editor, capsys: pytest.CaptureFixture[str]
) -> None:
    sha256 = add_room(scene, "room")
    assert scene.push() == 0
    before = scene.labels(sha256).labels().semantic
    painted, rubbed, ignore_mask = [(430, 105), (480, 165)], [(400, 225), (440, 235)], [(25, 200), (40, 215)]
    table = [(372, 310), (424, 312), (430, 335), (378, 330)]

    editor.open_first(scene.project.id, "review-tasks")
    editor.select("wall")
    editor.press("b")
    painted_width = editor.stroke(painted)
    editor.select("floor")
    editor.press("e")
    rubbed_width = editor.stroke(rubbed)
    editor.select("dining table", 1)
    editor.delete_selected()
    editor.press("5")
    editor.polygon(table)
    editor.press("4")
    unsure_width = editor.stroke(ignore_mask)
    editor.comment("the door is no table")
    editor.screenshot("review-corrected")
    assert_shown_in(editor.shown(), decode_image(io.BytesIO(PHOTO)), near(painted, 2), WALL.coco_id)
    assert_shown_in(editor.shown(), decode_image(io.BytesIO(PHOTO)), near(rubbed, 2), OTHER)
    editor.submit()

    assert scene.pull() == 0
    assert "1 tasks: 1 corrected" in capsys.readouterr().out
    assert comments(scene) == ["the door is no table"]
    after = scene.labels(sha256).labels().semantic
    expected, between = before.copy(), np.zeros(before.shape, bool)
    for inside, outside, number in (
        (door(), door(), OTHER),
        (near(rubbed, rubbed_width / 2 - 1.5), near(rubbed, rubbed_width / 2 + 1.5), OTHER),
        (near(painted, painted_width / 2 - 1.5), near(painted, painted_width / 2 + 1.5), WALL.coco_id),
        (*inside_and_around(table), DINING_TABLE.coco_id),
        (near(ignore_mask, unsure_width / 2 - 1.5), near(ignore_mask, unsure_width / 2 + 1.5), IGNORE),
    ):
        assert (before[inside] != number).all()
        assert inside.sum() > 100
        expected[inside] = number
        between |= outside & ~inside
    np.testing.assert_array_equal(after[~between], expected[~between])


@pytest.mark.slow
def test_hotkeys_choose_labels_and_verdicts_and_tasks_can_be_skipped(
    scene: Scene, editor: Editor, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = {add_room(scene, "one"), add_room(scene, "two", turned_photo())}
    assert scene.push() == 0

    task = editor.open_stream(scene.project.id)
    editor.close_instructions()
    for key, label in (("1", "wall"), ("2", "floor"), ("3", "dining table"), ("4", "unsure"), ("5", "dining table")):
        editor.press(key)
        assert editor.chosen_labels() == [label]
    editor.press("9")
    assert editor.verdict() == ["reject"]
    editor.press("8")
    assert editor.verdict() == ["unsure"]
    editor.choose("reject")
    assert editor.verdict() == ["reject"]
    editor.comment("a doll's house")
    rejected = editor.data("sha256")
    editor.submit()
    editor.wait_next(task)
    skipped = editor.data("sha256")
    editor.skip()

    assert {rejected, skipped} == photos
    assert scene.pull() == 0
    assert "2 tasks: 1 rejected, 1 skipped" in capsys.readouterr().out
    assert comments(scene) == ["a doll's house"]
    assert scene.labels(rejected).ignore_mask.all()
    assert same_labels(scene.labels(skipped), labels_of_room())


@pytest.mark.slow
def test_updates_of_submitted_reviews_are_pulled(scene: Scene, editor: Editor) -> None:
    sha256 = add_room(scene, "room")
    assert scene.push() == 0
    editor.open_first(scene.project.id)
    editor.submit()
    assert scene.pull() == 0
    assert same_labels(scene.labels(sha256), labels_of_room())

    editor.open_first(scene.project.id)
    editor.select("dining table", 1)
    editor.delete_selected()
    editor.submit()

    assert scene.pull() == 0
    assert (scene.labels(sha256).labels().semantic[DOOR] == OTHER).all()


@pytest.mark.slow
def test_a_click_is_answered_with_a_mask(scene: Scene, editor: Editor) -> None:
    sha256 = add_room(scene, "room", labels=labels_of_masks([("wall", np.zeros(door().shape, bool))]))
    assert scene.push() == 0
    model = InteractiveModel(StudentSegmenter(Segmenter(threads=1)), TaskPhotos(scene.server))
    with MlServer("127.0.0.1", 0, model) as backend:
        register_backend(scene.server, scene.project, f"http://127.0.0.1:{backend.port}")
        editor.open_first(scene.project.id)
        editor.annotate_automatically()
        editor.press("m")
        editor.press("s")
        assert editor.chosen_labels() == ["floor"]
        editor.click((420, 230))
        editor.wait_for_label("floor")
        editor.screenshot("review-click")
        editor.submit()

    assert scene.pull() == 0
    truth = true_masks()["floor"]
    found = scene.labels(sha256).labels().semantic == FLOOR.coco_id
    assert found[230, 420]
    assert (found & truth).sum() / (found | truth).sum() > 0.5


@pytest.mark.slow
def test_seconds_a_review_takes_the_tool_alone(scene: Scene, editor: Editor) -> None:
    """A reviewer that need not think: the least that a task takes, as `status` tells it of people's reviews."""
    medians = {}
    for kind, correct in (("accepted", False), ("corrected", True)):
        for number in range(8):
            add_room(scene, f"{kind}-{number}", recompressed_photo(80 + number + 10 * correct))
        assert scene.push() == 0
        task = editor.open_stream(scene.project.id)
        editor.close_instructions()
        for number in range(8):
            if correct:
                correct_room(editor)
            editor.submit()
            task = editor.wait_next(task) if number < 7 else task
        assert scene.pull() == 0
        seconds = [review.seconds for review in reviews_of(scene) if review.outcome == kind and review.seconds]
        assert len(seconds) == 8
        medians[kind] = median(seconds)
    assert all(0 < seconds < 60 for seconds in medians.values())
    written = ARTEFACTS / "review-seconds.json"
    written.write_text(json.dumps({"photos": 8, "seconds": medians}, indent=1) + "\n", "utf-8")
    print(f"\nseconds a review, of the tool alone: {medians}; {written}")


def add_room(scene: Scene, name: str, data: bytes = PHOTO, labels: ScoredLabels | None = None) -> str:
    """Adds the photo to the dataset under a name of its own, with its labels; returns its sha256."""
    path = scene.photos / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return scene.label(path, labels or labels_of_room())


def correct_room(editor: Editor) -> None:
    """Mends what is wrong with `labels_of_room`: the door is no table, the picture no wall."""
    editor.select("dining table", 1)
    editor.delete_selected()
    editor.select("wall")
    editor.press("e")
    editor.stroke([(360, 10), (395, 35)])


def recompressed_photo(quality: int) -> bytes:
    Pillow.open(io.BytesIO(PHOTO)).save(file := io.BytesIO(), "JPEG", quality=quality)
    return file.getvalue()


def turned_photo() -> bytes:
    """The photo as a camera that was held on its side writes it: the sensor's picture, and how to turn it."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned = Pillow.open(io.BytesIO(PHOTO)).transpose(Pillow.Transpose.ROTATE_90)
    turned.save(file := io.BytesIO(), "JPEG", quality=95, exif=exif)
    return file.getvalue()


def true_masks() -> dict[str, Mask]:
    truth = np.asarray(Pillow.open(ROOMS / "masks" / "room_07.png"))
    return {name: truth == surface.coco_id for name, surface in BY_NAME.items()}


def labels_of_room() -> ScoredLabels:
    """Labels of the photo as a teacher makes them: nearly right; see `DOOR` and `PICTURE`."""
    ignore_mask = np.zeros(door().shape, bool)
    ignore_mask[PICTURE] = True
    masks = [(name, mask & ~ignore_mask & ~door()) for name, mask in true_masks().items()]
    return labels_of_masks([*masks, (DINING_TABLE.name, door())], ignore_mask)


def door() -> Mask:
    mask = np.zeros((384, 512), bool)
    mask[DOOR] = True
    return mask


def reviews_of(scene: Scene) -> list[LoggedAnnotation]:
    with ReviewLog.of(scene.dataset) as log:
        return log.annotations(read_stats(scene.server, scene.project).key)


def comments(scene: Scene) -> list[str]:
    return [review.comment for review in reviews_of(scene) if review.comment]


def views(photo: Image) -> dict[int, npt.NDArray[np.float64]]:
    seen = {OTHER: photo.astype(np.float64)}
    colours = {number: surface.colour_rgb for number, surface in BY_ID.items()} | {IGNORE: UNSURE_RGB}
    for number, rgb in colours.items():
        seen[number] = (1 - OVERLAY_OPACITY) * photo + OVERLAY_OPACITY * np.array(rgb)
    return seen


def assert_shown(shown: Image, photo: Image, labels: ScoredLabels) -> None:
    """Every pixel has the colour of its class; those beside a mask's edge are skipped: they mix when enlarged."""
    semantic = labels.labels().semantic
    edges = cv2.morphologyEx(semantic, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    for number in np.unique(semantic):
        assert_shown_in(shown, photo, (semantic == number) & ~edges, number)


def assert_shown_in(shown: Image, photo: Image, mask: Mask, number: int) -> None:
    assert shown.shape == photo.shape
    distances = {known: np.abs(shown - view)[mask].mean(axis=1) for known, view in views(photo).items()}
    nearest = np.array(list(distances))[np.argmin(list(distances.values()), axis=0)]
    assert np.median(distances[number]) < 4
    assert (nearest == number).mean() > 0.98


def near(line_xy: Sequence[tuple[float, float]], distance: float) -> Mask:
    """The photo's pixels whose middles are at most so far from a line between two points."""
    rows, columns = np.indices(door().shape)
    start, along = np.array(line_xy[0]), np.subtract(line_xy[1], line_xy[0])
    x, y = columns + 0.5 - start[0], rows + 0.5 - start[1]
    share = np.clip((x * along[0] + y * along[1]) / (along @ along), 0, 1)
    mask: Mask = np.hypot(x - share * along[0], y - share * along[1]) <= distance
    return mask


def inside_and_around(corners_xy: Sequence[tuple[float, float]]) -> tuple[Mask, Mask]:
    """The pixels well inside a polygon, and those that are inside or near its edge."""
    filled = cv2.fillPoly(np.zeros(door().shape, np.uint8), [np.array(corners_xy)], 1)
    kernel = np.ones((5, 5), np.uint8)
    return cv2.erode(filled, kernel).astype(bool), cv2.dilate(filled, kernel).astype(bool)
