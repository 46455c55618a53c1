"""The files that a command reads, so that none of them is overwritten by its results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from distill.datasets import RenamedSample
from surfaces.dataset import Sample
from surfaces.files import refuse_overwrite


def protect_inputs(
    outputs: Iterable[Path], data: Iterable[Path], samples: Sequence[Sample], others: Iterable[Path | None] = ()
) -> None:
    """Stops a command whose results would overwrite a dataset or another input.

    Args:
        outputs: files and folders that the command writes.
        data: paths of the datasets.
        samples: of these datasets.
        others: further files that the command reads; None for those that were not given.

    Raises:
        OutputError: an output is one of the inputs.
    """
    files = {path for sample in samples for path in _files_of(sample)}
    refuse_overwrite(outputs, [*data, *files, *{path.parent for path in files}, *(path for path in others if path)])


def _files_of(sample: Sample) -> list[Path]:
    """The files, or the folder, that a sample is read from: the fields that are paths, whatever format it has."""
    inner = sample.sample if isinstance(sample, RenamedSample) else sample
    return [value for value in vars(inner).values() if isinstance(value, Path)]
