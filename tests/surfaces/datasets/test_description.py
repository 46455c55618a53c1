from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from surfaces.classes import CLASSES, DINING_TABLE, FLOOR, IGNORE, WALL
from surfaces.datasets import LabelScope, open_dataset, write_packed
from surfaces.datasets.coco import write_coco
from surfaces.detections import Detection, box_of_mask
from surfaces.errors import DatasetError
from surfaces.metrics import TableAp, boundary_counts, match_segments, region_counts

Dataset = Callable[[str], Path]
NAMES = ("bathroom_1", "dining_1", "dining_2")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A folder of three photos, of which the second has a dining table in its upper half, with a dataset.toml."""

    def make(description: str) -> Path:
        folder = tmp_path / "set"
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for name in NAMES:
            values = np.zeros((40, 60), np.uint8)
            values[:20] = 3 if name == "dining_1" else 0
            Image.fromarray(np.full((40, 60, 3), len(name), np.uint8)).save(folder / "images" / f"{name}.png")
            Image.fromarray(values).save(folder / "masks" / f"{name}.png")
        (folder / "dataset.toml").write_text(description)
        rooms = ["name,room", "bathroom_1,bathroom", "dining_1,dining room", "dining_2,dining room"]
        (folder / "rooms.csv").write_text("\n".join(rooms))
        return folder

    return make


def scopes(folder: Path) -> list[LabelScope]:
    return [sample.labels().scope for sample in open_dataset(folder)]


def ids(*surfaces: object) -> frozenset[int]:
    return frozenset(surface.coco_id for surface in CLASSES if surface in surfaces)


def test_a_dataset_that_labels_tables_alone(dataset: Dataset) -> None:
    assert scopes(dataset('labelled = ["dining table"]')) == [LabelScope(unlabelled=ids(WALL, FLOOR))] * 3


def test_image_level_labels_by_name_and_by_a_column(dataset: Dataset) -> None:
    folder = dataset(
        """
        labelled = ["wall", "floor"]
        manifest = "rooms.csv"
        [[photos]]
        names = ["dining_1"]
        labelled = ["wall", "floor", "dining table"]
        [[photos]]
        where = { room = "bathroom" }
        absent = ["dining table"]
        [[photos]]
        names = ["dining_*"]
        present = ["dining table"]
        """
    )
    table = ids(DINING_TABLE)
    assert scopes(folder) == [
        LabelScope(absent=table),
        LabelScope(unlabelled=table, present=table),
        LabelScope(unlabelled=table, present=table),
    ]


def test_present_but_not_drawn_is_unlabelled(dataset: Dataset) -> None:
    folder = dataset('[[photos]]\nnames = ["dining_*"]\npresent = ["dining table"]')
    table = ids(DINING_TABLE)
    drawn, not_drawn = scopes(folder)[1:]
    assert drawn == LabelScope(present=table)
    assert not_drawn == LabelScope(unlabelled=table, present=table)


def test_packed_data_keeps_it(dataset: Dataset, tmp_path: Path) -> None:
    folder = dataset('labelled = ["dining table"]\n[[photos]]\nnames = ["bath*"]\nabsent = ["dining table"]')
    write_packed(open_dataset(folder), tmp_path / "packed")
    assert scopes(tmp_path / "packed") == scopes(folder)
    assert "packed 2" in (tmp_path / "packed" / "packed.json").read_text()


def test_a_coco_file_without_a_category_leaves_the_class_unlabelled(dataset: Dataset, tmp_path: Path) -> None:
    write_coco(open_dataset(dataset('labelled = ["dining table"]')), tmp_path / "coco")
    first, second, _ = (sample.labels() for sample in open_dataset(tmp_path / "coco"))
    assert (first.semantic == IGNORE).all()  # COCO has no partial labels: what is not drawn is left out
    assert (second.semantic[:20] == DINING_TABLE.coco_id).all()


def everything(surface: object, shape: tuple[int, int]) -> Detection:
    mask = np.ones(shape, np.bool_)
    return Detection(surface, 0.9, box_of_mask(mask), mask)


def test_unlabelled_classes_are_not_measured(dataset: Dataset) -> None:
    labels = open_dataset(dataset('labelled = ["dining table"]'))[1].labels()
    found = [everything(WALL, labels.size_hw)]
    assert region_counts(found, labels).tolist() == [[0, 0], [0, 0], [0, 20 * 60]]
    assert not boundary_counts(found, labels)[:2].any()
    assert match_segments(found, labels, WALL).false_positives == 0


def test_absent_classes_are_false_wherever_they_are_found(dataset: Dataset) -> None:
    folder = dataset('[[photos]]\nnames = ["bath*"]\nabsent = ["dining table"]')
    Image.fromarray(np.full((40, 60), IGNORE, np.uint8)).save(folder / "masks" / "bathroom_1.png")
    samples = open_dataset(folder)
    labels = samples[0].labels()
    found = [everything(DINING_TABLE, labels.size_hw)]
    assert region_counts(found, labels)[2].tolist() == [0, 40 * 60]
    assert match_segments(found, labels, DINING_TABLE).false_positives == 1
    precision = TableAp()
    precision.add(found, labels)
    precision.add([everything(DINING_TABLE, labels.size_hw)], samples[1].labels())
    assert precision.result().ap50 < 1


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("labelled = 3", "`labelled` to be a list of texts"),
        ('labelled = ["walls"]', "unknown class 'walls'; did you mean 'wall'"),
        ('lables = ["wall"]', "unknown key 'lables'; did you mean 'labelled'"),
        ('photos = "all"', "`photos` to be tables"),
        ("[[photos]]\nabsent = []", "`names` or `where`"),
        ('[[photos]]\nwhere = { room = "bathroom" }', "expected a `manifest`"),
        ('manifest = "none.csv"', "a CSV file at"),
        ('manifest = "dataset.toml"', "a column `name`"),
        ('manifest = "rooms.csv"\n[[photos]]\nwhere = { room = 3 }', "values as text"),
        ('[[photos]]\nnames = ["kitchen_*"]\nabsent = ["wall"]', "entry 1 of `photos`.*, got none"),
        ('absent = ["wall"]\npresent = ["wall"]', "wall to be absent from bathroom_1 or present, got both"),
        ("labelled = [", "a TOML file at"),
    ],
)
def test_descriptions_that_are_refused(dataset: Dataset, description: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        open_dataset(dataset(description))
    assert "dataset.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_that_is_drawn_and_called_absent(dataset: Dataset) -> None:
    samples = open_dataset(dataset('absent = ["dining table"]'))
    with pytest.raises(DatasetError, match="expected no dining table in dining_1"):
        samples[1].labels()
