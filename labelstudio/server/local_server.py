"""A Label Studio server of our own on this machine: its folder, its account, its process.

What lies in its folder: `data` (SQLite and uploads), `links` (to photos that were pushed), `account.json` (user name,
password and token, mode 600), `label-studio.log`, and `server.json` (what runs). The server's process holds a lock on
the last one for as long as it lives, so that nobody mistakes another process, which was given a dead server's id, for
the server.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

from labelstudio.errors import ServerUnavailableError
from labelstudio.server.port_owner import listens
from surfaces.cli.arguments import local_path
from surfaces.errors import OutputError

USERNAME = "reviewer@example.com"
HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_PAUSE_S = 0.1
_WRITING_S = 2.0
_QUIET = {
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "SENTRY_RATE": "0",
    "LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    "ML_BLOCK_LOCAL_IP": "false",  # the backend that answers clicks runs on this machine too
}
_KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
"""Label Studio reads settings also from variables without a prefix, such as HOST or PASSWORD: it is given no others."""


@dataclass(frozen=True)
class Account:
    """Who we are on a local server."""

    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        pid: of its process.
        url: its address.
        photos: the folder whose photos it can show without an upload.
        links: the folder of links to those that were pushed, its document root; empty where `photos` is below that.
    """

    pid: int
    url: str
    photos: str
    links: str = ""


