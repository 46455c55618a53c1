"""What a run of `segment.py` leaves."""

from __future__ import annotations

import re
from pathlib import Path


class Run:
    """What a run of the command left: exit code, outputs, files."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


def check_failure(run: Run, code: int, words: str) -> None:
    assert run.code == code
    assert run.out == ""
    assert re.fullmatch(rf"segment\.py: .*{re.escape(words)}.*\n", run.err)
    assert run.files == []
