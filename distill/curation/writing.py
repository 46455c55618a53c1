"""Writes samples of any dataset as a new Parquet dataset, with its licences and a data card."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from distill.curation.statistics import DatasetStatistics, count_samples
from distill.sources.opened import provenance_of
from surfaces.cli.progress import track
from surfaces.datasets.description import DESCRIPTION_NAME
from surfaces.datasets.parquet import PHOTOS, ParquetRow, open_parquet, write_labels
from surfaces.datasets.sample import Sample, read_sample, require_unique
from surfaces.images.encode import suffix_of
from surfaces.io.atomic_files import new_folder
from surfaces.io.local_files import relative_path
from surfaces.licences import Licence, to_toml

CARD_NAME = "DATA_CARD.md"
_PHOTOS_PER_FILE = 4096


def write_dataset(samples: Sequence[Sample], folder: Path, licences: Sequence[Licence], title: str) -> int:
    """Writes samples and their photos to a new folder, which appears whole or not at all; returns their number.

    Args:
        samples: read one at a time.
        folder: must not exist.
        licences: of what they are made of.
        title: of the data card.

    Raises:
        DatasetError: two samples share a name, or a photo or its labels are invalid.
        OutputError: the folder exists or cannot be written.
    """
    require_unique(sample.name for sample in samples)
    with new_folder(folder) as partial:
        rows = (_row(sample, partial) for sample in track(samples))
        for number in range(-(-len(samples) // _PHOTOS_PER_FILE)):
            write_labels(partial / f"labels-{number:05d}.parquet", islice(rows, _PHOTOS_PER_FILE))
        describe_dataset(partial, licences, title)
    return len(samples)


def describe_dataset(folder: Path, licences: Sequence[Licence], title: str) -> None:
    """Writes a Parquet dataset's `dataset.toml` with its licences, and its data card."""
    (folder / DESCRIPTION_NAME).write_text(to_toml(licences), encoding="utf-8")
    statistics = count_samples(open_parquet(folder))
    (folder / CARD_NAME).write_text(data_card(title, statistics, licences), encoding="utf-8")


def data_card(title: str, statistics: DatasetStatistics, licences: Sequence[Licence]) -> str:
    """A short data card (Pushkarna et al., FAccT 2022): what a dataset holds, its sources and their terms."""
    lines = [f"# {title}", "", "| source | terms | commercial use |", "|---|---|---|"]
    lines += [f"| {licence.source} | {licence.terms} | {licence.commercial} |" for licence in licences]
    lines += ["", "| label | photos | pixels |", "|---|---|---|"]
    lines += [
        f"| {name} | {photos} | {statistics.pixel_shares[name]:.1%} |"
        for name, photos in statistics.photos_with.items()
    ]
    lines += ["", f"{statistics.photos} photos, {statistics.tables} dining tables."]
    for heading, counts in (("split", statistics.splits), ("room", statistics.rooms), ("source", statistics.sources)):
        named = {name: count for name, count in counts.items() if name}
        if named:
            lines += ["", f"| {heading} | photos |", "|---|---|"]
            lines += [f"| {name} | {count} |" for name, count in sorted(named.items())]
    if statistics.unlabelled:
        lines += ["", "| not labelled | photos |", "|---|---|"]
        lines += [f"| {name} | {count} |" for name, count in statistics.unlabelled.items()]
    return "\n".join([*lines, ""])


def _row(sample: Sample, folder: Path) -> ParquetRow:
    _, labels = read_sample(sample)
    photo = sample.encoded_image()
    path = folder / f"{PHOTOS}/{relative_path(sample.name)}{suffix_of(photo)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo)
    return ParquetRow(sample.name, path.relative_to(folder).as_posix(), labels, provenance_of(sample))
