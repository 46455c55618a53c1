"""What commands write to a terminal: names, addresses and answers of others must not control it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from surfaces.messages import printable

_LINES = ("\n", "\t")


class EscapingStream:
    """A stream of text that escapes control characters, such as those that move the cursor or reverse the text.

    Line feeds and tabs pass, and a carriage return at the beginning or end of what is written, as progress bars do.

    Args:
        stream: what is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; returns its length."""
        self._stream.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Writes several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def escaped(text: str) -> str:
    """A text as `EscapingStream` writes it."""
    inner = text.strip("\r")
    if all(part.isprintable() for line in inner.split("\n") for part in line.split("\t")):
        return text
    start = len(text) - len(text.lstrip("\r"))
    plain = "".join(sign if sign in _LINES else printable(sign) for sign in inner)
    return text[:start] + plain + text[start + len(inner) :]


@contextmanager
def escaped_terminal() -> Iterator[None]:
    """Within the block, what is printed to stdout and stderr is escaped."""
    with ExitStack() as streams:
        if sys.stdout:  # else it is closed
            streams.enter_context(redirect_stdout(EscapingStream(sys.stdout)))
        if sys.stderr:
            streams.enter_context(redirect_stderr(EscapingStream(sys.stderr)))
        yield
