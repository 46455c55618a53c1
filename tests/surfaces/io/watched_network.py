"""A network of one's own for tests: names that are looked up and connections that are made are recorded."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import pytest

PUBLIC_HOST = "photos.example"
PUBLIC_IP = "93.184.215.14"
"""Public by the registries. Connections to it end at a loopback server, so nothing leaves the machine."""


class WatchedNetwork:
    """Answers look-ups from a table, and lets connections go to this machine alone.

    Attributes:
        looked_up: the names, in order.
        connected: where connections were to go, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self._names: dict[str, Iterator[Sequence[str]]] = {}
        self._connect = socket.socket.connect
        monkeypatch.setattr(socket.socket, "connect", lambda sock, place: self._go(sock, place))
        monkeypatch.setattr(socket, "getaddrinfo", self._no_look_up)
        self.name(PUBLIC_HOST, [PUBLIC_IP])

    def name(self, host: str, *answers: Sequence[str]) -> None:
        """Gives a name its addresses: the first answer to the first look-up, and so on; the last for all others."""

        def in_turn() -> Iterator[Sequence[str]]:
            yield from answers
            while True:
                yield answers[-1]

        self._names[host] = in_turn()

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """A resolver for `surfaces.io.http`."""
        assert port > 0
        self.looked_up.append(host)
        if host not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return next(self._names[host])

    def _go(self, sock: socket.socket, place: tuple[str, int]) -> None:
        self.connected.append((place[0], place[1]))
        if place[0] == PUBLIC_IP:
            place = ("127.0.0.1", place[1])
        if not ip_address(place[0]).is_loopback:
            raise OSError(f"a test was about to connect to {place[0]}")
        self._connect(sock, place)

    def _no_look_up(self, *arguments: object, **_: object) -> None:
        raise AssertionError(f"the system was asked for {arguments}")


def port_of(server: socket.socket) -> str:
    """The port that it listens at."""
    return str(server.getsockname()[1])


def somebody_came(server: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    return bool(select.select([server], [], [], 0)[0])
