"""Photos that came and are not judged yet: a crawl that is killed meanwhile need not ask for them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autolabel.crawling.records import Request
from surfaces.files import make_folder, replace_file

FOLDER_NAME = ".arrived"


@dataclass(frozen=True)
class Arrival:
    """An answer that may be a photo.

    Attributes:
        body: its bytes.
        time: when it came, seconds since 1970.
        headers: those that belong to a photo's provenance, by lower-case name.
    """

    body: bytes
    time: float
    headers: Mapping[str, str]


class Arrivals:
    """A folder with a file for each photo in work. `keep` and `find` may be called from several threads.

    Args:
        corpus: the folder of the corpus.
        is_waiting: whether the lead of a number has not ended; what arrived for others is swept away.

    Raises:
        OutputError: nothing can be written there.
    """

    def __init__(self, corpus: Path, is_waiting: Callable[[int], bool]) -> None:
        self._folder = corpus / FOLDER_NAME
        make_folder(self._folder)
        for path in self._folder.iterdir():
            if not path.name.isdecimal() or not is_waiting(int(path.name)):
                path.unlink()

    def keep(self, request: Request, arrival: Arrival) -> None:
        """Writes down what came.

        Raises:
            OutputError: it can't be written.
        """
        told = {"address": request.address, "size": len(arrival.body), "time": arrival.time}
        head = json.dumps(told | {"headers": dict(arrival.headers)}).encode()
        replace_file(self._path(request), head + b"\n" + arrival.body)

    def find(self, request: Request) -> Arrival | None:
        """What came when an earlier run made a request; None where it did not get so far."""
        try:
            told, _, body = self._path(request).read_bytes().partition(b"\n")
            known = json.loads(told)
        except (OSError, ValueError):  # a power cut may have left less than all
            return None
        if (known["address"], known["size"]) != (request.address, len(body)):
            return None
        return Arrival(body, known["time"], known["headers"])

    def forget(self, request: Request) -> None:
        """The ledger knows what became of a request."""
        self._path(request).unlink(missing_ok=True)

    def _path(self, request: Request) -> Path:
        return self._folder / str(request.number)
