"""What a pull would change, and how automatic labels come back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

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
    for seed in range(3):
        scene.add(f"{seed}", simple_labels(seed=seed))
    assert scene.push() == 0
    if log == "no log":
        (scene.dataset / LOG_NAME).unlink()
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    accepted, corrected, bad = scene.tasks().values()
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
    for task, outcome in ((accepted, "accepted"), (corrected, "corrected")):
        old = before[task["data"]["sha256"]]
        new = correction if outcome == "corrected" else old
        changes.append(f"{task['data']['source']}: {outcome} by {person}; {change(old, new)}")
    assert out.splitlines() == [*changes, "would pull 2 tasks: 1 accepted, 1 corrected", "failed     1"]
    assert f"?task={bad['id']}: region " in err
    assert files_in(scene.dataset) == files
    assert scene.pull() == AnnotationError.exit_code
    assert capsys.readouterr().out == "pulled     2 tasks: 1 accepted, 1 corrected\nfailed     1\n"


def test_automatic_labels_come_back_and_their_reviews_too(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        scene.add(f"{seed}", simple_labels(seed=seed))
    assert scene.push() == 0
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    correction = simple_labels(seed=50)
    tasks = scene.tasks()
    numbers = {sha256: scene.submit(task, result_of(correction)) for sha256, task in tasks.items()}
    assert scene.pull() == 0
    first, *others = tasks
    source = Path(tasks[first]["data"]["source"])
    capsys.readouterr()

    assert main(["undo", str(scene.dataset), str(source.parent / ".." / source.parent.name / source.name)]) == 0

    assert capsys.readouterr().out == f"{source}: {change(correction, before[first])}\nrestored   1 photos\n"
    assert [origin for _, (origin, _) in sorted(scene.origins().items(), key=lambda item: item[0] != first)] == [
        *("auto", "reviewed", "reviewed")
    ]
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
