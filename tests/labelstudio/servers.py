"""The real Label Studio that tests talk to, started as `up` starts one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from labelstudio.server.connection import Server, open_server
from labelstudio.server.installation import find_executable
from labelstudio.server.local_server import Account, LocalServer

# Kept between runs: Label Studio's program and a server that was started once, since its database takes a minute.
TEMPLATE = Path(__file__).parents[2] / ".venv-labelstudio"


@dataclass(frozen=True)
class TestServer(Server):
    """A Label Studio of our own, which shows photos in the folder `photos` without an upload."""

    __test__ = False

    photos: Path
    local: LocalServer
    account: Account = field(repr=False)
    executable: Path


@contextmanager
def running_server(home: Path, photos: Path | None = None) -> Iterator[TestServer]:
    """Starts a server in a new folder, on a free port, with links to photos of a folder; stops it at the end."""
    executable = copy_started_home(home)
    local = LocalServer(home)
    running = local.start(executable, port=0, photos=photos)
    try:
        account = local.account()
        server = open_server(running.url, account.token)
        yield TestServer(server.url, server.client, server.session, Path(running.photos), local, account, executable)
    finally:
        local.stop()


def copy_started_home(home: Path) -> Path:
    """Makes a server's folder as the first start leaves it; returns the program."""
    TEMPLATE.mkdir(exist_ok=True)
    (TEMPLATE / ".gitignore").write_text("*\n", "utf-8")
    with FileLock(TEMPLATE / "template.lock"):
        executable = find_executable(None, TEMPLATE)
        started = TEMPLATE / "started"
        if not started.exists():
            unfinished = TEMPLATE / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            first = LocalServer(unfinished)
            first.start(executable, port=0)
            first.stop()
            unfinished.rename(started)
    home.mkdir(parents=True, exist_ok=True)
    shutil.copytree(started / "data", home / "data")
    shutil.copy(started / "account.json", home)
    return executable


ANSWERS = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({whoami} if "whoami" in self.path else 200)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
HANGS = "import time\nprint('migrating', flush=True)\nprint('', flush=True)\ntime.sleep(60)"


def wait_for(condition: Callable[[], object], seconds: float = 20, pause_s: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause_s)
