"""Servers that drip, lie, flood and never end: bounded in time, and in memory, measured in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.security

LIMITS_S = (0.7, 0.4)  # in all, of silence
BOMB_LIMITS_S = (60.0, 30.0)  # what is unpacked takes its time on a busy machine, and is refused by its size
MEGABYTES_MAX = 120  # 600 are allowed
_OK = b"HTTP/1.1 200 OK\r\n"
_PLAIN = _OK + b"\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_FLOOD = bytes(1 << 20)
_FLOOD_CHUNK = b"100000\r\n" + _FLOOD + b"\r\n"

Sends = Iterator[bytes]


def flooding(first: bytes, wave: bytes, pause_s: float = 0) -> Callable[[], Sends]:
    """The same for ever."""

    def sends() -> Sends:
        yield first
        while True:
            yield wave
            time.sleep(pause_s)

    return sends


def dripping(first: bytes, drop: bytes) -> Callable[[], Sends]:
    """Something every 50 ms, for ever: no silence is long enough to be noticed."""
    return flooding(first, drop, 0.05)


def sending(*parts: bytes) -> Callable[[], Sends]:
    return lambda: iter(parts)


def announced(length: bytes, more: bytes = b"") -> bytes:
    return _OK + b"Content-Length: " + length + b"\r\n" + more + b"\r\n"


def silence() -> Sends:
    time.sleep(20)
    yield b""


def packed_head(coding: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode()


def zeros_packed(gigabytes: int, window_bits: int) -> Sends:
    """Packed zeros, 10 MB for 10 GB: a block that is flushed packs to the same bytes each time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    zeros = bytes(10_000_000)
    yield packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(100 * gigabytes - 1):
        yield block


def bomb(coding: str, window_bits: int) -> Callable[[], Sends]:
    def sends() -> Sends:
        yield packed_head(coding)
        yield from zeros_packed(10, window_bits)

    return sends


def bomb_in_a_bomb() -> Sends:
    yield packed_head("gzip, gzip")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for part in zeros_packed(10, 31):
        yield packer.compress(part)


_EMPTY_MEMBER = bytes.fromhex("1f8b08000000000000030300000000000000000000")[:20]
_SLOW = f"expected the whole answer within {LIMITS_S[0]:g} s, it took longer"
_LARGE = "expected at most 20 MB, the answer is larger"
_SILENT = f"the server was silent for {LIMITS_S[1]:g} s"
_FAILED = "could not be downloaded"
_LONG = "got more than 262144 bytes of headers"
_PACKED = "expected an answer that is not packed, or by one of gzip, x-gzip, deflate; got another"

