"""Who may use a server: host names that it answers under, and a secret where others can reach it."""

from __future__ import annotations

import argparse
import base64
import hmac
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request

from surfaces.errors import AccessError

USER = "interior-surfaces"
"""The user name that goes with the secret."""
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ALL_ADDRESSES = ("0.0.0.0", "::", "")
_SECRET_CHARACTERS_MIN = 12


@dataclass(frozen=True)
class Access:
    """Which requests are answered.

    `hosts` are permitted in the Host header: names and IP addresses without port, IPv6 in brackets. `secret` is the
    password of HTTP basic authentication, for the user `USER`, or the token of `Authorization: Bearer`; None requires
    none.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    secret: str | None = field(default=None, repr=False)

    def permits_host(self, request: Request) -> bool:
        """Whether the Host header has one of `hosts`, with or without a port."""
        given = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d*)?", request.headers.get("Host", "").lower())
        return given is not None and given[1] in [host.lower() for host in self.hosts]

    def check(self, request: Request) -> None:
        """Raises HTTPException 401 if a request lacks the secret."""
        if self.secret is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = {"basic": base64.b64encode(f"{USER}:{self.secret}".encode()), "bearer": self.secret.encode()}
        wanted = expected.get(scheme.lower())
        if wanted is None or not hmac.compare_digest(given.strip().encode(), wanted):
            words = f"expected HTTP basic authentication, the user {USER} and the secret; or the secret as bearer token"
            raise HTTPException(401, words, {"WWW-Authenticate": "Basic"})


def add_listen_arguments(parser: argparse.ArgumentParser, port: int, secret_variable: str) -> None:
    """Adds --host, --port and --allowed-host; the secret is read from the environment."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"address to listen on (%(default)s); any but loopback needs a secret in {secret_variable}",
    )
    parser.add_argument("--port", type=int, default=port, help="0 chooses a free one (%(default)s)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        type=_host_name,
        default=[],
        metavar="NAME",
        help="further host name of requests, beside those of --host and of this machine",
    )


def access_for(host: str, allowed_hosts: Sequence[str], secret_variable: str) -> Access:
    """Who may use a server that listens on `host`, with the secret of the environment's variable.

    Raises:
        AccessError: others can reach the server and there is no secret, or the secret is too short or not ASCII.
    """
    secret = os.environ.get(secret_variable) or None
    if secret is None and not is_loopback(host):
        words = f"expected a secret in {secret_variable}, since others can reach {host or 'this'}, got none"
        raise AccessError(words)
    if secret is not None:
        valid = len(secret) >= _SECRET_CHARACTERS_MIN and secret.isascii() and secret.isprintable()
        if not valid:
            raise AccessError(
                f"expected {secret_variable} to have at least {_SECRET_CHARACTERS_MIN} printable ASCII characters,"
                " it has not"
            )
    own = () if host in ALL_ADDRESSES else (bracket(host),)
    return Access((*LOOPBACK_HOSTS, *own, *allowed_hosts), secret)


def url_of(host: str, port: int) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    own = "::1" if host == "::" else "127.0.0.1" if host in ALL_ADDRESSES else host
    return f"http://{bracket(own)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def bracket(host: str) -> str:
    """A host as URLs have it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def wait_until(event: threading.Event) -> None:
    """Waits for an event. In pieces, since Ctrl-C does not end an endless wait on Windows before Python 3.14."""
    while not event.wait(0.5):
        pass


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _host_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", text) is None:
        raise argparse.ArgumentTypeError(f"expected a host name without port, such as gpu.example.com, got {text!r}")
    return text
