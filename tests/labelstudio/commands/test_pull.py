"""Pulling: what people did becomes labels, once, and nothing that is newer is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelstudio.commands import pull
from labelstudio.errors import AnnotationError, ServerUnavailableError
from labelstudio.project.labeling_config import BOX, BRUSH, COMMENT, POLYGON, VERDICT, create_project
from labelstudio.project.tasks import read_stats
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.brush import encode_brush
from labelstudio.sync.review_log import LOG_NAME, LoggedAnnotation, Outcome, ReviewLog
from surfaces.cli.commands import INTERRUPTED
from surfaces.store.label_store import STORE_NAME, LabelStore
from tests.labelstudio.cut_line import cut_line
from tests.labelstudio.review_scenes import Scene, entry, result_of, simple_labels
from tests.labelstudio.servers import TestServer

SIZE_HW = (48, 64)


def sha256_of(task: dict[str, Any]) -> str:
    return str(task["data"]["sha256"])


def logged(scene: Scene) -> list[LoggedAnnotation]:
    with ReviewLog.of(scene.dataset) as log:
        return log.annotations(read_stats(scene.server, scene.project).key)


def test_effects_of_outcomes_on_the_dataset(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    accepted, corrected, rejected, unsure, skipped, waiting = scene.push_photos(6)
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    correction = simple_labels(seed=77)
    scene.submit(accepted)
    scene.submit(corrected, [*result_of(correction), entry(COMMENT, "textarea", text=["the window was wall"])])
    scene.submit(rejected, [*rejected["predictions"][0]["result"], entry(VERDICT, "choices", choices=["reject"])])
    scene.submit(unsure, [*result_of(correction), entry(VERDICT, "choices", choices=["unsure"])])
    scene.submit(skipped, [], was_cancelled=True)
    capsys.readouterr()

    assert scene.pull() == 0

    assert capsys.readouterr().out == ("pulled     5 tasks: 1 accepted, 1 corrected, 1 rejected, 1 skipped, 1 unsure\n")
    person = scene.server.account.username
    origins = {sha256_of(task): ("reviewed", person) for task in (accepted, corrected, rejected)}
    assert scene.origins() == origins | {sha256_of(task): ("auto", "") for task in (unsure, skipped, waiting)}
    for task in (accepted, unsure, skipped, waiting):
        assert same_labels(scene.labels(sha256_of(task)), before[sha256_of(task)])
    assert same_labels(scene.labels(sha256_of(corrected)), correction)
    assert scene.labels(sha256_of(rejected)).ignore_mask.all()
    known = {each.outcome: each for each in logged(scene)}
    assert set(known) == set(Outcome) - {Outcome.SUPERSEDED, Outcome.PENDING, Outcome.UNDONE}
    assert known[Outcome.ACCEPTED].iou == {"wall": 1.0, "floor": 1.0, "dining table": 1.0}
    assert known[Outcome.CORRECTED].comment == "the window was wall"
    old, new = (
        each.labels().semantic[~correction.ignore_mask] == 1 for each in (before[sha256_of(corrected)], correction)
    )
    assert known[Outcome.CORRECTED].iou["wall"] == pytest.approx((old & new).sum() / (old | new).sum(), abs=1e-9)
    assert known[Outcome.CORRECTED].iou["wall"] < 1
    assert {each.seconds for each in known.values()} == {12.5}
    assert not known[Outcome.REJECTED].iou


def test_only_changed_tasks_are_pulled(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scene.push_photos(2)
    number = scene.submit(first)
    assert scene.pull() == 0
    assert scene.pull() == 0
    assert capsys.readouterr().out.endswith("pulled     1 tasks: 1 accepted\npulled     0 tasks\n")

    correction = simple_labels(seed=50)
    scene.change(number, result_of(correction))
    scene.submit(second)
    assert scene.pull() == 0

    assert capsys.readouterr().out == "pulled     2 tasks: 1 accepted, 1 corrected\n"
    assert same_labels(scene.labels(sha256_of(first)), correction)
    assert len(logged(scene)) == 2

    for seed in (61, 62):
        scene.submit(second, result_of(simple_labels(seed=seed)))
    scene.server.client.annotations.delete(number)
    assert scene.pull() == 0
    assert same_labels(scene.labels(sha256_of(first)), correction), "labels outlive their annotation"
    assert same_labels(scene.labels(sha256_of(second)), simple_labels(seed=62))
    assert len(logged(scene)) == 4
    person = scene.server.account.username
    report = f"?task={second['id']}: 3 annotations by {person}; of each person the newest counts"
    assert report in capsys.readouterr().err
    assert {path.name for path in scene.dataset.iterdir()} == {STORE_NAME, LOG_NAME}


def test_the_majority_of_several_people(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    [task] = scene.push_photos(1)
    people = [scene.colleague(name) for name in ("ann", "ben", "cem")]
    for (person, _), seed in zip(people, (60, 60, 61), strict=True):
        scene.submit(task, result_of(simple_labels(seed=seed)), completed_by=person)
    capsys.readouterr()

    assert scene.pull("--annotators", "majority") == 0

    assert same_labels(scene.labels(sha256_of(task)), simple_labels(seed=60))
    assert scene.origins() == {sha256_of(task): ("reviewed", ", ".join(email for _, email in people))}
    assert "agreement  1 tasks of several people, mean IoU wall 0." in capsys.readouterr().out


def test_bad_annotations_are_reported_and_pulled_once_corrected(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    def brush(label: str, rle: list[int]) -> dict[str, Any]:
        return entry(BRUSH, "brushlabels", SIZE_HW, format="rle", rle=rle, brushlabels=[label])

    box = {"x": 10, "y": 50, "width": 40, "height": 40, "rotation": 0}
    full, empty = encode_brush(np.ones(SIZE_HW, bool)), encode_brush(np.zeros(SIZE_HW, bool))
    bad: list[list[dict[str, Any]]] = [
        [brush("ceiling", full)],
        [entry(POLYGON, "polygonlabels", SIZE_HW, points=[[1, 1], [50, 50]], polygonlabels=["dining table"])],
        [each | {"original_width": 64, "original_height": 48} for each in result_of(simple_labels(20, 20))],
        result_of(simple_labels(49, 64)),
        [brush("wall", [1, 2, 3])],
        [brush("wall", full) | {"type": "rectanglelabels"}],
        [entry(BOX, "rectanglelabels", SIZE_HW, **box, rectanglelabels=["dining table"])],
        [entry(BOX, "ellipselabels", SIZE_HW, **box, ellipselabels=["wall"]), entry(COMMENT, "textarea", text=["o"])],
        [brush("floor", empty)],
    ]
    good, *tasks = scene.push_photos(1 + len(bad))
    numbers = [scene.submit(task, result) for task, result in zip(tasks, bad, strict=True)]
    scene.submit(good)
    before = {sha256: scene.labels(sha256) for sha256 in scene.origins()}
    capsys.readouterr()

    assert scene.pull() == AnnotationError.exit_code

    out, err = capsys.readouterr()
    assert out == f"pulled     1 tasks: 1 accepted\nfailed     {len(bad)}\n"
    told = [line for line in err.splitlines() if line.startswith(scene.project.url)]
    assert [line.partition(": ")[0] for line in told] == [f"{scene.project.url}?task={task['id']}" for task in tasks]
    assert [origin for origin, _ in scene.origins().values()].count("reviewed") == 1
    assert all(same_labels(scene.labels(sha256), labels) for sha256, labels in before.items())

    for number in numbers:
        scene.change(number, result_of(simple_labels(seed=70)))
    assert scene.pull() == 0
    assert {origin for origin, _ in scene.origins().values()} == {"reviewed"}


def test_labels_that_were_reviewed_elsewhere_stay(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    [task] = scene.push_photos(1)
    theirs = simple_labels(seed=80)
    with LabelStore.open(scene.dataset) as store:
        store.add_review(sha256_of(task), theirs, "somebody@else")
    scene.submit(task)
    capsys.readouterr()

    assert scene.pull() == 0
    assert scene.pull() == 0

    out, err = capsys.readouterr()
    assert out == "pulled     1 tasks: 1 superseded\nconflicts  1\npulled     0 tasks\n"
    assert "was reviewed elsewhere, by somebody@else; those labels stay" in err
    assert same_labels(scene.labels(sha256_of(task)), theirs)


@pytest.mark.slow
def test_the_newer_of_two_projects_reviews_stays(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    [task] = scene.push_photos(1)
    other = Scene(scene.server, create_project(scene.server, f"{scene.project.title} two"), scene.dataset.parent)
    assert other.push("--photos", "upload") == 0
    older, newer = simple_labels(seed=81), simple_labels(seed=82)
    other.submit(other.tasks()[sha256_of(task)], result_of(older))
    number = scene.submit(task, result_of(newer))

    assert scene.pull() == 0
    assert other.pull() == 0
    assert same_labels(scene.labels(sha256_of(task)), newer)
    out, err = capsys.readouterr()
    assert "conflicts  1" in out
    assert "has a newer review" in err

    annotation = max(annotation["id"] for annotation in other.task(other.numbers()[0]["id"])["annotations"])
    other.change(annotation, result_of(older))
    assert other.pull() == 0
    assert same_labels(scene.labels(sha256_of(task)), older)
    assert "was reviewed in another project" in capsys.readouterr().err
    scene.change(number, result_of(newer))
    assert scene.pull() == 0
    assert same_labels(scene.labels(sha256_of(task)), newer)
    scene.server.client.projects.delete(other.project.id)


@pytest.mark.parametrize("pulled_before", [False, True], ids=["new", "pulled before"])
def test_photos_that_the_dataset_does_not_have_are_reported(
    scene: Scene, pulled_before: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = scene.push_photos(2)
    for task in (mine, theirs):
        scene.submit(task)
    if pulled_before:
        assert scene.pull() == 0
    (scene.dataset / STORE_NAME).unlink()
    scene.label(Path(mine["data"]["source"]), simple_labels(seed=0))
    capsys.readouterr()

    assert scene.pull() == 0

    out, err = capsys.readouterr()
    assert out == "pulled     1 tasks: 1 accepted\nconflicts  1\n"
    assert f"?task={theirs['id']}: its photo {sha256_of(theirs)[:12]} is not in the dataset" in err


@pytest.mark.slow
def test_a_dataset_that_was_restored_gets_its_reviews_again(scene: Scene, tmp_path: Path) -> None:
    first, second = scene.push_photos(2)
    shutil.copy(scene.dataset / STORE_NAME, tmp_path / "earlier")
    for task in (first, second):
        scene.submit(task)
    assert scene.pull() == 0
    shutil.copy(tmp_path / "earlier", scene.dataset / STORE_NAME)

    assert scene.pull() == 0

    assert {origin for origin, _ in scene.origins().values()} == {"reviewed"}


def test_a_pull_killed_between_labels_and_log_knows_its_own_work(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [task] = scene.push_photos(1)
    number = scene.submit(task, result_of(simple_labels(seed=90)))
    write = LabelStore.add_review

    def killed_after(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LabelStore, "add_review", killed_after)
        assert scene.pull() == INTERRUPTED
    assert same_labels(scene.labels(sha256_of(task)), simple_labels(seed=90))
    scene.change(number, result_of(simple_labels(seed=91)))

    assert scene.pull() == 0

    assert same_labels(scene.labels(sha256_of(task)), simple_labels(seed=91))
    assert "conflicts" not in capsys.readouterr().out


def test_tasks_that_are_deleted_meanwhile_are_skipped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = scene.push_photos(2)
    for task in (first, second):
        scene.submit(task)
    read: Callable[..., Any] = pull.read_task  # type: ignore[attr-defined]

    def deleted_before(server: TestServer, number: int) -> Any:
        if number == first["id"]:
            server.client.tasks.delete(str(number))
        return read(server, number)

    monkeypatch.setattr(pull, "read_task", deleted_before)
    assert scene.pull() == 0
    assert scene.origins()[sha256_of(first)][0] == "auto"
    assert scene.origins()[sha256_of(second)][0] == "reviewed"


def test_a_pull_resumes_after_the_connection_broke(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = scene.push_photos(6)
    for task in tasks:
        scene.submit(task)
    with cut_line(scene.server.url, f"GET /api/tasks/{tasks[3]['id']}/") as line:
        assert scene.pull("--url", line.url) == ServerUnavailableError.exit_code
    assert [origin for origin, _ in scene.origins().values()].count("reviewed") == 3
    capsys.readouterr()

    assert scene.pull() == 0

    assert capsys.readouterr().out == "pulled     3 tasks: 3 accepted\n"
    assert {origin for origin, _ in scene.origins().values()} == {"reviewed"}
