"""A thousand tasks pushed and pulled, the server killed in the middle of both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labelstudio.errors import ServerUnavailableError
from labelstudio.project.labeling_config import create_project
from labelstudio.project.tasks import read_stats
from labelstudio.server.connection import open_server
from labelstudio.sync.agreement import same_labels
from labelstudio.sync.review_log import ReviewLog
from tests.labelstudio.review_scenes import Scene, simple_labels
from tests.labelstudio.servers import TestServer, running_server

COUNT = 1000
_PATIENCE_S = 1800


class Restarted:
    def __init__(self, server: TestServer) -> None:
        self.server = server

    def kill(self) -> None:
        running = self.server.local.running()
        assert running
        os.kill(running.pid, signal.SIGKILL)

    def start(self) -> None:
        port = int(self.server.url.rsplit(":", 1)[1])
        self.server.local.start(self.server.executable, port=port)
        open_server(self.server.url, self.server.account.token)


def run(scene: Scene, command: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LABEL_STUDIO_API_KEY": scene.server.account.token}
    named = ("--project", scene.project.title, "--url", scene.server.url)
    return subprocess.Popen(
        [sys.executable, "-m", "labelstudio", command, str(scene.dataset), *named, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def with_the_server_killed(
    scene: Scene, server: Restarted, progress: Callable[[], int], command: str, *arguments: str
) -> None:
    """Runs a command, kills the server half-way, starts it, runs the command again."""
    begun = time.monotonic()
    process = run(scene, command, *arguments)
    while progress() < COUNT / 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < _PATIENCE_S
        time.sleep(0.5)
    server.kill()
    _, err = process.communicate()
    assert process.returncode == ServerUnavailableError.exit_code, err
    assert "does not answer" in err.splitlines()[-1]
    assert "Traceback" not in err

    server.start()
    out, err = run(scene, command, *arguments).communicate()
    assert "Traceback" not in err
    assert out.startswith(("added", "pulled")), err


@pytest.mark.slow
def test_a_thousand_tasks_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "home") as started:
        server = Restarted(started)
        scene = Scene(started, create_project(started, "a thousand"), tmp_path)
        pushed = {}
        for seed in range(COUNT):
            labels = simple_labels(seed=seed)
            pushed[scene.add(f"{seed}", labels)] = labels
        key = read_stats(started, scene.project).key

        def in_project() -> int:
            return read_stats(started, scene.project).tasks

        with_the_server_killed(scene, server, in_project, "push", "--queue", "random", "--limit", str(COUNT))
        tasks = scene.tasks()
        assert set(tasks) == set(pushed)
        assert all(len(task["predictions"]) == 1 for task in tasks.values())
        for task in tasks.values():
            scene.submit(task)

        def in_log() -> int:
            with ReviewLog.of(scene.dataset) as log:
                return len(log.tasks(key))

        with_the_server_killed(scene, server, in_log, "pull")
        assert in_log() == COUNT
        assert set(scene.origins().values()) == {("reviewed", started.account.username)}
        assert all(same_labels(scene.labels(sha256), labels) for sha256, labels in pushed.items())

        out, _ = run(scene, "push", "--queue", "random", "--limit", "0").communicate()
        assert out == "added      0 tasks; 0 of this queue wait for review\n"
        out, _ = run(scene, "pull").communicate()
        assert out == "pulled     0 tasks\n"