def default_home() -> Path:
    """Where local servers live unless told otherwise."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "interior-surfaces" / "labelstudio"


def add_home_argument(parser: argparse._ActionsContainer) -> None:
    """Adds the option that tells where `up` keeps what it starts."""
    parser.add_argument(
        "--home",
        type=local_path,
        default=default_home(),
        metavar="DIR",
        help="where `up` keeps its server (the user's data folder)",
    )


def check_supported() -> None:
    """Checks that this system has locks that a process inherits.

    Raises:
        ServerAwayError: it has none, as Windows.
    """
    if fcntl is None:
        raise ServerUnavailableError(
            "`up` starts a Label Studio on Linux and macOS only; start one yourself with `label-studio start`, and set "
            "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )


class LocalServer:
    """The server that lives in a folder; nothing happens before `start`."""

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().absolute()
        self.account_path = self.home / "account.json"
        self.log_path = self.home / "label-studio.log"
        self._state_path = self.home / "server.json"
        self._process: subprocess.Popen[bytes] | None = None

    def account(self) -> Account:
        """The account, made at the first start.

        Raises:
            ServerAwayError: there is none yet, or its file is damaged.
        """
        try:
            return Account(**json.loads(self.account_path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            raise ServerUnavailableError(f"{self.account_path} holds no account of a Label Studio") from None

    def account_at(self, running: Running) -> Account | None:
        """The account for a server that runs: what asks for it will send its token there.

        Returns:
            None where nothing listens at its address yet.

        Raises:
            ServerAwayError: another program does; or there is no account.
        """
        found = listens(HOST, urlsplit(running.url).port or 0, running.pid)
        if found is False:
            raise ServerUnavailableError(
                f"expected Label Studio, process {running.pid}, at {running.url}, and another program listens there; "
                "name another port with --port"
            )
        return self.account() if found else None

    def running(self) -> Running | None:
        """What runs, or None.

        Raises:
            ServerAwayError: a server runs, but the file that tells of it is damaged.
        """
        deadline = time.monotonic() + _WRITING_S
        while self._is_locked():
            try:
                return Running(**json.loads(self._state_path.read_text("utf-8")))
            except (ValueError, TypeError):
                if time.monotonic() > deadline:
                    raise ServerUnavailableError(
                        f"a Label Studio runs, but {self._state_path} does not say which"
                    ) from None
            time.sleep(_PAUSE_S)
        return None

    def start(
        self, executable: Path, port: int = DEFAULT_PORT, photos: Path | None = None, timeout_s: float = 300.0
    ) -> Running:
        """Starts the server and waits until it answers; where it runs already, only waits.

        Args:
            executable: the `label-studio` program.
            port: on the loopback interface; 0 takes a free one.
            photos: the folder whose photos need no upload: links to them are served. Where None it is `served/photos`
                in the server's own folder, which is served itself.
            timeout_s: the first start prepares the database, which takes a minute.

        Raises:
            ServerAwayError: the port is taken, the program stops or does not answer in time, or another server answers;
                or this system is not supported.
            OutputError: the server's folder cannot be written.
        """
        check_supported()
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            launched = self._launch(executable, port, photos)
        except OSError as error:
            raise OutputError(f"could not start Label Studio in {self.home}: {error.strerror or error}") from error
        try:
            return self.wait(timeout_s)
        except BaseException:
            if launched:
                self.stop()
            raise

    def wait(self, timeout_s: float = 300.0) -> Running:
        """Waits until a server that was started answers, and knows our account.

        Raises:
            ServerAwayError: it stops, does not answer in time, or another server answers.
        """
        deadline = time.monotonic() + timeout_s
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            while (running := self.running()) is not None:
                account = self.account_at(running)
                with suppress(httpx.HTTPError):
                    healthy = account is not None and client.get(f"{running.url}/health").is_success
                    if account and healthy and self._is_ours(client, running, account):
                        return running
                if time.monotonic() > deadline:
                    raise ServerUnavailableError(
                        f"Label Studio did not answer within {timeout_s:.0f} s; {self._last_word()}"
                    )
                time.sleep(_PAUSE_S)
        raise ServerUnavailableError(f"Label Studio stopped while it started; {self._last_word()}")

    def stop(self, patience_s: float = 15.0) -> bool:
        """Stops the server, by force if it does not stop by itself.

        Returns:
            Whether one ran.

        Raises:
            ServerAwayError: it cannot be stopped.
        """
        running = self.running()
        if running is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(running.pid, number)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not self._is_locked():
                    if self._process is not None:
                        self._process.wait()
                    return True
                time.sleep(_PAUSE_S)
        raise ServerUnavailableError(f"Label Studio's process {running.pid} does not stop")

    def _is_locked(self) -> bool:
        """Whether a server's process holds the lock; where there are no locks, no server was started."""
        if fcntl is None:
            return False
        try:
            with self._state_path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _launch(self, executable: Path, port: int, photos: Path | None) -> bool:
        """Starts the process, which inherits the lock; returns False where another one holds that."""
        with self._state_path.open("a+b") as state:
            while True:
                try:
                    fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:  # a server, or somebody who is looking for one
                    if self._is_locked():
                        return False
            state.truncate(0)
            port = _free_port(port)
            # Label Studio serves nothing from a path with `..`.
            folder = (photos or self.home / "served" / "photos").expanduser().resolve()
            links = self.home.resolve() / "links" if photos else None
            for needed in (folder, links or folder):
                needed.mkdir(parents=True, exist_ok=True)
            self._make_account()
            command = [str(executable), "start", "--no-browser", "--internal-host", HOST]
            command += ["--port", str(port), "--data-dir", str(self.home / "data")]
            with os.fdopen(os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
                self._process = subprocess.Popen(
                    command,
                    env=self._environment(links or folder.parent),
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[state.fileno()],
                    start_new_session=True,
                )
            running = Running(self._process.pid, f"http://{HOST}:{port}", str(folder), str(links or ""))
            state.write(json.dumps(asdict(running)).encode())
        return True

    def _make_account(self) -> None:
        """Writes an account where there is none: readable by us alone from its first byte on."""
        if self.account_path.exists():
            return
        account = Account(USERNAME, secrets.token_urlsafe(12), secrets.token_hex(20))
        temporary = self.account_path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(account), file, indent=2)
        temporary.replace(self.account_path)

    def _environment(self, root: Path) -> dict[str, str]:
        account = self.account()
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        ours = {
            "LABEL_STUDIO_USERNAME": account.username,
            "LABEL_STUDIO_PASSWORD": account.password,
            "LABEL_STUDIO_USER_TOKEN": account.token,
            # Label Studio serves folders below its document root, not what lies in the root itself.
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root),
        }
        return kept | _QUIET | ours

    def _is_ours(self, client: httpx.Client, running: Running, account: Account) -> bool:
        """Whether the server knows our account; False as well where it is too busy to tell."""
        headers = {"Authorization": f"Token {account.token}"}
        status = client.get(f"{running.url}/api/current-user/whoami", headers=headers).status_code
        if status in (401, 403, 404):
            raise ServerUnavailableError(
                f"what answers at {running.url} does not know the account of {self.account_path}; "
                f"delete {self.home} where nobody has reviewed there yet"
            )
        return status == 200

    def _last_word(self) -> str:
        lines = self.log_path.read_text("utf-8", "replace").split("\n") if self.log_path.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return f"{self.log_path} ends: {last}"


def _free_port(port: int) -> int:
    """The port, or any free one for 0. Label Studio would take the next one unasked."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerUnavailableError(
                f"port {port} cannot be had: {error.strerror}; name another one with --port"
            ) from None
        return int(probe.getsockname()[1])
