"""Shared by the tests of fetching: a network of one's own, and a server that is to be left alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.surfaces.io.watched_network import WatchedNetwork


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> WatchedNetwork:
    """Knows one name, PUBLIC_HOST; nothing leaves the machine."""
    return WatchedNetwork(monkeypatch)


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A server that listens on all addresses of this machine; nobody is to come."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        yield listening
