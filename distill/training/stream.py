"""Training photos read when their step comes, for datasets that do not fit into memory."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

import torch
from torch import Tensor

from distill.training.data import DeviceData, LoadedPhoto, Wanted, load_photo, on_device, partial_labels
from distill.training.processes import Processes
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.datasets.parquet import ParquetSample
from surfaces.threads import prefetch, usable_cpus

BLOCK = 256
"""Neighbouring photos, whose labels are in one or two groups of a Parquet file's rows, come together."""

STEPS_AHEAD = 2
"""Of which photos are being read while a step is computed."""

MOST_THREADS = 16


@dataclass(frozen=True)
class StreamSettings:
    """How photos are streamed.

    Attributes:
        buffer: photos that are mixed; the next ones come when all of them have been drawn.
        seed: of the order.
        max_side: as in TrainConfig.
    """

    buffer: int
    seed: int
    max_side: int | None = None


class PhotoStream:
    """Photos in a shuffled order that follows from the seed alone; those of one step at a time are in memory.

    Each dataset is gone through again and again, without its photos being drawn twice in one pass; for photos with
    tables there is a second pass of their own. Shares of datasets and of photos with tables are those of DeviceData.

    Args:
        datasets: the samples, dataset by dataset.
        weights: how often each dataset is drawn; empty: in proportion to its photos.
        has_table: whether each sample has a table, dataset by dataset; see `find_tables`.
        settings: see there.
        device: where the photos are needed.
    """

    hashes: tuple[int, ...] = ()
    """None are known before photos are read; views have them."""

    def __init__(
        self,
        datasets: Sequence[Sequence[Sample]],
        weights: Sequence[float],
        has_table: Sequence[Sequence[bool]],
        settings: StreamSettings,
        device: torch.device,
    ) -> None:
        self._samples = [sample for dataset in datasets for sample in dataset]
        self._settings, self._device = settings, device
        self._shares = list(weights) or [float(len(dataset)) for dataset in datasets]
        self._table_shares = [
            share * sum(tables) / len(tables) for share, tables in zip(self._shares, has_table, strict=True)
        ]
        self._pools: list[list[list[int]]] = [[], []]
        first = 0
        for tables in has_table:
            numbers = range(first, first + len(tables))
            self._pools[False].append(list(numbers))
            self._pools[True].append([number for number, table in zip(numbers, tables, strict=True) if table])
            first += len(tables)
        self._threads = ThreadPoolExecutor(min(MOST_THREADS, usable_cpus()), "photos")
        self._ahead: deque[list[Future[LoadedPhoto]]] = deque()
        self._order: Iterator[list[int]] = iter(())
        self._next: int | None = None

    def select(self, wanted: Wanted) -> tuple[DeviceData, Tensor]:
        """Photos of a batch, as DeviceData.select gives them; steps one after another are fastest.

        Raises:
            DatasetError: a photo cannot be read.
        """
        if wanted.step != self._next:
            for future in chain.from_iterable(self._ahead):
                future.cancel()
            self._ahead.clear()
            self._order = islice(self.batches(wanted.count, wanted.table_share), wanted.step, None)
        self._next = wanted.step + 1
        while len(self._ahead) <= STEPS_AHEAD:
            self._ahead.append([self._threads.submit(self._load, number) for number in next(self._order)[wanted.rows]])
        photos = [future.result() for future in self._ahead.popleft()]
        return on_device(photos, torch.full((len(photos),), 1 / len(photos))), torch.arange(len(photos))

    def batches(self, count: int, table_share: float) -> Iterator[list[int]]:
        """The numbers of the photos of each step; nothing is read."""
        with_table = round(count * table_share) if any(self._table_shares) else 0
        rng = random.Random(self._settings.seed)
        orders = [
            [self._shuffled(pool, f"{self._settings.seed} {number} {tables}") for number, pool in enumerate(pools)]
            for tables, pools in enumerate(self._pools)
        ]
        datasets = range(len(self._shares))
        while True:
            chosen = rng.choices(datasets, self._table_shares, k=with_table) if with_table else []
            others = rng.choices(datasets, self._shares, k=count - with_table)
            yield [next(orders[True][dataset]) for dataset in chosen] + [
                next(orders[False][dataset]) for dataset in others
            ]

    def _shuffled(self, numbers: Sequence[int], seed: str) -> Iterator[int]:
        rng = random.Random(seed)
        while True:
            blocks = [numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK)]
            rng.shuffle(blocks)
            order = iter(number for block in blocks for number in block)
            while held := list(islice(order, self._settings.buffer)):
                rng.shuffle(held)
                yield from held

    def _load(self, number: int) -> LoadedPhoto:
        return load_photo(self._samples[number], self._device, self._settings.max_side)


def in_reading_order(samples: Sequence[Sample]) -> list[Sample]:
    """Samples of Parquet files row by row, others as they are."""
    rows = [sample for sample in samples if isinstance(sample, ParquetSample)]
    others = [sample for sample in samples if not isinstance(sample, ParquetSample)]
    return [*sorted(rows, key=lambda sample: (sample.file, sample.row)), *others]


def find_tables(datasets: Sequence[Sequence[Sample]], processes: Processes) -> list[list[bool]]:
    """Whether each photo has a table that is learnt: reads all labels once, each process some of them.

    Raises:
        DatasetError: labels cannot be read.
    """
    return [_tables_of(dataset, processes) for dataset in datasets]


def _tables_of(samples: Sequence[Sample], processes: Processes) -> list[bool]:
    length = -(-len(samples) // processes.count)
    own = samples[processes.rank * length : (processes.rank + 1) * length]
    with ThreadPoolExecutor(min(MOST_THREADS, usable_cpus())) as threads:
        found = list(track(prefetch(_has_table, own, threads, 2 * MOST_THREADS), total=len(own)))
    processes.meet()
    return [table for part in processes.gather(found) for table in part]


def _has_table(sample: Sample) -> bool:
    return bool(partial_labels(sample.labels())[0].tables.any())
