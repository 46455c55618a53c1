"""Whose a port is: before a token is sent to a server of ours, that one must be what listens there."""

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
    """Whether all that listens at an address belongs to one session of processes.

    Args:
        host: an IPv4 address; what listens at all addresses of the machine answers there only if nothing else does.
        port: of TCP.
        session: the id of the process that was started as the leader of a session of its own.

    Returns:
        None where nothing listens there. False where others do, and where the system does not tell who does.
    """
    sockets = _sockets(host, port) if _TCP.exists() else None
    if sockets is None:
        return _listens_by_lsof(host, port, session)
    return sockets <= _sockets_of(session) if sockets else None


def _sockets(host: str, port: int) -> set[str]:
    """The numbers of the sockets that listen at an IPv4 address, else of those that listen at all addresses."""
    places = [f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}" for address in (host, "0")]
    found: dict[str, set[str]] = {place: set() for place in places}
    for line in _TCP.read_text("ascii").splitlines()[1:]:
        _, place, _, state, *more = line.split()
        if place in found and state == _LISTENING:
            found[place].add(f"socket:[{more[5]}]")
    return found[places[0]] or found[places[1]]


def _sockets_of(session: int) -> set[str]:
    """What the processes of a session have open, as far as we may see it."""
    found = set()
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is somebody else's
            # A program's name is in brackets and may have any characters.
            fields = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                for file in (process / "fd").iterdir():
                    with suppress(FileNotFoundError):  # it was closed meanwhile
                        found.add(str(file.readlink()))
    return found


def _listens_by_lsof(host: str, port: int, session: int) -> bool | None:
    """The same where there is no /proc, as on macOS: the leader of a session leads a group of that number, too."""
    program = shutil.which("lsof", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        return False
    command = [program, "-nP", "-a", f"-iTCP@{host}:{port}", "-sTCP:LISTEN", "-Fg"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    groups = {line[1:] for line in told if line.startswith("g")}
    return groups == {str(session)} if groups else None
