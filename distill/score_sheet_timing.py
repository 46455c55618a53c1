"""The speed of contenders side by side: in turns, on one photo, as `distill benchmark` does it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.commands.benchmark import Contender, machine, shrunk, time_in_turns
from distill.score_sheet_config import ContenderEntry, SheetConfig, resolved
from distill.score_sheet_contender import OpenContender
from distill.score_sheet_contenders import open_contender
from surfaces.detections import Image
from surfaces.errors import DatasetError
from surfaces.images.load import load_image
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import read_text


def timed(
    path: Path, config: SheetConfig, entries: Sequence[ContenderEntry], threads: int, again: bool
) -> dict[str, Any]:
    """Times from a photo to its masks, warm; kept in a file, which is read where the same was timed before.

    Args:
        path: the file.
        config: names the photo.
        entries: contenders whose files are there; those without rounds are not timed.
        threads: CPU threads of each.
        again: time even if the file has it.

    Returns:
        Photo, threads, machine, and by contender `median_ms`, `p90_ms`, `cpu_ms` and `rounds`.

    Raises:
        FetchError: there is no such photo.
        DatasetError: the file is damaged.
    """
    wanted = [entry for entry in entries if entry.rounds]
    image = shrunk(load_image(str(resolved(config.photo))), config.side)
    opened = {entry.name: open_contender(entry, threads) for entry in wanted}
    key = [[entry.name, opened[entry.name].fingerprint, entry.rounds] for entry in wanted]
    key.append([config.photo, list(image.shape[:2]), threads])
    known = None if again else _read(path, key)
    if known is None:
        known = _timed(wanted, opened, image) | {"photo": config.photo, "size_hw": image.shape[:2], "threads": threads}
        replace_file(path, json.dumps({"key": key, "timing": known}, indent=1).encode())
    return known


def _timed(wanted: Sequence[ContenderEntry], opened: dict[str, OpenContender], image: Image) -> dict[str, Any]:
    networks = [Contender(entry.name, _once(opened[entry.name], image), None, entry.rounds) for entry in wanted]
    timings = time_in_turns(networks, max((entry.rounds for entry in wanted), default=0))
    rounds = {entry.name: {"rounds": entry.rounds} for entry in wanted}
    kept = ("median_ms", "p90_ms", "cpu_ms")
    return {
        "machine": machine(),
        "contenders": {one.name: {key: asdict(one)[key] for key in kept} | rounds[one.name] for one in timings},
    }


def _once(contender: OpenContender, image: Image) -> Callable[[], object]:
    # A copy each time: contenders remember what they made of the last photo.
    return lambda: contender.predict(image.copy())


def _read(path: Path, key: list[Any]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(read_text(path))
        return dict(content["timing"]) if content["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"expected timings in {path}, got another file: remove it") from error
