"""Runs of `segment.py`, a stub network, and files for both."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import WeightsError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "pexels-3965508.jpg"
COMMAND = [sys.executable, str(ROOT / "segment.py")]

NAME = re.compile(r"interior_surfaces__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}\.jpg")

MS = r"\d+ ms"


class Run:
    """Exit code, outputs and files of a run of the command."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code, self.out, self.err, self.folder = code, out, err, folder

    @property
    def paths(self) -> list[Path]:
        return [Path(line) for line in self.out.splitlines()]

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    @property
    def json(self) -> Any:
        return json.loads(self.paths[0].with_suffix(".json").read_text("utf-8"))


def check_failure(run: Run, code: int, words: str) -> None:
    assert run.code == code
    assert run.out == ""
    assert re.fullmatch(rf"segment\.py: .*{re.escape(words)}.*\n", run.err)
    assert run.files == []


class StubSegmenter:
    """Calls the upper half wall, the lower half floor, with two tables."""

    name, sha256 = "stub", "0" * 64

    def __init__(self, weights: Path | None = None, **_: object) -> None:
        if weights:
            raise WeightsError(f"expected weights at {weights}")

    def predict(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        regions = np.zeros((height, width), np.uint8)
        regions[: height // 2], regions[height // 2 :] = 1, 2
        regions[-height // 4 :, : width // 4], regions[-height // 4 :, -width // 4 :] = 3, 4
        found = [(WALL, 0.95), (FLOOR, 0.9), (DINING_TABLE, 0.8), (DINING_TABLE, 0.6)]
        masks = [regions == number for number in (1, 2, 3, 4)]
        return [Detection(s, score, box_of_mask(m), m) for (s, score), m in zip(found, masks, strict=True)]


def stdin(text: str, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode(encoding)))


def photo_bytes(kind: str, size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.effect_noise(size, 60).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
