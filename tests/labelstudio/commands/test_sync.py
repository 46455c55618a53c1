"""The loop: pull, retrain, push."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labelstudio.review_scenes import Scene, simple_labels

TRAIN = "--steps 1 --batch 1 --crop 128 --threads 1"


def test_a_round_of_the_loop(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        scene.add(f"room-{number}", simple_labels(96, 128, number))
    run = tmp_path / "run"

    def sync() -> list[str]:
        assert (
            scene.run(
                "sync", "--limit", "2", "--queue", "doubtful", "--after", "2", "--run", str(run), "--train", TRAIN
            )
            == 0
        )
        return capsys.readouterr().out.splitlines()

    assert sync()[-1].startswith("added      2 tasks")
    assert not run.exists()
    first = scene.tasks()
    for task in first.values():
        scene.submit(task)
    told = sync()
    assert str(run / "round-001" / "student.onnx") in told
    assert told[-1].startswith("added      2 tasks")
    assert {sha256 for sha256, (origin, _) in scene.origins().items() if origin == "reviewed"} == set(first)
    assert sync() == ["pulled     0 tasks", "added      0 tasks; 2 of this queue wait for review"]
    assert sorted(path.name for path in run.iterdir()) == ["round-001"]
