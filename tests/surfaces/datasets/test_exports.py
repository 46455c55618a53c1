"""Exports that other tools' own code wrote, compared pixel by pixel with the labels that were exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surfaces.datasets import Labels, LabelScope, open_dataset

EXPORTS = Path(__file__).parents[2] / "data" / "exports"

FORMS = {
    "ultralytics": "train/",
    "fiftyone": "train/",
    "label-studio": "",
    "labelme": "",
    "labelme-voc": "",
    "datumaro-voc": "",
}
_BRIDGES = {"ultralytics": 30}  # pixels of the lines that join the parts of an object


@pytest.fixture(scope="module")
def source() -> dict[str, Labels]:
    return {sample.name: sample.labels() for sample in open_dataset(EXPORTS / "source")}


@pytest.mark.parametrize("form", FORMS)
def test_labels_are_those_that_were_exported(source: dict[str, Labels], form: str) -> None:
    samples = open_dataset(EXPORTS / form)
    assert [sample.name for sample in samples] == [f"{FORMS[form]}{name}" for name in source]
    for sample, expected in zip(samples, source.values(), strict=True):
        labels = sample.labels()
        assert (labels.semantic != expected.semantic).sum() <= _BRIDGES.get(form, 0)
        np.testing.assert_array_equal(labels.tables, expected.tables)
        assert labels.scope == LabelScope()
        assert sample.image().shape == (72, 96, 3)


@pytest.mark.parametrize("file", ["fiftyone/dataset.yaml", "ultralytics/data.yaml"])
def test_the_yaml_file_is_the_dataset_too(file: str) -> None:
    path = EXPORTS / file
    assert [sample.name for sample in open_dataset(path)] == [sample.name for sample in open_dataset(path.parent)]
