"""Connections that go to an IP address which was checked, whatever the host's name has become meanwhile."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from pathlib import Path

import certifi
from urllib3.connection import HTTPConnection

from surfaces.addresses import IPAddress, Target
from surfaces.answer_head import Answer

_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def open_connection(target: Target, address: IPAddress, wait_s: float) -> HTTPConnection:
    """Connects to one of a target's addresses; for https, the certificate must be the host's.

    Nothing here knows how to look a name up, and proxies of the environment are ignored: a proxy would look the name
    up again, and in another network.

    Args:
        target: what is asked.
        address: of its host; checked by whoever calls.
        wait_s: longest wait for the connection, and then for the handshake, seconds.

    Returns:
        An open connection; its `sock` stands.

    Raises:
        OSError: no connection, or not a trustworthy one.
    """
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(wait_s)
        sock.connect((str(address), target.port))
        if target.scheme == "https":
            sock = _trust(_authorities()).wrap_socket(sock, server_hostname=target.host)
        # Of its own it could only connect to the same address again.
        connection = HTTPConnection(str(address), target.port)
        connection.sock = sock
        connection.response_class = Answer
    except BaseException:
        sock.close()
        raise
    return connection


def _authorities() -> str:
    """The file or folder of certificate authorities: the environment's, as requests and curl know it, or certifi's."""
    return next(filter(None, map(os.environ.get, _BUNDLE_VARIABLES)), None) or certifi.where()


@functools.cache
def _trust(authorities: str) -> ssl.SSLContext:
    if Path(authorities).is_dir():
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)
