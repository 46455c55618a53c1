"""Any dataset that this project opens, as a source."""

from __future__ import annotations

from pathlib import Path

from distill.sources.base import SourcePhoto
from surfaces.datasets import open_dataset
from surfaces.datasets.parquet import ParquetSample, Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.datasets.sample import Sample


class OpenedDataset:
    """A dataset of one of the forms of `open_dataset`; its labels are ours already. Errors as of `open_dataset`."""

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        self._samples = open_dataset(path, options)
        self.vocabulary: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._samples)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        sample = self._samples[index]
        return SourcePhoto(sample.name, sample.encoded_image, sample.labels, provenance_of(sample))


def provenance_of(sample: Sample) -> Provenance:
    """Where a sample comes from, as far as its dataset says so."""
    inner = sample
    while hasattr(inner, "sample"):
        inner = inner.sample
    return inner.provenance() if isinstance(inner, ParquetSample) else Provenance()
