from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.inference.segmenter import TRAINING_PHOTOS_KEY, Segmenter
from models.student.network import Student
from models.student.weights import load_student, read_tensors, save_student
from models.weights.registry import shipped
from models.weights.training_photos import UNKNOWN, TrainingPhotos, photo_hash
from surfaces.errors import WeightsError

ONE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def test_a_hash_is_of_size_and_pixels() -> None:
    others = [ONE.reshape(4, 2, 3), ONE[:, ::-1], ONE + 1]
    assert photo_hash(ONE) == photo_hash(np.asfortranarray(ONE)) == 6840524692559544016
    assert len({photo_hash(image) for image in (ONE, *others)}) == 4


def test_photos_are_counted() -> None:
    known = TrainingPhotos.of([5, 2**64 - 1, 5])
    both = known.union(TrainingPhotos.of([7], complete=False))
    assert known.count([5, 5, 6]) == 2
    assert (both.count([5, 7, 2**64 - 1]), both.complete) == (3, False)
    assert TrainingPhotos.of([]).count([1]) == 0
    assert UNKNOWN.count([1]) is None


@pytest.mark.parametrize(
    ("photos", "line"),
    [
        (TrainingPhotos.of([1, 2]), "2 of 3 photos were trained on"),
        (
            TrainingPhotos.of([1], complete=False),
            "1 of 3 photos were trained on; the photos behind the weights that its training started from are unknown",
        ),
        (UNKNOWN, "unknown whether the network was trained on these photos: its weights do not record it"),
    ],
    ids=["complete", "incomplete", "unknown"],
)
def test_what_is_known_is_one_line(photos: TrainingPhotos, line: str) -> None:
    assert photos.summary([1, 2, 3]) == line


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("complete", [False, True], ids=["incomplete", "complete"])
def test_weights_keep_the_record(tmp_path: Path, half: bool, complete: bool) -> None:
    student = Student()
    student.training_photos = TrainingPhotos.of([2**64 - 1, 3], complete)
    save_student(student, tmp_path / "student.npz", half)
    read = load_student(tmp_path / "student.npz")
    assert read.training_photos.hashes.tolist() == [3, 2**64 - 1]
    assert read.training_photos.complete is complete
    assert all(torch.isfinite(tensor).all() for tensor in read.state_dict().values())
    again = TrainingPhotos.from_text(read.training_photos.to_text())
    assert (again.hashes.tolist(), again.complete) == ([3, 2**64 - 1], complete)


def test_weights_without_a_record_stay_so(tmp_path: Path) -> None:
    save_student(Student(), tmp_path / "student.npz")
    assert not any(name.startswith("training_photos") for name in read_tensors(tmp_path / "student.npz"))
    assert load_student(tmp_path / "student.npz").training_photos.count([1]) is None
    network = onnx.load(shipped("onnx").path)
    kept = {entry.key: entry.value for entry in network.metadata_props if entry.key != TRAINING_PHOTOS_KEY}
    onnx.helper.set_model_props(network, kept)
    onnx.save(network, tmp_path / "network.onnx")
    assert Segmenter(tmp_path / "network.onnx").training_photos.count([1]) is None


def test_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    save_student(Student(), tmp_path / "student.npz")
    arrays = read_tensors(tmp_path / "student.npz")
    np.savez(tmp_path / "wrong.npz", **arrays, training_photos=np.zeros((2, 2)))
    with pytest.raises(WeightsError, match=r"expected training_photos of shape \(N,\) .*, got \(2, 2\) float64"):
        load_student(tmp_path / "wrong.npz")
