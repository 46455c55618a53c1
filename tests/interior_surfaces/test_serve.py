"""`interior-surfaces serve` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from interior_surfaces.serve import SECRET, main
from tests.absent_packages import without
from tests.interior_surfaces.web.conftest import ROOM
from tests.interior_surfaces.web.test_app import post

ROOT = Path(__file__).parents[2]
PHRASE = "correct horse battery"


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address and the process of a server, which is killed at the end if it still runs."""
    command = [sys.executable, "-m", "interior_surfaces.command", "serve", "--port", "0", "--threads", "1", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_asked_to_end(ending: signal.Signals) -> None:
    with serving() as (url, process):
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/healthz", trust_env=False).json()["status"] == "ok"
        assert post(url).json()["segments"]
        process.send_signal(ending)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == ""
    assert [json.loads(line)["path"] for line in err.splitlines()] == ["/healthz", "/v1/segment"]


def test_options_reach_the_server() -> None:
    flags = ["--max-megabytes", "0.01", "--max-megapixels", "0.1", "--labelstudio", "--host", "0.0.0.0"]
    flags += ["--allowed-origin", "https://rooms.example.com"]
    with serving(*flags, **{SECRET: PHRASE}) as (url, _):
        secret = {"Authorization": f"Bearer {PHRASE}"}
        assert post(url).status_code == 401
        origin = {"Origin": "https://rooms.example.com"}
        assert post(url, headers=secret | origin).headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "at most 10000 bytes" in post(url, photo=b"x" * 90_000, headers=secret).json()["error"]
        health = httpx.get(f"{url}/labelstudio/health", headers=secret, trust_env=False)
        assert health.json()["status"] == "UP"
        assert httpx.get(f"{url}/labelstudio/health", trust_env=False).status_code == 401


def test_what_cannot_be_served_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 6
    assert capsys.readouterr().err == f"serve: could not listen on 127.0.0.1:{port}: Address already in use\n"
    assert main(["--host", "0.0.0.0"]) == 27
    expected = f"serve: expected a secret in {SECRET}, since others can reach 0.0.0.0, got none\n"
    assert capsys.readouterr().err == expected
    for wrong in ("rooms.example.com", "https://a.example/x", "https://me@a.example"):
        with pytest.raises(SystemExit):
            main(["--allowed-origin", wrong])
        assert f"expected an origin such as https://rooms.example.com, got {wrong!r}" in capsys.readouterr().err
    assert main(["--weights", "nowhere.onnx", "--port", "0"]) == 7
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_extra_is_named() -> None:
    program = without(["fastapi"], "from interior_surfaces.command import main\nsys.exit(main(['serve']))")
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    expected = "`interior-surfaces serve` needs fastapi, which is not installed; pip install 'interior-surfaces[web]'"
    assert (ran.returncode, ran.stderr) == (9, f"serve: {expected}\n")


@pytest.mark.slow
def test_memory_stays_flat_under_load() -> None:
    """Twenty clients for a minute; figures are printed."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    content, statuses, seconds = ROOM.read_bytes(), [], []
    with serving() as (url, process):
        process.stderr and process.stderr.close()
        memory = psutil.Process(process.pid)
        end = time.monotonic() + 60

        def client(_: int) -> None:
            while time.monotonic() < end:
                started = time.monotonic()
                answer = post(url, photo=content)
                statuses.append(answer.status_code)
                if answer.status_code == 200:
                    seconds.append(time.monotonic() - started)
                else:
                    time.sleep(float(answer.headers["Retry-After"]))

        with ThreadPoolExecutor(20) as pool:
            running = [pool.submit(client, number) for number in range(20)]
            time.sleep(5)
            early, later = memory.memory_info().rss, []
            while time.monotonic() < end:
                time.sleep(1)
                later.append(memory.memory_info().rss)
            for each in running:
                each.result()
    seconds.sort()
    rates = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"\n{rates}; p95 {seconds[int(0.95 * len(seconds))]:.2f} s", end=" ")
    print(f"memory after 5 s {early / 2**20:.0f} MiB, at most {max(later) / 2**20:.0f} MiB")
    assert set(rates) <= {200, 429, 503}
    assert max(later) < 1.2 * early
    assert later[-1] < 1.1 * early
