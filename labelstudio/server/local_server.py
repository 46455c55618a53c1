"""A Label Studio server on this machine: its folder, its account, its process."""

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
_POLL_S = 0.1
_STATE_WRITE_MAX_S = 2.0
_SETTINGS = {
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "SENTRY_RATE": "0",
    "LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    "ML_BLOCK_LOCAL_IP": "false",  # the ML backend runs on this machine too
}
# Label Studio also reads settings from variables without a prefix, such as HOST or PASSWORD: no others are passed on.
_INHERITED_VARIABLES = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")


@dataclass(frozen=True)
class Account:
    """An account on a local server."""

    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True)
class Running:
    """A running server.

    Photos in the folder `photos` need no upload. `links`, the document root, has links to those that were pushed, and
    is empty if `photos` is served itself.
    """

    pid: int
    url: str
    photos: str
    links: str = ""


def default_home() -> Path:
    """The folder of the local server, unless `--home` names another one."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "interior-surfaces" / "labelstudio"


def add_home_argument(parser: argparse._ActionsContainer) -> None:
    """Adds `--home`."""
    parser.add_argument(
        "--home",
        type=local_path,
        default=default_home(),
        metavar="DIR",
        help="where `up` keeps its server (the user's data folder)",
    )


def check_supported() -> None:
    """Raises a ServerUnavailableError on systems without locks that a process inherits, such as Windows."""
    if fcntl is None:
        raise ServerUnavailableError(
            "`up` starts a Label Studio on Linux and macOS only; start one yourself with `label-studio start`, and set "
            "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )


class LocalServer:
    """The server in a folder; creating this object starts nothing.

    The folder holds `data` (SQLite and uploads), `links`, `account.json` (mode 600), `label-studio.log` and
    `server.json`. The process holds a lock on `server.json` as long as it lives, so that another process with a dead
    server's id is never mistaken for the server.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().absolute()
        self.account_path = self.home / "account.json"
        self.log_path = self.home / "label-studio.log"
        self._state_path = self.home / "server.json"
        self._process: subprocess.Popen[bytes] | None = None

    def account(self) -> Account:
        """The account that the first start made."""
        try:
            return Account(**json.loads(self.account_path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            raise ServerUnavailableError(f"{self.account_path} holds no account of a Label Studio") from None

    def account_at(self, running: Running) -> Account | None:
        """The account, if the running server itself listens at its address; None if nothing listens there."""
        is_ours = listens(HOST, urlsplit(running.url).port or 0, running.pid)
        if is_ours is False:
            words = f"another program than Label Studio, process {running.pid}, listens at {running.url}"
            raise ServerUnavailableError(f"{words}; choose another one with --port")
        return self.account() if is_ours else None

    def running(self) -> Running | None:
        """The running server, or None."""
        deadline = time.monotonic() + _STATE_WRITE_MAX_S
        while self._is_locked():
            try:
                return Running(**json.loads(self._state_path.read_text("utf-8")))
            except (ValueError, TypeError):
                if time.monotonic() > deadline:
                    words = f"a Label Studio runs, but {self._state_path} does not say which"
                    raise ServerUnavailableError(words) from None
            time.sleep(_POLL_S)
        return None

    def start(
        self, executable: Path, port: int = DEFAULT_PORT, photos: Path | None = None, timeout_s: float = 300.0
    ) -> Running:
        """Starts the server and waits until it answers; one that runs already is only waited for.

        Args:
            executable: the `label-studio` program.
            port: on the loopback interface; 0 chooses a free one.
            photos: folder whose photos need no upload; if None, `served/photos` in the server's own folder.
            timeout_s: the first start prepares the database, which takes a minute.

        Raises:
            ServerUnavailableError: the port is taken, the program stops or does not answer in time, another server
                answers, or this system is not supported.
            OutputError: the server's folder cannot be written.
        """
        check_supported()
        # Opened before the launch, since it imports modules: Python 3.11 reports SIGINT during some imports as a crash.
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            try:
                self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
                launched = self._launch(executable, port, photos)
            except OSError as error:
                raise OutputError(f"could not start Label Studio in {self.home}: {error.strerror or error}") from error
            try:
                return self._wait(client, timeout_s)
            except BaseException:
                if launched:
                    self.stop()
                raise

    def wait(self, timeout_s: float = 300.0) -> Running:
        """Waits until a started server answers and accepts our account; errors are those of `start`."""
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            return self._wait(client, timeout_s)

    def stop(self, max_wait_s: float = 15.0) -> bool:
        """Stops the server, by force if it does not stop in time; returns whether one ran."""
        running = self.running()
        if running is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(running.pid, number)
            deadline = time.monotonic() + max_wait_s
            while time.monotonic() < deadline:
                if not self._is_locked():
                    if self._process is not None:
                        self._process.wait()
                    return True
                time.sleep(_POLL_S)
        raise ServerUnavailableError(f"Label Studio's process {running.pid} does not stop")

    def _wait(self, client: httpx.Client, timeout_s: float) -> Running:
        deadline = time.monotonic() + timeout_s
        while (running := self.running()) is not None:
            account = self.account_at(running)
            with suppress(httpx.HTTPError):
                healthy = account is not None and client.get(f"{running.url}/health").is_success
                if account and healthy and self._accepts(client, running, account):
                    return running
            if time.monotonic() > deadline:
                raise ServerUnavailableError(f"Label Studio did not answer within {timeout_s:.0f} s; {self._log_end()}")
            time.sleep(_POLL_S)
        raise ServerUnavailableError(f"Label Studio stopped while it started; {self._log_end()}")

    def _accepts(self, client: httpx.Client, running: Running, account: Account) -> bool:
        headers = {"Authorization": f"Token {account.token}"}
        status = client.get(f"{running.url}/api/current-user/whoami", headers=headers).status_code
        if status in (401, 403, 404):
            words = f"the server at {running.url} does not know the account of {self.account_path}"
            raise ServerUnavailableError(f"{words}; delete {self.home} where nobody has reviewed there yet")
        return status == 200

    def _is_locked(self) -> bool:
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
        """Starts the process, which inherits the lock; returns False if another one holds it."""
        with self._state_path.open("a+b") as state:
            while True:
                try:
                    fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:  # held by a server, or shortly by a command that looks for one
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
        if self.account_path.exists():
            return
        account = Account(USERNAME, secrets.token_urlsafe(12), secrets.token_hex(20))
        temporary = self.account_path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        # Readable by this user alone from the first byte.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(account), file, indent=2)
        temporary.replace(self.account_path)

    def _environment(self, document_root: Path) -> dict[str, str]:
        account = self.account()
        return {
            **{name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ},
            **_SETTINGS,
            "LABEL_STUDIO_USERNAME": account.username,
            "LABEL_STUDIO_PASSWORD": account.password,
            "LABEL_STUDIO_USER_TOKEN": account.token,
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
        }

    def _log_end(self) -> str:
        log = self.log_path.read_text("utf-8", "replace").strip() if self.log_path.exists() else ""
        last = log.split("\n")[-1].strip() or "nothing"
        return f"{self.log_path} ends: {last}"


def _free_port(port: int) -> int:
    """The port, or any free one for 0. Label Studio would silently use the next free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            words = f"port {port} is not available: {error.strerror}; choose another one with --port"
            raise ServerUnavailableError(words) from None
        return int(probe.getsockname()[1])
