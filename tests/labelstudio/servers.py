"""The real Label Studio that tests talk to, started as `up` starts one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from labelstudio.server.connection import Server, open_server
from labelstudio.server.installation import find_executable
from labelstudio.server.local_server import Account, LocalServer

TEMPLATE = Path(__file__).parents[2] / ".venv-labelstudio"
"""Kept between runs: Label Studio's program and a server that was started once, since its database takes a minute."""


@dataclass(frozen=True)
class TestServer(Server):
    """A Label Studio of our own.

    Attributes:
        photos: whose photos it shows without an upload; tests may write there.
        local: what started it.
        account: whom `client` and `session` act for.
        executable: the program, to start it again.
    """

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
