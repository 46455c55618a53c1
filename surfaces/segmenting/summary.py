"""A table of a run's photos: what was found in each, where it was written, and why some failed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from surfaces.errors import MissingExtraError, OutputError, SurfacesError
from surfaces.io.atomic_files import replace_file
from surfaces.messages import encodable, without_credentials
from surfaces.segmenting.pipeline import Outcome

COLUMNS = ("source", "output", "width", "height", "wall", "floor", "dining_table", "tables", "milliseconds", "error")


class Summary:
    """Collects a row a photo, for a CSV, JSON or Parquet file by the path's suffix.

    Columns: the photo; the first file written for it; its size in pixels; wall, floor and dining tables as shares of
    its pixels; the number of dining tables; milliseconds to find them; why it failed. What is not known is empty.

    Raises:
        OutputError: the path is a folder.
        MissingExtraError: pyarrow is needed and not installed.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise OutputError(f"expected a file for the summary, got the folder {path}")
        if path.suffix.lower() == ".parquet":
            _require_pyarrow()
        self._path = path
        self.rows: list[dict[str, Any]] = []

    def write(self) -> None:
        """Writes the table; a file that is there is replaced. Raises OutputError."""
        replace_file(self._path, FORMATS[self._path.suffix.lower()](self.rows))

    def add(self, source: str, outcome: Outcome) -> None:
        """Adds a photo that was segmented."""
        shares = {name.replace(" ", "_"): round(share, 6) for name, share in outcome.shares.items()}
        self._append(
            source,
            output=encodable(str(outcome.path)) if outcome.path else None,
            width=outcome.width,
            height=outcome.height,
            **{"wall": 0.0, "floor": 0.0, "dining_table": 0.0} | shares,
            tables=outcome.tables,
            milliseconds=round(outcome.milliseconds, 1),
        )

    def add_failure(self, source: str, error: SurfacesError) -> None:
        """Adds a photo that could not be used."""
        self._append(source, error=str(error))

    def add_problem(self, line: str) -> None:
        """Adds what could not be searched for photos."""
        self._append("", error=line)

    def _append(self, source: str, **values: Any) -> None:
        self.rows.append(dict.fromkeys(COLUMNS) | {"source": encodable(without_credentials(source))} | values)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _json(rows: list[dict[str, Any]]) -> bytes:
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    pyarrow = _require_pyarrow()
    numbers = {"width": pyarrow.int32(), "height": pyarrow.int32(), "tables": pyarrow.int32()}
    shares = dict.fromkeys(("wall", "floor", "dining_table", "milliseconds"), pyarrow.float64())
    schema = pyarrow.schema([(name, (numbers | shares).get(name, pyarrow.string())) for name in COLUMNS])
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {".csv": _csv, ".json": _json, ".parquet": _parquet}
"""Writers by suffix."""


def _require_pyarrow() -> Any:
    """The module pyarrow. Raises MissingExtraError where it is not installed."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("expected pyarrow for a .parquet file, install interior-surfaces[autolabel]") from error
    return pyarrow
