"""Any dataset that this project opens, as a source."""

from __future__ import annotations

from pathlib import Path

from distill.sources.base import Source, SourcePhoto
from surfaces.datasets import open_dataset
from surfaces.datasets.coco import CocoSample
from surfaces.datasets.foreign import ForeignSample
from surfaces.datasets.parquet import ParquetSample, Provenance
from surfaces.datasets.reading import ReadOptions
from surfaces.datasets.sample import Sample, unwrapped
from surfaces.errors import DatasetError


class OpenedDataset(Source):
    """A dataset of one of the forms of `open_dataset`; its labels are ours already. Errors as of `open_dataset`."""

    def __init__(self, path: Path, work: Path, options: ReadOptions) -> None:  # noqa: ARG002
        super().__init__(path if path.is_dir() else path.parent, options)
        self._samples = open_dataset(path, options)
        if options.targets and not any(isinstance(sample, (ForeignSample, CocoSample)) for sample in self._samples):
            raise DatasetError(f"expected another tool's class names in {path} for a class map, got labels of ours")

    def __len__(self) -> int:
        return len(self._samples)

    def photo(self, index: int) -> SourcePhoto:
        """The photo at an index."""
        sample = self._samples[index]
        return SourcePhoto(sample.name, sample.encoded_image, sample.labels, provenance_of(sample))


def provenance_of(sample: Sample) -> Provenance:
    """Where a sample comes from, as far as its dataset says so."""
    inner = unwrapped(sample)
    return inner.provenance() if isinstance(inner, ParquetSample) else Provenance()
