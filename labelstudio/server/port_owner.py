"""Who listens on a port: a token is sent to a local server only if its own process listens there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"
_PROC = Path("/proc")
_TCP = _PROC / "net" / "tcp"


def listens(host: str, port: int, session: int) -> bool | None:
    """Whether everything that listens at an address belongs to one session of processes.

    Args:
        host: an IPv4 address; sockets bound to all addresses count only if none is bound to this one.
        port: TCP port.
        session: id of the process that was started as session leader.

    Returns:
        None if nothing listens there; False if others do, or if the system does not say who.
    """
    if not _TCP.exists():
        return _listens_by_lsof(host, port, session)
    sockets = _listening_sockets(host, port)
    return sockets <= _sockets_of(session) if sockets else None


def _listening_sockets(host: str, port: int) -> set[str]:
    places = [f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}" for address in (host, "0")]
    found: dict[str, set[str]] = {place: set() for place in places}
    for line in _TCP.read_text("ascii").splitlines()[1:]:
        _, place, _, state, *more = line.split()
        if place in found and state == _LISTENING:
            found[place].add(f"socket:[{more[5]}]")
    return found[places[0]] or found[places[1]]


def _sockets_of(session: int) -> set[str]:
    found = set()
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # the process has ended, or is another user's
            # A program's name is in brackets and may contain any characters.
            fields = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                for file in (process / "fd").iterdir():
                    with suppress(FileNotFoundError):
                        found.add(str(file.readlink()))
    return found


def _listens_by_lsof(host: str, port: int, session: int) -> bool | None:
    """For systems without /proc, such as macOS: a session leader is also the leader of a group of the same number."""
    program = shutil.which("lsof", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        return False
    command = [program, "-nP", "-a", f"-iTCP@{host}:{port}", "-sTCP:LISTEN", "-Fg"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    groups = {line[1:] for line in lines if line.startswith("g")}
    return groups == {str(session)} if groups else None
