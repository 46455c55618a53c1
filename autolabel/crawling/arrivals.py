"""Photos that came and are not judged yet: a crawl that is killed meanwhile need not ask for them again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autolabel.crawling.database import checked_headers, checked_time
from autolabel.crawling.records import Request
from surfaces.errors import DatasetError, DecodeError, FetchError, OutputError
from surfaces.files import is_plain_file, make_folder, replace_file, sweep
from surfaces.places import read_bytes
from surfaces.wording import printable

FOLDER_NAME = ".arrived"

_OURS = re.compile("[1-9][0-9]{0,17}")
"""Names of files: the numbers of leads, which fit SQLite's integers."""


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
        is_waiting: whether the lead of a number has not ended; what arrived for others is swept away. Whatever else
            lies in the folder is left alone.

    Raises:
        OutputError: nothing can be written there.
        DatasetError: the folder is a link.
    """

    def __init__(self, corpus: Path, is_waiting: Callable[[int], bool]) -> None:
        self._folder = corpus / FOLDER_NAME
        if self._folder.is_symlink():
            raise DatasetError(f"expected a folder at {printable(str(self._folder))}, got a link: remove it")
        make_folder(self._folder)
        sweep(self._folder)
        for path in self._folder.iterdir():
            if _OURS.fullmatch(path.name) and is_plain_file(path) and not is_waiting(int(path.name)):
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
        path = self._path(request)
        if not is_plain_file(path):
            return None
        try:
            told, _, body = read_bytes(str(path)).partition(b"\n")
            known = json.loads(told)
            if (known["address"], known["size"]) != (request.address, len(body)):
                return None
            return Arrival(body, checked_time(known["time"]), checked_headers(known["headers"]))
        # A power cut may have left less than all, others may have written what they liked.
        except (FetchError, DecodeError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def forget(self, request: Request) -> None:
        """The ledger knows what became of a request.

        Raises:
            OutputError: what came can't be removed.
        """
        path = self._path(request)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"could not remove {path}: {error.strerror}") from error

    def _path(self, request: Request) -> Path:
        return self._folder / str(request.number)
