"""What a pull would change, how automatic labels come back, and what `status` tells."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from labelstudio.__main__ import main
from labelstudio.errors import AnnotationError
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.review_log import LOG_NAME
from surfaces.errors import DatasetError
from surfaces.store.label_store import STORE_NAME, LabelStore
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import SETTINGS, Scene, files_in, result_of, simple_labels


def change(before: ScoredLabels, after: ScoredLabels) -> str:
    counts = []
    for labels in (before.labels(), after.labels()):
        pixels = [int((labels.semantic == value).sum()) for value in (1, 2, 3, 255)]
        counts.append([*pixels, int(labels.tables.max())])
    names = ("wall", "floor", "dining table", "unsure", "tables")
    return ", ".join(f"{name}: {old} -> {new}" for name, old, new in zip(names, *counts, strict=True))


@pytest.mark.parametrize("log", ["a log", "no log"])
def test_a_dry_run_shows_changes_and_writes_nothing(scene: Scene, log: str, capsys: pytest.CaptureFixture[str]) -> None:
    accepted, corrected, bad = scene.push_photos(3)
    if log == "no log":
        (scene.dataset / LOG_NAME).unlink()
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    correction = simple_labels(seed=50)
    scene.submit(accepted)
    scene.submit(corrected, result_of(correction))
    scene.submit(bad, [{"from_name": "box", "to_name": "photo", "type": "rectanglelabels", "value": {}}])
    files = files_in(scene.dataset)
    capsys.readouterr()

    assert scene.pull("--dry-run") == AnnotationError.exit_code

    out, err = capsys.readouterr()
    person = scene.server.account.username
    changes = []
    for task, outcome, new in ((accepted, "accepted", None), (corrected, "corrected", correction)):
        old = before[task["data"]["sha256"]]
        changes.append(f"{task['data']['source']}: {outcome} by {person}; {change(old, new or old)}")
    assert out.splitlines() == [*changes, "would pull 2 tasks: 1 accepted, 1 corrected", "failed     1"]
    assert f"?task={bad['id']}: region " in err
    assert files_in(scene.dataset) == files
    assert scene.pull() == AnnotationError.exit_code
    assert capsys.readouterr().out == "pulled     2 tasks: 1 accepted, 1 corrected\nfailed     1\n"


def test_automatic_labels_come_back_and_their_reviews_too(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = {task["data"]["sha256"]: task for task in scene.push_photos(3)}
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    correction = simple_labels(seed=50)
    numbers = {sha256: scene.submit(task, result_of(correction)) for sha256, task in tasks.items()}
    assert scene.pull() == 0
    first, *others = tasks
    source = Path(tasks[first]["data"]["source"])
    capsys.readouterr()

    assert main(["undo", str(scene.dataset), str(source.parent / ".." / source.parent.name / source.name)]) == 0

    assert capsys.readouterr().out == f"{source}: {change(correction, before[first])}\nrestored   1 photos\n"
    origins = {sha256: origin for sha256, (origin, _) in scene.origins().items()}
    assert origins == {first: "auto"} | dict.fromkeys(others, "reviewed")
    assert main(["undo", str(scene.dataset)]) == 0
    assert scene.pull() == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["restored   2 photos", "pulled     0 tasks"]
    assert set(scene.origins().values()) == {("auto", "")}
    for sha256, labels in before.items():
        back = scene.labels(sha256)
        assert same_labels(back, labels)
        assert back.quality_scores == labels.quality_scores
        assert [each.detection.score for each in back.segments] == [each.detection.score for each in labels.segments]

    scene.change(numbers[first], result_of(simple_labels(seed=51)))
    assert scene.pull() == 0
    assert same_labels(scene.labels(first), simple_labels(seed=51)), "who changes a review means it"
    assert scene.pull("--redo") == 0
    assert all(same_labels(scene.labels(sha256), correction) for sha256 in others)


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """A dataset of two photos, one of them reviewed; no server has anything to do with it."""
    scene = Scene.__new__(Scene)
    scene.dataset, scene.photos = tmp_path / "labels", tmp_path / "photos"
    sha256 = scene.add("seen", simple_labels())
    scene.add("unseen", simple_labels(seed=1))
    with LabelStore.open(scene.dataset) as store:
        store.add_review(sha256, simple_labels(seed=2), "ann")
    return scene.dataset


@pytest.mark.parametrize("command", ["push", "pull", "status", "undo"])
def test_an_address_is_no_dataset(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "s3://bucket/labels"])
    assert ended.value.code == 2
    assert "expected a path on this machine, got the address s3://bucket/labels\n" in capsys.readouterr().err


def test_undo_needs_no_server_and_no_log(reviewed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["undo", str(reviewed), "seen", "seen"]) == 0
    assert capsys.readouterr().out.endswith("\nrestored   1 photos\n")
    with LabelStore.open(reviewed) as store:
        assert [photo.origin for photo in store.photos()] == ["auto", "auto"]
        assert {photo.settings for photo in store.photos()} == {SETTINGS.fingerprint}
    assert [path.name for path in reviewed.iterdir()] == [STORE_NAME]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sean", "expected the path, name or sha256 of a photo of "),
        ("unseen", "expected a photo whose automatic labels are kept beside a review, got 'unseen'"),
    ],
    ids=["unknown", "not reviewed"],
)
def test_a_name_that_cannot_be_undone_changes_nothing(
    reviewed: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_in(reviewed)
    assert main(["undo", str(reviewed), "seen", name]) == DatasetError.exit_code
    assert capsys.readouterr().err.startswith(f"labelstudio: {words}")
    assert files_in(reviewed) == files


def test_reviews_from_before_labels_were_kept_are_reported(reviewed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(reviewed / STORE_NAME) as connection:
        for table in ("photos", "segments"):
            connection.execute(f"DROP TABLE replaced_{table}")
    assert main(["undo", str(reviewed)]) == 0
    told = capsys.readouterr()
    assert told.out == "restored   0 photos\n"
    assert told.err.startswith("left as they are: 1 reviewed photos without automatic labels")


def status(scene: Scene, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert scene.run("status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_status_counts_waiting_and_reviewed_tasks(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    accepted, corrected, twice, skipped, _ = scene.push_photos(5)
    assert status(scene, capsys) == {
        **{"project": scene.project.title, "url": scene.project.url},
        **{"tasks": 5, "waiting": 5, "done": 0, "skipped": 0},
        **{"outcomes": {}, "iou": {}, "seconds": None, "annotators": {}, "agreement": {"tasks": 0, "iou": {}}},
    }

    other = result_of(simple_labels(seed=40))
    scene.submit(accepted, lead_time=10)
    scene.submit(corrected, other, lead_time=30)
    scene.submit(twice, lead_time=50)
    person, email = scene.colleague("gil")
    scene.submit(twice, other, completed_by=person, lead_time=60)
    scene.submit(skipped, [], was_cancelled=True, lead_time=1)
    before_pull = status(scene, capsys)
    assert (before_pull["done"], before_pull["outcomes"]) == (3, {})
    assert scene.pull() == 0

    found = status(scene, capsys)

    assert [found[key] for key in ("tasks", "waiting", "done", "skipped")] == [5, 2, 3, 1]
    assert found["outcomes"] == {"accepted": 1, "corrected": 2, "skipped": 1}
    assert found["seconds"] == 40
    assert found["annotators"] == {email: 1, scene.server.account.username: 4}
    assert found["agreement"]["tasks"] == 1
    assert 0 < found["iou"]["wall"] < 1
    assert scene.run("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:5] == [
        "queue      2 of 5 tasks wait for review",
        "done       3 tasks, 4 pulled; 1 times skipped",
        "outcomes   1 accepted, 2 corrected, 1 skipped",
        "unchanged  33% of 3 judged photos",
    ]
    assert lines[5].startswith(f"iou        wall {found['iou']['wall']:.3f}, floor ")
    assert lines[6] == "time       40 s a task, median"
    assert lines[8].startswith("agreement  wall ")


@pytest.mark.parametrize("log", ["a log", "no log"])
def test_status_leaves_the_dataset_as_it_is(scene: Scene, log: str) -> None:
    scene.push_photos(1)
    if log == "no log":
        (scene.dataset / LOG_NAME).unlink()
    before = files_in(scene.dataset)
    assert scene.run("status") == 0
    assert files_in(scene.dataset) == before
