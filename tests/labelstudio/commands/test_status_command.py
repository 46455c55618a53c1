"""What `status` tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labelstudio.sync.review_log import LOG_NAME
from tests.labelstudio.review_scenes import Scene, files_in, result_of, simple_labels


def status(scene: Scene, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert scene.run("status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_status_counts_waiting_and_reviewed_tasks(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(5):
        scene.add(f"{seed}", simple_labels(seed=seed))
    assert scene.push() == 0
    assert status(scene, capsys) == {
        "project": scene.project.title,
        "url": scene.project.url,
        **{"tasks": 5, "waiting": 5, "done": 0, "skipped": 0},
        **{"outcomes": {}, "iou": {}, "seconds": None, "annotators": {}, "agreement": {"tasks": 0, "iou": {}}},
    }

    accepted, corrected, twice, skipped, _ = scene.tasks().values()
    other = result_of(simple_labels(seed=40))
    scene.submit(accepted, lead_time=10)
    scene.submit(corrected, other, lead_time=30)
    scene.submit(twice, lead_time=50)
    body = {"username": f"gil-{scene.project.id}", "email": f"gil-{scene.project.id}@example.com"}
    person = scene.server.session.post("/api/users/", json=body).raise_for_status().json()["id"]
    scene.submit(twice, other, completed_by=person, lead_time=60)
    scene.submit(skipped, [], was_cancelled=True, lead_time=1)
    before_pull = status(scene, capsys)
    assert (before_pull["done"], before_pull["outcomes"]) == (3, {})
    assert scene.pull() == 0

    found = status(scene, capsys)

    assert {key: found[key] for key in ("tasks", "waiting", "done", "skipped")} == {
        **{"tasks": 5, "waiting": 2, "done": 3, "skipped": 1}
    }
    assert found["outcomes"] == {"accepted": 1, "corrected": 2, "skipped": 1}
    assert found["seconds"] == 40
    assert found["annotators"] == {f"gil-{scene.project.id}@example.com": 1, scene.server.account.username: 4}
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
    scene.add("a", simple_labels())
    assert scene.push() == 0
    if log == "no log":
        (scene.dataset / LOG_NAME).unlink()
    before = files_in(scene.dataset)
    assert scene.run("status") == 0
    assert files_in(scene.dataset) == before
