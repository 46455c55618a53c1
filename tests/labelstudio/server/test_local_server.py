"""A Label Studio of our own: started, found again, stopped; and all that can come in between."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from labelstudio.__main__ import main
from labelstudio.errors import ServerUnavailableError
from labelstudio.server.connection import open_server
from labelstudio.server.installation import REQUIREMENT, find_executable
from labelstudio.server.local_server import LocalServer, Running, default_home
from labelstudio.server.port_owner import listens
from surfaces.errors import OutputError
from tests.labelstudio.impostors import WHO, Impostor, impostor_at
from tests.labelstudio.servers import ANSWERS, HANGS, TestServer, copy_started_home, wait_for

RUNS = ANSWERS.replace("{whoami}", "200")
Program = Callable[[str], Path]


def ps(pid: int, columns: str) -> str:
    done = subprocess.run(["ps", "-ww", "-o", columns, "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def lives(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent's attention does not."""
    return ps(pid, "stat=")[:1] not in ("", "Z")


def up_process(local: LocalServer, executable: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "labelstudio", "up", "--home", str(local.home), "--port", "0"]
    command += ["--label-studio", str(executable)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_up_and_down_twice(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    executable = copy_started_home(home)
    up = ["up", "--home", str(home), "--port", "0", "--label-studio", str(executable)]
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "elsewhere").mkdir()
    try:
        assert main([*up, "--photos", str(tmp_path / "elsewhere" / ".." / "photos")]) == 0
        first = capfd.readouterr()
        assert main([*up, "--photos", str(photos)]) == 0
        assert capfd.readouterr().out == first.out
        assert main(up) == 0
        again = capfd.readouterr()
        assert main([*up, "--photos", str(tmp_path)]) == ServerUnavailableError.exit_code
        other = capfd.readouterr()
        account = LocalServer(home).account()
        whoami = open_server(first.out.splitlines()[0], account.token).client.users.whoami()
    finally:
        assert main(["down", "--home", str(home)]) == 0
    assert capfd.readouterr().out == "stopped\n"
    assert main(["down", "--home", str(home)]) == 0
    assert capfd.readouterr().out == f"no Label Studio of {home} runs\n"

    url, *lines = first.out.splitlines()
    assert url.startswith("http://127.0.0.1:")
    assert lines == [f"user name  {account.username}", f"password   in {home / 'account.json'}", f"photos     {photos}"]
    assert again.out == first.out
    assert "runs already" in again.err
    assert other.out == ""
    assert other.err.startswith(f"labelstudio: Label Studio runs already, at {url} ")
    assert whoami.email == account.username
    for secret in (account.password, account.token):
        assert secret not in "".join([*first, *again, *other])


def test_secrets_are_for_us_alone_and_the_server_for_this_machine(label_studio: TestServer) -> None:
    local = label_studio.local
    assert stat.S_IMODE(local.account_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(local.log_path.stat().st_mode) == 0o600
    command = ps(local.running().pid, "command=")
    assert "start" in command
    assert local.account().token not in command
    assert local.account().password not in command
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", int(label_studio.url.rpartition(":")[2]))) != 0


def test_nobody_signs_up(label_studio: TestServer) -> None:
    with httpx.Client(base_url=label_studio.url) as visitor:
        visitor.get("/user/signup/")
        form = {"email": "visitor@example.com", "password": "a long enough one", "allow_newsletters": "false"}
        form |= {"csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        assert visitor.post("/user/signup/", data=form).status_code == 403
    assert "visitor@example.com" not in {user.email for user in label_studio.client.users.list()}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads a process's environment from /proc")
def test_the_server_reports_nothing(label_studio: TestServer) -> None:
    variables = Path(f"/proc/{label_studio.local.running().pid}/environ").read_text("utf-8").split("\0")
    assert {"COLLECT_ANALYTICS=false", "LATEST_VERSION_CHECK=false"} <= set(variables)
    assert {"SENTRY_DSN=", "FRONTEND_SENTRY_DSN=", "SENTRY_RATE=0"} <= set(variables)


PRINTS_VARIABLES = """
import os
for name in ("LABEL_STUDIO_HOST", "DJANGO_DB", "LABEL_STUDIO_USERNAME"):
    print(name, name in os.environ, end=" ")
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('starting')\nraise SystemExit('no such table\\n\\n')", r"label-studio\.log ends: no such table$"),
        (ANSWERS.replace("{whoami}", "401"), r"does not know the account of .*account\.json"),
        (PRINTS_VARIABLES, "LABEL_STUDIO_HOST False DJANGO_DB False LABEL_STUDIO_USERNAME True$"),
    ],
    ids=["stops", "is another server", "shows its environment"],
)
def test_a_program_that_does_not_start(
    local: LocalServer, program: Program, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_HOST", "https://elsewhere.example")
    monkeypatch.setenv("DJANGO_DB", "default")
    with pytest.raises(ServerUnavailableError, match=words) as caught:
        local.start(program(code), port=0)
    assert ("stopped while it started" in str(caught.value)) == ("account" not in words)
    assert local.running() is None


def test_a_program_that_never_answers(local: LocalServer, program: Program) -> None:
    seen: list[int] = []
    started = threading.Thread(target=lambda: (wait_for(local.running), seen.append(local.running().pid)))
    started.start()
    with pytest.raises(ServerUnavailableError, match=r"did not answer within 1 s; .*\.log ends: migrating$"):
        local.start(program(HANGS), port=0, timeout_s=1)
    started.join()
    assert local.running() is None
    assert not lives(seen[0])


def test_a_program_that_cannot_be_started(local: LocalServer, program: Program) -> None:
    executable = program("")
    executable.write_text("no program", "utf-8")
    with pytest.raises(OutputError, match=r"could not start Label Studio in .*: Exec format error"):
        local.start(executable, port=0)
    assert local.running() is None


def test_a_port_that_is_taken(local: LocalServer, program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["--home", str(local.home), "--port", str(port), "--label-studio", str(program(HANGS))]
        assert main(["up", *arguments]) == ServerUnavailableError.exit_code
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"labelstudio: port {port} is not available: Address")
    assert local.running() is None


def test_another_process_with_a_dead_servers_id_is_not_touched(local: LocalServer, program: Program) -> None:
    with subprocess.Popen(["sleep", "60"]) as innocent:
        local.home.mkdir()
        stale = {"pid": innocent.pid, "url": "http://127.0.0.1:8080", "photos": "/photos"}
        (local.home / "server.json").write_text(json.dumps(stale), "utf-8")
        assert local.running() is None
        assert not local.stop()
        assert local.start(program(RUNS), port=0).pid != innocent.pid
        assert local.stop()
        assert innocent.poll() is None
        innocent.kill()


def test_a_killed_server_is_started_again_and_one_that_ignores_sigterm_is_stopped(
    local: LocalServer, program: Program
) -> None:
    first = local.start(program(RUNS), port=0)
    account = local.account()
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: local.running() is None)
    ignoring = program("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + RUNS)
    second = local.start(ignoring, port=0)
    assert second.pid != first.pid
    assert local.account() == account
    assert local.stop(max_wait_s=0.3)
    assert not lives(second.pid)


def test_many_starts_at_once_start_one(local: LocalServer, program: Program) -> None:
    executable = program(RUNS)
    found: list[int] = []
    starts = [
        threading.Thread(target=lambda: found.append(LocalServer(local.home).start(executable, port=0).pid))
        for _ in range(8)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_start_that_is_interrupted(local: LocalServer, program: Program, number: int) -> None:
    with up_process(local, program(HANGS)) as up:
        wait_for(local.running)
        pid = local.running().pid
        up.send_signal(number)
        out, err = up.communicate()
    assert out == ""
    if number == signal.SIGINT:
        assert up.returncode == 130
        assert err.splitlines()[-1] == "labelstudio: interrupted"
        assert local.running() is None
    else:
        assert local.running().pid == pid, "nobody could stop it; `up` and `down` find it"
        assert local.stop()
    assert not lives(pid)


def test_a_damaged_account(local: LocalServer, program: Program) -> None:
    local.home.mkdir()
    local.account_path.write_text("{", "utf-8")
    with pytest.raises(ServerUnavailableError, match="holds no account"):
        local.start(program(HANGS), port=0)
    assert local.account_path.read_text("utf-8") == "{"


def test_where_servers_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_home() == Path("/data/interior-surfaces/labelstudio")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_home() == Path("/home/someone/.local/share/interior-surfaces/labelstudio")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label-studio", "nowhere/label-studio"], "expected the program label-studio at "),
        (["--photos", "nowhere"], "expected a folder of photos at nowhere"),
    ],
)
def test_up_with_missing_paths(
    local: LocalServer, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["up", "--home", str(local.home), *arguments]) == ServerUnavailableError.exit_code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"labelstudio: {words}")
    assert not local.home.exists()


@pytest.fixture
def silent(local: LocalServer, program: Program, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A server that runs and listens nowhere, since `up` was killed while it started."""
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    with up_process(local, program(HANGS)) as up:
        wait_for(local.running)
        up.kill()
    running = local.running()
    assert running
    return running


@pytest.fixture
def eavesdropper(silent: Running) -> Iterator[Impostor]:
    with impostor_at(WHO, port=int(silent.url.rpartition(":")[2])) as server:
        yield server
        assert not any(token for _, _, token in server.seen)


@pytest.mark.security
@pytest.mark.usefixtures("eavesdropper")
def test_another_program_on_the_port_gets_no_token(local: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = r"another program than Label Studio, process \d+, listens at http://127\.0\.0\.1:\d+"
    with pytest.raises(ServerUnavailableError, match=words):
        local.wait(5)
    assert main(["init", "--home", str(local.home)]) == ServerUnavailableError.exit_code
    assert "another program than Label Studio" in capsys.readouterr().err


@pytest.mark.security
@pytest.mark.usefixtures("silent")
def test_a_command_that_comes_before_the_server_listens(local: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--home", str(local.home)]) == ServerUnavailableError.exit_code
    assert "is not up yet; `python -m labelstudio up` waits for it" in capsys.readouterr().err


@pytest.mark.security
@pytest.mark.skipif(not shutil.which("lsof"), reason="needs lsof, which tells it where there is no /proc")
@pytest.mark.parametrize(("place", "expected"), [("ours", True), ("others", False), ("nobody's", None)])
def test_the_owner_of_a_port_is_found_without_proc(
    place: str, expected: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelstudio.server.port_owner._TCP", tmp_path / "none")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if place != "nobody's":
            held.listen()
        group = os.getpgid(0) if place == "ours" else 1
        assert listens("127.0.0.1", held.getsockname()[1], group) is expected


@pytest.mark.slow
def test_pip_installs_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """pip and the virtual environment are real, the package that it finds is a small one of that name."""
    monkeypatch.delenv("LABEL_STUDIO_EXECUTABLE", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    shelf, venv = tmp_path / "shelf", tmp_path / "venv"
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    shelf.mkdir()
    venv.mkdir()
    (venv / "left by an interrupted install").touch()

    words = rf"could not install {REQUIREMENT}: pip ended with 1: ERROR: No match"
    with pytest.raises(ServerUnavailableError, match=words):
        find_executable(None, tmp_path)
    assert "No matching distribution" in capfd.readouterr().err

    name, info = "label_studio-1.23.2", "label_studio-1.23.2.dist-info"
    with zipfile.ZipFile(shelf / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("small_label_studio.py", "def main():\n    print('small')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: label-studio\nVersion: 1.23.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nlabel-studio = small_label_studio:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    executable = find_executable(None, tmp_path)
    assert [path.name for path in venv.iterdir() if "interrupted" in path.name] == []
    assert subprocess.run([executable], capture_output=True, text=True, check=True).stdout == "small\n"
    told = capfd.readouterr()
    assert told.out == ""
    assert "Successfully installed" in told.err

    assert find_executable(None, tmp_path) == executable
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [4.0, 12.0])
def test_a_first_start_that_is_killed_is_made_up_for(
    local: LocalServer, label_studio: TestServer, after_s: float
) -> None:
    def start() -> None:
        with contextlib.suppress(ServerUnavailableError):
            LocalServer(local.home).start(label_studio.executable, port=0)

    first = threading.Thread(target=start)
    first.start()
    wait_for(local.running)
    time.sleep(after_s)
    os.kill(local.running().pid, signal.SIGKILL)
    first.join()
    running = local.start(label_studio.executable, port=0)
    assert open_server(running.url, local.account().token).client.users.whoami().email == local.account().username
