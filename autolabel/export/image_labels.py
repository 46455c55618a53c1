"""Writes image-level labels beside an export, as a `dataset.toml` with a table of the photos."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from surfaces.classes import BY_ID
from surfaces.datasets.description import DESCRIPTION_NAME
from surfaces.datasets.sample import LabelScope

TABLE_NAME = "image_labels.csv"

_KEYS = ("absent", "present")


class ImageLabels:
    """Collects the image-level labels of a dataset's photos."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str]] = []

    def add(self, name: str, scope: LabelScope) -> None:
        """Adds a photo, by the name of its sample."""
        absent, present = (", ".join(BY_ID[each].name for each in sorted(getattr(scope, key))) for key in _KEYS)
        if absent or present:
            self._rows.append((name, absent, present))

    def write(self, folder: Path) -> None:
        """Writes `dataset.toml` and its table into a dataset's folder; nothing where nothing is known."""
        if not self._rows:
            return
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("name", *_KEYS), *self._rows])
        (folder / TABLE_NAME).write_text(table.getvalue(), encoding="utf-8", newline="\n")
        entries = [f'manifest = "{TABLE_NAME}"\n']
        for values in sorted({row[1:] for row in self._rows}):
            where = ", ".join(f'{key} = "{names}"' for key, names in zip(_KEYS, values, strict=True))
            lines = [
                f"{key} = {json.dumps(names.split(', '))}" for key, names in zip(_KEYS, values, strict=True) if names
            ]
            entries.append("\n".join(["[[photos]]", f"where = {{ {where} }}", *lines]) + "\n")
        (folder / DESCRIPTION_NAME).write_text("\n".join(entries), encoding="utf-8", newline="\n")