SERVERS: dict[str, tuple[Callable[[], Sends], str]] = {
    # drips
    "silence": (silence, _SILENT),
    "drip of the status line": (dripping(b"HTTP/1.1 200 ", b"O"), _SLOW),
    "drip of one header": (dripping(_OK + b"A: ", b"b"), _SLOW),
    "drip of headers": (dripping(_OK, b"A: b\r\n"), _SLOW),
    "drip of the body": (dripping(_PLAIN, b"x"), _SLOW),
    "drip of a body that is announced": (dripping(announced(b"9999"), b"x"), _SLOW),
    "drip of chunks": (dripping(_CHUNKED, b"1\r\nx\r\n"), _SLOW),
    "drip of a chunk's size": (dripping(_CHUNKED, b"0"), _SLOW),
    "drip of a chunk's extension": (dripping(_CHUNKED + b"5;", b"x"), _SLOW),
    "drip of trailers": (dripping(_CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n"), _SLOW),
    "drip of what is packed": (dripping(packed_head("gzip"), _EMPTY_MEMBER), _SLOW),
    "drip of go-aheads": (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), _SLOW),
    "https: silence": (silence, _SLOW),
    "https: drip of a handshake": (dripping(b"\x16\x03\x03\x40\x00", b"\x02"), _SLOW),
    # lies
    "less than announced": (sending(announced(b"99") + b"x"), "the connection broke off"),
    "more than announced": (flooding(announced(b"5") + b"photo", _FLOOD), "5 bytes"),
    "announced: too much": (sending(announced(b"20000001")), _LARGE),
    "announced: terabytes": (flooding(announced(b"9" * 40), _FLOOD), _LARGE),
    "announced: a number too long": (flooding(announced(b"9" * 60_000), _FLOOD), f"{_FAILED}: Exceeds the limit"),
    "announced: less than nothing": (flooding(announced(b"-1"), _FLOOD), _LARGE),
    "announced: twice": (
        flooding(announced(b"5", b"Content-Length: 50000000\r\n"), _FLOOD),
        f"{_FAILED}: Content-Length contained multiple unmatching values (5, 50000000)",
    ),
    "announced, and in chunks": (flooding(announced(b"5", b"Transfer-Encoding: chunked\r\n"), _FLOOD_CHUNK), _LARGE),
    "a chunk of terabytes": (flooding(_CHUNKED + b"fffffffffff\r\n", _FLOOD), _LARGE),
    "a chunk of less than nothing": (flooding(_CHUNKED + b"-5\r\n", _FLOOD), _LARGE),
    "a chunk of no size": (sending(_CHUNKED + b"size\r\n"), "the connection broke off"),
    # floods
    "a body without end": (flooding(_PLAIN, _FLOOD), _LARGE),
    "chunks without end": (flooding(_CHUNKED, _FLOOD_CHUNK), _LARGE),
    "chunks with extensions without end": (flooding(_CHUNKED, b"1;" + b"x" * 60_000 + b"\r\nx\r\n"), _SLOW),
    "a chunk's size without end": (flooding(_CHUNKED, b"0" * 100_000), "got more than 65536 bytes"),
    "trailers without end": (flooding(_CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 9999), _SLOW),
    "go-aheads without end": (flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999), "got more than 32 interim"),
    "hints without end": (flooding(b"HTTP/1.1 103 Early Hints\r\n", b"Link: </a>\r\n" * 999), _LONG),
    "a header without end": (flooding(_OK + b"A: ", b"x" * 100_000), _LONG),
    "a status line without end": (flooding(b"HTTP/1.1 200 ", b"x" * 100_000), _LONG),
    "headers without end": (flooding(_OK, b"A: b\r\n" * 9999), _LONG),
    "long headers without end": (flooding(_OK, b"A: " + b"x" * 65_000 + b"\r\n"), _LONG),
    "something else without end": (flooding(b"", b"x" * 100_000), _FAILED),
    # bombs
    "gzip bomb": (bomb("gzip", 31), _LARGE),
    "gzip bomb by another name": (bomb("X-GZIP", 31), _LARGE),
    "deflate bomb": (bomb("deflate", 15), _LARGE),
    "raw deflate bomb": (bomb("deflate", -15), _LARGE),
    "gzip bomb in a gzip bomb": (bomb_in_a_bomb, _PACKED),
    "bomb of empty gzip files": (flooding(packed_head("gzip"), _EMPTY_MEMBER * 50_000), "expected"),
    "bomb of empty blocks": (flooding(packed_head("gzip") + _EMPTY_MEMBER[:10], b"\0\0\0\xff\xff" * 99_999), _LARGE),
    "brotli": (flooding(packed_head("br"), _FLOOD), _PACKED),
    "zstd": (flooding(packed_head("zstd"), _FLOOD), _PACKED),
    "damaged gzip": (flooding(packed_head("gzip"), _FLOOD), "the answer is packed, and damaged"),
    "half of a gzip file": (sending(packed_head("gzip"), zlib.compress(b"photo" * 99)[:-6]), "not complete"),
    # words for the terminal
    "a status of escapes": (sending(b"HTTP/1.1 404 \x1b[31mred\x07\r\n\r\n"), "the server answered 404 Not Found"),
    "no HTTP but escapes": (sending(b"\x1b]0;title\x07\x1b[31m\r\n\r\n"), f"{_FAILED}: "),
}

_CLIENT = """
import json, os, sys, time
from surfaces.errors import FetchError
from surfaces.io.http import FetchLimits, fetch
for line in sys.stdin:
    name, url, total_s, read_s = json.loads(line)
    limits = FetchLimits(
        bytes_max=20_000_000, read_s=read_s, connect_s=1, total_s=total_s, attempts=1, allow_private=True
    )
    start = time.monotonic()
    try:
        said = f"{len(fetch(url, limits))} bytes"
    except FetchError as error:
        said = str(error)
    taken_s = time.monotonic() - start
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) // 1024
    opened = len(os.listdir("/proc/self/fd"))
    print(json.dumps([name, said, taken_s, peak, int(status["Threads"]), opened]), flush=True)
"""


class HostileServer:
    """Sends the same to whoever comes, whatever is asked."""

    def __init__(self, sends: Callable[[], Sends], scheme: str) -> None:
        self._sends = sends
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}/photo"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._send, args=(self._listening.accept()[0],), daemon=True).start()

    def _send(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.recv(10_000)
            for part in self._sends():
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            client.recv(1)


def limits_of(name: str) -> tuple[float, float]:
    """The seconds in all, and of silence, that a server is given."""
    return BOMB_LIMITS_S if "bomb" in name else LIMITS_S


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Any]]:
    """A process's words on each server, seconds, its peak memory so far in MB, threads and open files."""
    servers = {
        name: HostileServer(sends, "https" if name.startswith("https") else "http")
        for name, (sends, _) in SERVERS.items()
    }
    asked = "".join(json.dumps([name, server.url, *limits_of(name)]) + "\n" for name, server in servers.items())
    words = [sys.executable, "-c", _CLIENT]
    done = subprocess.run(
        words, input=asked, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3]
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    yield {name: found for name, *found in lines}
    for server in servers.values():
        server.close()


_LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process is measured by Linux' /proc")


@_LINUX
@pytest.mark.parametrize("name", SERVERS)
def test_hostile_servers(outcomes: dict[str, Any], name: str) -> None:
    said, *_, opened = outcomes[name]
    assert SERVERS[name][1] in said
    assert said.isprintable()
    assert len(said) < 400
    assert opened <= outcomes["silence"][-1], "the connection stayed open"


@_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_hostile_servers_are_bounded(outcomes: dict[str, Any], name: str) -> None:
    _, taken_s, peak_megabytes, threads, _ = outcomes[name]
    assert taken_s < limits_of(name)[0] + 1  # on a busy machine
    assert peak_megabytes < MEGABYTES_MAX
    assert threads <= 3
