"""Pushing: which photos, what with, and that it can be run again whatever happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelstudio.commands.push import model_version_of
from labelstudio.errors import ServerUnavailableError
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.regions import annotation_to_labels
from surfaces.errors import DatasetError
from tests.labelstudio.cut_line import cut_line
from tests.labelstudio.review_scenes import MODEL_VERSION, NEWER, Scene, photo_bytes, simple_labels


def add_photos(scene: Scene, count: int, **options: Any) -> list[str]:
    known = [
        (labels := simple_labels(seed=seed), scene.add(f"room/{seed}", labels, **options)) for seed in range(count)
    ]
    return [sha256 for _, sha256 in sorted(known, key=lambda pair: pair[0].quality_scores["score"])]


def shown_version(scene: Scene) -> str:
    return str(scene.server.client.projects.get(scene.project.id).model_version)


def test_photos_become_tasks_with_predictions_and_columns(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    photos = add_photos(scene, 4)

    assert scene.push("--queue", "doubtful", "--limit", "3") == 0

    out, err = capsys.readouterr()
    assert out == "added      3 tasks; 3 of this queue wait for review\n"
    assert "the server reads them from its own disk" in err
    tasks = scene.tasks()
    assert set(tasks) == set(photos[:3])
    for sha256, task in tasks.items():
        labels = scene.labels(sha256)
        [prediction] = task["predictions"]
        data = task["data"]
        assert prediction["model_version"] == "teacher one a1a1a1a1a1a1" == shown_version(scene)
        assert prediction["score"] == pytest.approx(labels.quality_scores["score"])
        assert same_labels(annotation_to_labels(prediction["result"], *labels.ignore_mask.shape).labels, labels)
        assert data["queue"] == "doubtful"
        assert data["score"] == pytest.approx(labels.quality_scores["score"], abs=1e-4)
        shares = [segment.detection.area_share for segment in labels.segments]
        assert [data["wall"], data["floor"], data["dining_table"]] == pytest.approx(shares, abs=1e-4)
        assert (data["tables"], data["disagreement"]) == (1, None)
        assert data["source"] == str(scene.photos / f"{data['name']}.png")
        assert scene.server.session.get(data["image"]).content == Path(data["source"]).read_bytes()


def test_limit_is_how_many_wait(scene: Scene) -> None:
    photos = add_photos(scene, 5)
    assert scene.push("--queue", "doubtful", "--limit", "2") == 0
    assert scene.push("--queue", "doubtful", "--limit", "2") == 0
    assert set(scene.tasks()) == set(photos[:2])

    scene.submit(scene.tasks()[photos[0]])
    assert scene.push("--queue", "doubtful", "--limit", "2") == 0
    assert set(scene.tasks()) == set(photos[:3])

    assert scene.push("--queue", "random", "--limit", "9", "--seed", "5") == 0
    assert set(scene.tasks()) == set(photos)


def next_task(scene: Scene) -> str:
    found = scene.server.session.get(f"/api/projects/{scene.project.id}/next").raise_for_status().json()
    return str(found["data"]["sha256"])


def test_reviewers_see_the_order_of_the_queue(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    doubtful = add_photos(scene, 4)
    assert scene.push("--queue", "random", "--seed", "3") == 0
    in_order = [task["data"]["sha256"] for task in sorted(scene.numbers(), key=lambda task: task["id"])]
    assert in_order[0] != doubtful[0], "the queue is another than that of uncertainty sampling"
    for sha256 in in_order:
        assert next_task(scene) == sha256
        scene.submit(scene.tasks()[sha256])
    assert "sampling" not in capsys.readouterr().err

    scene.server.client.projects.update(scene.project.id, sampling="Uncertainty sampling")
    assert scene.push() == 0
    [line] = [line for line in capsys.readouterr().err.splitlines() if "sampling" in line]
    assert line.startswith(f"project {scene.project.title!r} shows tasks by the score of their prediction")
    assert line.endswith("`python -m labelstudio init` changes that")


def test_newer_labels_become_predictions_of_the_same_tasks(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    photos = add_photos(scene, 3)
    assert scene.push() == 0
    before = scene.tasks()
    scene.submit(before[photos[0]])
    add_photos(scene, 3, settings=NEWER)
    capsys.readouterr()

    assert scene.push() == 0
    assert scene.push() == 0

    out = capsys.readouterr().out.splitlines()
    assert out[1] == "predicted  2 waiting tasks got the newest labels"
    assert out[2:] == ["added      0 tasks; 2 of this queue wait for review"]
    after = scene.tasks()
    versions = {sha256: [known["model_version"] for known in task["predictions"]] for sha256, task in after.items()}
    both = [MODEL_VERSION, model_version_of(NEWER)]
    assert versions == {photos[0]: [MODEL_VERSION], photos[1]: both, photos[2]: both}
    assert {sha256: task["id"] for sha256, task in after.items()} == {
        sha256: task["id"] for sha256, task in before.items()
    }
    assert shown_version(scene) == model_version_of(NEWER)


def test_labels_of_settings_that_are_superseded_are_not_pushed(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    add_photos(scene, 3)
    newest = scene.add("room/0", simple_labels(seed=0), NEWER)

    assert scene.push() == 0

    assert set(scene.tasks()) == {newest}
    assert "skipped: 2 photos" in capsys.readouterr().err


@pytest.mark.slow
def test_a_version_that_somebody_chose_stays(scene: Scene) -> None:
    photos = add_photos(scene, 1)
    assert scene.push() == 0
    theirs = {"task": scene.tasks()[photos[0]]["id"], "result": [], "model_version": "somebody's"}
    scene.server.session.post("/api/predictions/", json=theirs).raise_for_status()
    scene.server.client.projects.update(scene.project.id, model_version="somebody's")

    add_photos(scene, 1, settings=NEWER)
    assert scene.push() == 0

    assert shown_version(scene) == "somebody's"


def test_a_task_without_a_prediction_gets_one(scene: Scene) -> None:
    [photo] = add_photos(scene, 1)
    data = {"image": "/data/upload/none.png", "sha256": photo}
    scene.server.session.post(f"/api/projects/{scene.project.id}/import", json=[{"data": data}]).raise_for_status()

    assert scene.push() == 0

    [prediction] = scene.tasks()[photo]["predictions"]
    assert prediction["model_version"] == MODEL_VERSION == shown_version(scene)


@pytest.mark.slow
def test_doubled_tasks_are_made_one_and_no_work_is_lost(scene: Scene) -> None:
    photos = add_photos(scene, 3)
    assert scene.push() == 0
    first = scene.tasks()
    copies = [{"data": task["data"]} for task in first.values()]
    scene.server.session.post(f"/api/projects/{scene.project.id}/import", json=copies).raise_for_status()
    later = {task["data"]["sha256"]: task["id"] for task in scene.numbers() if task["total_predictions"] == 0}
    scene.server.session.post(f"/api/tasks/{later[photos[1]]}/annotations/", json={"result": []}).raise_for_status()
    scene.server.session.post(
        f"/api/tasks/{later[photos[2]]}/drafts", json={"result": [], "lead_time": 1}
    ).raise_for_status()

    assert scene.push() == 0

    left = {sha256: task["id"] for sha256, task in scene.tasks().items()}
    assert left == {photos[0]: first[photos[0]]["id"], photos[1]: later[photos[1]], photos[2]: later[photos[2]]}


@pytest.mark.slow
def test_deleted_tasks_come_back_only_when_asked_for(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    photos = add_photos(scene, 3)
    assert scene.push() == 0
    scene.server.client.tasks.delete(str(scene.tasks()[photos[1]]["id"]))

    assert scene.push() == 0
    assert set(scene.tasks()) == {photos[0], photos[2]}
    assert "skipped: 1 photos whose tasks were deleted" in capsys.readouterr().err

    assert scene.push("--again") == 0
    assert set(scene.tasks()) == set(photos)


@pytest.mark.slow
def test_photos_that_are_missing_are_reported_and_others_take_their_place(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = add_photos(scene, 4)
    files = {
        scene.add(f"room/{seed}", simple_labels(seed=seed)): scene.photos / f"room/{seed}.png" for seed in range(4)
    }
    gone = files[photos[0]]
    gone.unlink()
    files[photos[1]].write_bytes(b"changed")

    assert scene.push("--queue", "doubtful", "--limit", "2") == DatasetError.exit_code

    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "failed     2 photos"
    assert [line.count("expected the labelled photo, it is gone") for line in err.splitlines()].count(1) == 2
    assert set(scene.tasks()) == set(photos[2:])

    gone.write_bytes(photo_bytes(f"room/{gone.stem}", 48, 64))
    assert scene.push("--queue", "doubtful", "--limit", "3") == 0
    assert set(scene.tasks()) == {photos[0], *photos[2:]}


def test_a_dataset_without_labels_is_reported(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert scene.push() == DatasetError.exit_code
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("done", [False, True])
def test_a_push_resumes_after_the_connection_broke(
    scene: Scene, done: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstudio.project.tasks._BATCH_TASKS", 3)
    photos = add_photos(scene, 8)
    with cut_line(scene.server.url, "POST /api/projects", at=2, after_answer_began=done) as line:
        assert scene.push("--url", line.url) == ServerUnavailableError.exit_code
    assert line.seen == 2
    assert "does not answer" in capsys.readouterr().err.splitlines()[-1]
    assert len(scene.numbers()) == (6 if done else 3)

    assert scene.push() == 0

    tasks = scene.tasks()
    assert set(tasks) == set(photos)
    assert all(len(task["predictions"]) == 1 for task in tasks.values())


def test_an_upload_resumes_after_the_connection_broke(scene: Scene) -> None:
    photos = add_photos(scene, 3)
    with cut_line(scene.server.url, "POST /api/projects", at=2) as line:
        assert scene.push("--url", line.url, "--photos", "upload") == ServerUnavailableError.exit_code

    assert scene.push("--photos", "upload") == 0

    assert set(scene.tasks()) == set(photos)
    address = f"/api/projects/{scene.project.id}/file-uploads"
    uploads = scene.server.session.get(address, params={"all": "true"}).json()
    assert len(uploads) == len(photos)
