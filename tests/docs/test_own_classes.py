"""docs/own-classes.md: its diff, applied to a copy of the packages, makes a fourth class that works throughout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("surfaces", "models", "autolabel", "labelstudio", "distill")

CHECKS = {
    "labels go through every format and back": """
        import numpy as np
        from pathlib import Path
        from surfaces.classes import CLASSES, IGNORE, OTHER_TABLE
        from surfaces.datasets import Labels, open_dataset
        from surfaces.datasets.coco import write_coco
        from surfaces.datasets.codec import decode_soft_labels, encode_soft_labels
        from surfaces.datasets.mask_folder import labels_of_values, values_of_labels
        from surfaces.datasets.sample import MemorySample

        values = np.repeat(np.array([0, 1, 2, 10, 4, 6, 255], np.uint8), 9).reshape(7, 9)
        labels = labels_of_values(values, "a map")
        assert labels.semantic[:, 0].tolist() == [0, 1, 2, 3, OTHER_TABLE, 4, IGNORE]
        assert (values_of_labels(labels) == values).all()
        write_coco([MemorySample("a", np.zeros((7, 9, 3), np.uint8), labels)], Path("coco"))
        again = open_dataset(Path("coco"))[0].labels()
        assert (again.semantic == labels.semantic).all() and (again.tables == labels.tables).all()
        soft_labels = np.arange(len(CLASSES) + 1, dtype=np.uint8)[:, None, None] * np.ones((1, 6, 4), np.uint8)
        assert (decode_soft_labels(encode_soft_labels(soft_labels), "it") == soft_labels).all()
    """,
    "a semantic teacher's ceiling becomes a label, and a person's does": """
        import numpy as np
        from autolabel.labelling.labeller import LabellingSettings, label_prediction
        from autolabel.labelling.class_config import default_class_config
        from labelstudio.project.labeling_config import label_config
        from labelstudio.sync.overlaps import Region, resolve_overlaps
        from models.teachers.class_map import MOSAIC, ClassMap
        from models.teachers.base import Prediction, SemanticPrediction

        assert ClassMap.read(MOSAIC).classes == ((1,), (4,), (16,), (6,))
        probabilities = np.full((5, 8, 8), 0.02, np.float32)
        probabilities[4, :4], probabilities[1, 4:] = 0.92, 0.92
        semantic = SemanticPrediction(probabilities, np.zeros((8, 8), np.float32))
        found = label_prediction(Prediction(semantic=semantic), (64, 64), LabellingSettings(default_class_config()))
        assert {s.detection.surface.name for s in found.segments} == {"wall", "ceiling"}
        half = np.zeros((8, 8), bool)
        half[:5] = True
        resolved = resolve_overlaps([Region("1", "ceiling", half), Region("2", "wall", ~half)], [], (8, 8))
        assert [s.detection.surface.name for s in resolved.segments] == ["wall", "ceiling"]
        assert label_config().count('value="ceiling"') == 3
    """,
    "a network of three classes is no teacher": """
        import numpy as np
        from models.teachers.student import StudentTeacher
        from surfaces.errors import WeightsError

        try:
            StudentTeacher(threads=1).predict(np.zeros((128, 128, 3), np.uint8))
        except WeightsError as error:
            assert str(error).startswith("expected a network of 4 classes, student (surfaces) knows 3"), error
        else:
            raise AssertionError("no error")
    """,
    "the shipped weights are a start, and the heads do what they did": """
        import torch
        from models.weights.registry import FOLDER
        from models.student.network import Student
        from models.student.weights import read_tensors, start_from

        student = Student()
        given = read_tensors(FOLDER / "surfaces.npz")
        assert start_from(student, given) == []
        loaded = student.fpn.smooth8.state_dict()
        name = next(name for name, tensor in loaded.items() if tensor.ndim == 4 and tensor.shape[1] > 1)
        old = torch.from_numpy(given[f"fpn.smooth8.{name}"]).float()
        assert loaded[name].shape[1] == old.shape[1] + 1
        assert torch.equal(loaded[name][:, :-1], old) and not loaded[name][:, -1].any()
        with torch.no_grad():
            assert student.eval()(torch.zeros(1, 3, 128, 128)).shape == (1, 5, 32, 32)
    """,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with the document's diff applied."""
    folder = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (diff,) = re.findall(r"^```diff\n(.*?)^```", (ROOT / "docs/own-classes.md").read_text("utf-8"), re.M | re.S)
    subprocess.run(["git", "apply", "-"], cwd=folder, input=diff, text=True, check=True)
    return folder


@pytest.mark.parametrize("check", CHECKS)
def test_a_fourth_class_works(tree: Path, check: str) -> None:
    script = "\n".join(line.removeprefix(" " * 8) for line in CHECKS[check].splitlines())
    ran = subprocess.run([sys.executable, "-c", script], cwd=tree, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
