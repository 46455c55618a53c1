"""No token is sent to who listens where a Label Studio of ours was meant to."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelstudio.__main__ import main
from labelstudio.errors import ServerUnavailableError
from labelstudio.server.local_server import LocalServer, Running
from labelstudio.server.port_owner import listens
from tests.labelstudio.server.programs import HANGS, wait_for

pytestmark = pytest.mark.security


class Eavesdropper(http.server.ThreadingHTTPServer):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Yes)
        self.heard: list[str | None] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Yes(http.server.BaseHTTPRequestHandler):
    server: Eavesdropper

    def do_GET(self) -> None:
        self.server.heard.append(self.headers.get("Authorization"))
        body = b'{"email": "reviewer@example.com"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent(local: LocalServer, program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    command = [sys.executable, "-m", "labelstudio", "up", "--home", str(local.home), "--port", "0"]
    with subprocess.Popen([*command, "--label-studio", str(program(HANGS))], stderr=subprocess.DEVNULL) as up:
        wait_for(local.running)
        up.kill()
    running = local.running()
    assert running
    return running


@pytest.fixture
def eavesdropper(silent: Running) -> Iterator[Eavesdropper]:
    with Eavesdropper(int(silent.url.rpartition(":")[2])) as server:
        yield server
        server.shutdown()


def test_another_program_on_the_port_gets_no_token(local: LocalServer, eavesdropper: Eavesdropper) -> None:
    with pytest.raises(
        ServerUnavailableError,
        match=r"another program than Label Studio, process \d+, listens at http://127\.0\.0\.1:\d+",
    ):
        local.wait(5)
    assert not any(eavesdropper.heard)


def test_a_command_sends_no_token_to_another_program_on_the_port(
    local: LocalServer, eavesdropper: Eavesdropper, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--home", str(local.home)]) == ServerUnavailableError.exit_code
    assert "another program than Label Studio" in capsys.readouterr().err
    assert not any(eavesdropper.heard)


@pytest.mark.usefixtures("silent")
def test_a_command_that_comes_before_the_server_listens(local: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--home", str(local.home)]) == ServerUnavailableError.exit_code
    assert "is not up yet; `python -m labelstudio up` waits for it" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("lsof"), reason="needs lsof, which tells it where there is no /proc")
@pytest.mark.parametrize("place", ["ours", "others", "nobody's"])
def test_the_owner_of_a_port_is_found_without_proc(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelstudio.server.port_owner._TCP", tmp_path / "none")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if place != "nobody's":
            held.listen()
        group = os.getpgid(0) if place == "ours" else 1
        expected = {"ours": True, "others": False, "nobody's": None}[place]
        assert listens("127.0.0.1", held.getsockname()[1], group) is expected
