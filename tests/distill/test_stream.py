"""Photos that are read during training, in a shuffled order."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.training.batches import BatchMaker
from distill.training.checkpoint import load_checkpoint
from distill.training.config import TrainConfig
from distill.training.processes import ALONE, Processes
from distill.training.run import train
from distill.training.stream import PhotoStream, StreamSettings, find_tables, in_reading_order
from distill.training.trainer import Trainer
from models.student.weights import load_student
from models.weights.training_photos import photo_hash
from surfaces.classes import DINING_TABLE, FLOOR, WALL
from surfaces.datasets import Labels, MemorySample, open_dataset
from surfaces.datasets.parquet import ParquetRow, write_labels
from surfaces.errors import DatasetError
from surfaces.images.encode import encode_jpeg
from tests.distill.training import ROOMS, ROOT, flags_of, small_config

CPU = torch.device("cpu")


def plain(name: str, table: bool = False) -> MemorySample:
    semantic = np.full((40, 60), DINING_TABLE.coco_id if table else WALL.coco_id, np.uint8)
    return MemorySample(name, np.zeros((40, 60, 3), np.uint8), Labels(semantic, np.full_like(semantic, table)))


def stream_of(*tables: list[bool], weights: tuple[float, ...] = (), buffer: int = 8, seed: int = 0) -> PhotoStream:
    """A stream of datasets whose photos have tables or not."""
    datasets = [[plain(f"{number} {table}", table) for number, table in enumerate(dataset)] for dataset in tables]
    found = find_tables(datasets, ALONE)
    assert found == list(tables)
    return PhotoStream(datasets, weights, found, StreamSettings(buffer, seed), CPU)


def drawn(stream: PhotoStream, steps: int, count: int = 4, table_share: float = 0.0) -> list[list[int]]:
    return list(islice(stream.batches(count, table_share), steps))


def test_each_pass_draws_every_photo_once_in_another_order() -> None:
    stream = stream_of([False] * 20)
    numbers = [number for batch in drawn(stream, 15) for number in batch]
    passes = [numbers[start : start + 20] for start in (0, 20, 40)]
    assert [sorted(each) for each in passes] == [list(range(20))] * 3
    assert len({tuple(each) for each in passes}) == 3
    assert drawn(stream, 15) == drawn(stream_of([False] * 20), 15)
    assert drawn(stream, 15) != drawn(stream_of([False] * 20, seed=1), 15)


def test_the_buffer_bounds_how_far_photos_move() -> None:
    numbers = [number for batch in drawn(stream_of([False] * 64, buffer=16), 16) for number in batch]
    for start in range(0, 64, 16):
        assert sorted(numbers[start : start + 16]) == list(range(start, start + 16))
    assert numbers != sorted(numbers)


def test_shares_of_datasets_and_of_tables_are_as_in_memory() -> None:
    stream = stream_of([True, False, False, False], [True, True, False, False], weights=(3.0, 1.0))
    batches = drawn(stream, 3000, count=4, table_share=0.5)
    assert all(set(batch[:2]) <= {0, 4, 5} for batch in batches)
    with_table = Counter(number for batch in batches for number in batch[:2])
    others = Counter(number // 4 for batch in batches for number in batch[2:])
    assert with_table[0] / 6000 == pytest.approx(0.6, abs=0.03)  # 3 x 1/4 of 3 x 1/4 + 1 x 2/4
    assert with_table[4] == pytest.approx(with_table[5], abs=1)
    assert others[0] / 6000 == pytest.approx(0.75, abs=0.03)


def test_without_tables_none_are_drawn_first() -> None:
    assert sorted(drawn(stream_of([False] * 4), 1, table_share=1.0)[0]) == [0, 1, 2, 3]


def views(step: int, rank: int = 0, count: int = 1) -> list[torch.Tensor]:
    samples = [open_dataset(ROOMS)[:6]]
    config = small_config(Path("unused"), batch=4, stream=True)
    processes = Processes(rank, count)
    stream = PhotoStream(samples, (), find_tables(samples, ALONE), StreamSettings(4, 0, 768), CPU)
    return list(vars(BatchMaker(config, stream, processes=processes).make(step)).values())


def test_a_step_is_the_same_wherever_the_stream_begins_and_whoever_reads_it() -> None:
    whole = views(3)
    for rank in range(2):
        for values, part in zip(whole, views(3, rank, 2), strict=True):
            torch.testing.assert_close(values[rank::2], part)


def test_photos_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = parquet_dataset(tmp_path / "data", 4)
    (folder / "photos" / "2.jpg").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"2\.jpg"):
        train(small_config(tmp_path / "run", data=(str(folder),), stream=True, steps=8))


def parquet_dataset(folder: Path, photos: int, height: int = 60, width: int = 80, files: int = 1) -> Path:
    """Noisy photos of a wall and a floor, every third one with a table; names are not in the order of the rows."""
    (folder / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file in range(files):
        rows = []
        for number in range(file, photos, files):
            semantic = np.full((height, width), WALL.coco_id, np.uint8)
            semantic[height // 2 :] = FLOOR.coco_id
            tables = np.zeros_like(semantic)
            if number % 3 == 0:
                semantic[height // 2 :, : width // 2], tables[height // 2 :, : width // 2] = DINING_TABLE.coco_id, 1
            image = rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            (folder / "photos" / f"{number}.jpg").write_bytes(encode_jpeg(image))
            labels = Labels(semantic[: image.shape[0], : image.shape[1]], tables[: image.shape[0], : image.shape[1]])
            rows.append(ParquetRow(f"room_{number}", f"photos/{number}.jpg", labels))
        write_labels(folder / f"labels-{file:05d}.parquet", rows)
    return folder


def test_rows_are_read_in_their_order(tmp_path: Path) -> None:
    samples = open_dataset(parquet_dataset(tmp_path, 12, files=2))
    by_name = sorted(samples, key=lambda sample: sample.name)
    assert by_name != samples
    assert in_reading_order(by_name) == samples
    assert in_reading_order(open_dataset(ROOMS)) == open_dataset(ROOMS)


def test_a_stopped_stream_resumes_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet_dataset(tmp_path / "data", 8)
    unbroken = small_config(
        tmp_path / "unbroken", data=(str(data),), stream=True, buffer=3, steps=4, checkpoint_every=1
    )
    stopped = replace(unbroken, run=str(tmp_path / "stopped"))
    expected = train(unbroken)

    class Failure(Exception):
        """Stands for a power cut."""

    train_step = Trainer.train_step

    def cut(self: Trainer) -> dict[str, torch.Tensor]:
        if self.step == 2:
            raise Failure
        return train_step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", cut)
        with pytest.raises(Failure):
            train(stopped)
    assert train(stopped, resume=True).read_bytes() == expected.read_bytes()


def test_the_weights_record_the_photos_that_were_read(tmp_path: Path) -> None:
    config = small_config(tmp_path / "run", stream=True, steps=2)
    recorded = load_student(train(config)).training_photos
    everything = {photo_hash(sample.image()) for sample in open_dataset(ROOMS)}
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint
    assert 0 < len(recorded.hashes) <= 4  # two steps of two photos
    assert set(recorded.hashes.tolist()) == set(checkpoint.photo_hashes) <= everything


def peak_memory(config: TrainConfig, **changes: Any) -> int:
    """Bytes of memory that `distill train` takes at most."""
    code = (
        "import resource, sys; from distill.__main__ import main; assert main(sys.argv[1:]) == 0; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, "train", *flags_of(replace(config, **changes))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return 1024 * int(ran.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_memory_does_not_grow_with_the_photos(tmp_path: Path) -> None:
    photo_bytes = 768 * 1024 * 5
    peaks = []
    for count in (20, 220):
        data = parquet_dataset(tmp_path / f"data-{count}", count, 768, 1024)
        config = small_config(tmp_path / f"run-{count}", data=(str(data),), max_side=1024, steps=2, stream=True)
        peaks.append(peak_memory(config))
    in_memory = peak_memory(replace(config, stream=False, run=str(tmp_path / "memory")))
    assert peaks[1] - peaks[0] < 0.2 * 200 * photo_bytes
    assert in_memory - peaks[1] > 0.4 * 200 * photo_bytes
