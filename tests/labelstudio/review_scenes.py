"""Datasets to review, and people who review them through the server's API as the browser does."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from labelstudio.__main__ import main
from labelstudio.commands.push import model_version_of
from labelstudio.project.labeling_config import Project
from labelstudio.sync.regions import labels_to_prediction
from surfaces.classes import BY_NAME
from surfaces.detections import Detection, Mask, box_of_mask
from surfaces.store.label_store import LabelSettings, LabelStore, Source
from surfaces.store.records import ScoredLabels, ScoredSegment
from tests.labelstudio.servers import TestServer

SETTINGS = LabelSettings("a1" * 32, "teacher one")
NEWER = LabelSettings("b2" * 32, "teacher two")
MODEL_VERSION = model_version_of(SETTINGS)


class Scene:
    def __init__(self, server: TestServer, project: Project, folder: Path) -> None:
        self.server, self.project, self.dataset = server, project, folder / "labels"
        self.photos = server.photos / project.title.replace(" ", "-")

    def run(self, command: str, *arguments: str) -> int:
        return main([command, str(self.dataset), "--project", self.project.title, "--url", self.server.url, *arguments])

    def push(self, *arguments: str) -> int:
        return self.run("push", *arguments)

    def pull(self, *arguments: str) -> int:
        return self.run("pull", *arguments)

    def add(self, name: str, labels: ScoredLabels, settings: LabelSettings = SETTINGS, **looks: Any) -> str:
        """Writes a photo of the labels' size and adds them to the dataset; returns its sha256."""
        path = self.photos / f"{name}{looks.get('suffix', '.png')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(name, *labels.ignore_mask.shape, **looks))
        return self.label(path, labels, settings)

    def push_photos(self, count: int, *arguments: str) -> list[dict[str, Any]]:
        """Adds photos that the server has on its disk, and pushes them; returns their tasks."""
        for seed in range(count):
            self.add(f"{seed}", simple_labels(seed=seed))
        assert self.push(*arguments) == 0
        return list(self.tasks().values())

    def label(self, path: Path, labels: ScoredLabels, settings: LabelSettings = SETTINGS) -> str:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.relative_to(self.photos).with_suffix("").as_posix()
        with LabelStore.create(self.dataset) as store:
            store.use_settings(settings, relabel=True)
            store.add(Source(str(path), name, str(self.photos)), sha256, labels, settings.fingerprint)
        return sha256

    def labels(self, sha256: str) -> ScoredLabels:
        with LabelStore.open(self.dataset) as store:
            return store.labels(sha256)

    def origins(self) -> dict[str, tuple[str, str]]:
        with LabelStore.open(self.dataset) as store:
            return {photo.sha256: (photo.origin, photo.reviewer) for photo in store.photos()}

    def tasks(self) -> dict[str, dict[str, Any]]:
        """All tasks by the sha256 of their photo, predictions and annotations included; each photo has one."""
        found = self.numbers()
        assert len({task["data"].get("sha256") for task in found}) == len(found)
        return {task["data"]["sha256"]: self.task(task["id"]) for task in found}

    def numbers(self) -> list[dict[str, Any]]:
        response = self.server.session.get("/api/tasks/", params={"project": self.project.id, "page_size": 5000})
        found: list[dict[str, Any]] = response.raise_for_status().json()["tasks"]
        return found

    def task(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.server.session.get(f"/api/tasks/{number}/").raise_for_status().json()
        return found

    def submit(self, task: dict[str, Any], result: list[dict[str, Any]] | None = None, **fields: Any) -> int:
        """Submits an annotation as the browser does, by default the newest prediction as it is; returns its number."""
        prediction = max(task["predictions"], key=lambda known: known["id"])
        body = {"result": prediction["result"] if result is None else result, "parent_prediction": prediction["id"]}
        response = self.server.session.post(
            f"/api/tasks/{task['id']}/annotations/", json=body | {"lead_time": 12.5} | fields
        )
        return int(response.raise_for_status().json()["id"])

    def change(self, annotation: int, result: list[dict[str, Any]]) -> None:
        self.server.session.patch(f"/api/annotations/{annotation}/", json={"result": result}).raise_for_status()

    def colleague(self, name: str) -> tuple[int, str]:
        """A further person's number and e-mail address."""
        email = f"{name}-{self.project.id}@example.com"
        person = self.server.session.post("/api/users/", json={"username": email.partition("@")[0], "email": email})
        return int(person.raise_for_status().json()["id"]), email


def result_of(labels: ScoredLabels) -> list[dict[str, Any]]:
    """What the browser submits for these labels."""
    result: list[dict[str, Any]] = labels_to_prediction(labels, "none")["result"]
    return result


def entry(from_name: str, kind: str, size_hw: tuple[int, ...] | None = None, **value: Any) -> dict[str, Any]:
    """An entry of a result; regions have the size of their photo."""
    region = {} if size_hw is None else {"original_width": size_hw[1], "original_height": size_hw[0]}
    return {"id": "Ab-3_x", "from_name": from_name, "to_name": "photo", "type": kind, "value": value, **region}


def files_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Names, times and contents."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def labels_of_masks(
    masks: Sequence[tuple[str, Mask]], ignore_mask: Mask | None = None, score: float = 0.5
) -> ScoredLabels:
    found = [Detection(BY_NAME[name], score, box_of_mask(mask), mask) for name, mask in masks if mask.any()]
    ignored = np.zeros(masks[0][1].shape, bool) if ignore_mask is None else ignore_mask
    return ScoredLabels(tuple(map(ScoredSegment, found)), ignored, {"score": score})


def simple_labels(height: int = 48, width: int = 64, seed: int = 0) -> ScoredLabels:
    """A wall with a window, a floor, a table before them, some unsure pixels; another of each seed."""
    rng = np.random.default_rng(seed)
    horizon, left = int(rng.integers(height // 3, height // 2)), int(rng.integers(4, width // 2))
    rows, columns = np.mgrid[:height, :width]
    table = (rows >= height // 2) & (rows < height - 4) & (columns >= left) & (columns < left + width // 3)
    window = (rows >= 4) & (rows < horizon - 6) & (columns >= width // 2) & (columns < width - 4)
    ignore_mask = (rows < 3) & (columns < 5 + seed % 7)
    wall = (rows < horizon) & ~window & ~ignore_mask
    floor = (rows >= horizon) & ~table
    return labels_of_masks(
        [("wall", wall), ("floor", floor), ("dining table", table)], ignore_mask, 0.3 + 0.6 * float(rng.random())
    )


def photo_bytes(name: str, height: int, width: int, orientation: int = 1, suffix: str = ".png") -> bytes:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
    small: npt.NDArray[np.uint8] = rng.integers(0, 256, (8, 8, 3), np.uint8)
    size_wh = (height, width) if orientation >= 5 else (width, height)
    photo = Pillow.fromarray(small).resize(size_wh, Pillow.Resampling.BICUBIC)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    photo.save(file, {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}[suffix], exif=exif.tobytes())
    return file.getvalue()
