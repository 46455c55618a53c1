"""Dataset, predictions, annotations, dataset: exact to the pixel, a thousand tasks, and the loop with training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelstudio.errors import ServerUnavailableError
from labelstudio.project.labeling_config import create_project
from labelstudio.project.tasks import read_stats
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.review_log import ReviewLog
from surfaces.store.records import ScoredLabels
from tests.labelstudio.review_scenes import Scene, labels_of_masks, simple_labels
from tests.labelstudio.servers import running_server, wait_for


def shapes() -> dict[str, ScoredLabels]:
    rows, columns = np.mgrid[:61, :83]
    nothing = np.zeros((61, 83), bool)
    one = nothing.copy()
    one[60, 82] = True
    rings = ((rows - 30) ** 2 + (columns - 40) ** 2) // 90 % 2 == 0
    checks = (rows // 2 + columns // 3) % 2 == 0
    noise = np.random.default_rng(3).random((61, 83)) < 0.5
    corners = (rows % 60 == 0) & (columns % 82 == 0)
    return {
        "empty": labels_of_masks([("wall", nothing)]),
        "full": labels_of_masks([("wall", ~nothing)]),
        "all-unsure": labels_of_masks([("wall", nothing)], ~nothing),
        "one-pixel": labels_of_masks([("wall", one)]),
        "holes": labels_of_masks([("wall", rings), ("floor", ~rings & (columns < 20))]),
        "parts": labels_of_masks([("floor", checks), ("wall", corners & ~checks)]),
        "noise": labels_of_masks([("wall", noise), ("floor", ~noise)]),
        "tables": labels_of_masks(
            [("dining table", (columns // 12 == n) & rings) for n in range(6)] + [("wall", ~rings & (rows < 20))],
            ~rings & (rows > 50),
        ),
        "narrow": simple_labels(200, 17),
        "flat": simple_labels(19, 333),
        "odd": simple_labels(127, 255),
    }


def test_labels_come_back_exact_to_the_pixel(scene: Scene) -> None:
    pushed = {scene.add(name, labels): labels for name, labels in shapes().items()}
    for orientation in range(2, 9):
        labels = simple_labels(60 + orientation, 90, orientation)
        pushed[scene.add(f"turned-{orientation}", labels, orientation=orientation, suffix=".jpg")] = labels
    for name, labels, suffix in (
        ("webp", simple_labels(70, 50), ".webp"),
        ("large", simple_labels(3000, 4000), ".jpg"),
    ):
        pushed[scene.add(name, labels, suffix=suffix)] = labels

    assert scene.push() == 0
    for task in scene.tasks().values():
        scene.submit(task)
    assert scene.pull() == 0

    assert set(scene.origins().values()) == {("reviewed", scene.server.account.username)}
    for sha256, labels in pushed.items():
        assert same_labels(scene.labels(sha256), labels)


TRAIN = "--steps 1 --batch 1 --crop 128 --threads 1"


def test_a_round_of_the_loop(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        scene.add(f"room-{number}", simple_labels(96, 128, number))
    rounds = tmp_path / "run"

    def sync() -> list[str]:
        limits = ("--limit", "2", "--queue", "doubtful", "--after", "2")
        assert scene.run("sync", *limits, "--run", str(rounds), "--train", TRAIN) == 0
        return capsys.readouterr().out.splitlines()

    assert sync()[-1].startswith("added      2 tasks")
    assert not rounds.exists()
    first = scene.tasks()
    for task in first.values():
        scene.submit(task)
    told = sync()
    assert str(rounds / "round-001" / "student.onnx") in told
    assert told[-1].startswith("added      2 tasks")
    assert {sha256 for sha256, (origin, _) in scene.origins().items() if origin == "reviewed"} == set(first)
    assert sync() == ["pulled     0 tasks", "added      0 tasks; 2 of this queue wait for review"]
    assert sorted(path.name for path in rounds.iterdir()) == ["round-001"]


COUNT = 1000
_PATIENCE_S = 1800


def run(scene: Scene, command: str, *arguments: str) -> subprocess.Popen[str]:
    named = ("--project", scene.project.title, "--url", scene.server.url)
    return subprocess.Popen(
        [sys.executable, "-m", "labelstudio", command, str(scene.dataset), *named, *arguments],
        env={**os.environ, "LABEL_STUDIO_API_KEY": scene.server.account.token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_with_the_server_killed_half_way(scene: Scene, progress: Callable[[], int], *command: str) -> None:
    process = run(scene, *command)
    wait_for(lambda: process.poll() is not None or progress() >= COUNT / 2, _PATIENCE_S, 0.5)
    assert process.poll() is None, process.communicate()
    local = scene.server.local
    os.kill(local.running().pid, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == ServerUnavailableError.exit_code, err
    assert "does not answer" in err.splitlines()[-1]
    assert "Traceback" not in err

    local.start(scene.server.executable, port=int(scene.server.url.rsplit(":", 1)[1]))
    out, err = run(scene, *command).communicate()
    assert "Traceback" not in err
    assert out.startswith(("added", "pulled")), err


@pytest.mark.slow
def test_a_thousand_tasks_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "home") as started:
        scene = Scene(started, create_project(started, "a thousand"), tmp_path)
        pushed = {}
        for seed in range(COUNT):
            labels = simple_labels(seed=seed)
            pushed[scene.add(f"{seed}", labels)] = labels
        key = read_stats(started, scene.project).key

        def in_project() -> int:
            return read_stats(started, scene.project).tasks

        run_with_the_server_killed_half_way(scene, in_project, "push", "--queue", "random", "--limit", str(COUNT))
        tasks = scene.tasks()
        assert set(tasks) == set(pushed)
        assert all(len(task["predictions"]) == 1 for task in tasks.values())
        for task in tasks.values():
            scene.submit(task)

        def in_log() -> int:
            with ReviewLog.of(scene.dataset) as log:
                return len(log.tasks(key))

        run_with_the_server_killed_half_way(scene, in_log, "pull")
        assert in_log() == COUNT
        assert set(scene.origins().values()) == {("reviewed", started.account.username)}
        assert all(same_labels(scene.labels(sha256), labels) for sha256, labels in pushed.items())

        out, _ = run(scene, "push", "--queue", "random", "--limit", "0").communicate()
        assert out == "added      0 tasks; 0 of this queue wait for review\n"
        out, _ = run(scene, "pull").communicate()
        assert out == "pulled     0 tasks\n"
