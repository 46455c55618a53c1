"""Weights in files: there and back, and what is told of files that hold others."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.student.network import SemanticBranch, Student
from models.student.weights import load_branch, load_student, read_tensors, save_student, start_from
from surfaces.errors import SurfacesError, WeightsError


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(3)
    return Student()


@pytest.fixture(scope="module")
def saved(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "student.npz"
    save_student(student, path)
    return path


def rewritten(saved: Path, path: Path, **changes: np.ndarray | None) -> Path:
    """A copy of a file of weights with arrays exchanged, or left out where they are None."""
    arrays = {**read_tensors(saved), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_there_and_back(student: Student, saved: Path) -> None:
    got = load_student(saved)
    assert got.encoder_name == "mosaic"
    expected = student.state_dict()
    assert list(got.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in got.state_dict().items())
    assert [path.name for path in saved.parent.iterdir()] == ["student.npz"]


def test_the_other_encoder_is_told_by_the_file(tmp_path: Path) -> None:
    save_student(Student("efficientnet_lite0"), tmp_path / "student.npz")
    assert load_student(tmp_path / "student.npz").encoder_name == "efficientnet_lite0"


def test_half_keeps_what_float16_holds(student: Student, saved: Path, tmp_path: Path) -> None:
    save_student(student, tmp_path / "half.npz", half=True)
    assert (tmp_path / "half.npz").stat().st_size < 0.6 * saved.stat().st_size
    expected = student.state_dict()
    for name, tensor in load_student(tmp_path / "half.npz").state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].half().float())


def test_the_same_weights_give_the_same_bytes(student: Student, saved: Path, tmp_path: Path) -> None:
    save_student(student, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_files_hold_names_of_tensors_alone(student: Student, saved: Path) -> None:
    assert set(read_tensors(saved)) == {"encoder_name", *student.state_dict()}


def test_a_branch_is_a_teacher(student: Student, saved: Path) -> None:
    branch = load_branch(saved)
    assert type(branch) is SemanticBranch
    assert not branch.training
    assert not any(parameter.requires_grad for parameter in branch.parameters())
    images = torch.rand(1, 3, 128, 128) * 255
    with torch.no_grad():
        assert torch.equal(branch(images), student.eval()(images))


def test_a_start_from_the_encoder_alone(student: Student) -> None:
    arrays = {
        name.removeprefix("encoder."): tensor.numpy()
        for name, tensor in student.state_dict().items()
        if name.startswith("encoder.")
    }
    fresh = Student()
    missing = start_from(fresh, arrays)
    assert missing == sorted(name for name in fresh.state_dict() if not name.startswith("encoder."))
    assert torch.equal(fresh.encoder.stem.weight, student.encoder.stem.weight)


Change = Callable[[Path, Path], Path]

WRONG: dict[str, tuple[Change, str]] = {
    "shape": (
        lambda saved, path: rewritten(saved, path, **{"encoder.stem.weight": np.zeros((32, 3, 5, 5))}),
        r"expected encoder\.stem\.weight of shape \(32, 3, 3, 3\), got \(32, 3, 5, 5\)",
    ),
    "unknown name": (
        lambda saved, path: rewritten(saved, path, **{"decoder.fuse9.weight": np.zeros(3)}),
        r"expected tensors of a mosaic student, got 'decoder\.fuse9\.weight'",
    ),
    "missing tensor": (
        lambda saved, path: rewritten(saved, path, **{"rpn.head.cls_logits.bias": None}),
        r"expected all tensors of a student at .*, missing rpn\.head\.cls_logits\.bias",
    ),
    "another network's": (
        lambda saved, path: rewritten(saved, path, encoder_name=None),
        r"expected a student's weights at .*, got none \(no 'encoder_name'\)",
    ),
    "missing file": (lambda _, path: path, "expected an .npz file of weights at"),
    "a folder": (lambda saved, _: saved.parent, "expected an .npz file of weights at"),
}
CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"weights\n",
    "cut off": lambda data: data[: len(data) // 2],
    "damaged": lambda data: data[:20_000] + b"\x55" * 20_000 + data[40_000:],
    "one array": lambda _: _npy(np.zeros(3)),
    "pickles": lambda _: _npz(weights=np.array([{}], dtype=object)),
}


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def check_one_line(path: Path, words: str, load: Callable[[Path], object] = load_student) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", WRONG)
def test_other_weights_are_told(case: str, saved: Path, tmp_path: Path) -> None:
    change, words = WRONG[case]
    check_one_line(change(saved, tmp_path / "wrong.npz"), words)


@pytest.mark.parametrize("case", CONTENTS)
def test_files_that_are_none_are_told(case: str, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.npz"
    path.write_bytes(CONTENTS[case](saved.read_bytes()))
    check_one_line(path, re.escape(f"expected an .npz file of weights at {path}"))


def test_a_pickle_is_never_advised(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", weights=np.array([{}]))
    np.save(tmp_path / "objects.npy", np.array([{}]))
    (tmp_path / "text.npz").write_bytes(pickle.dumps({"weights": 1}))
    reasons = {
        "objects.npz": "arrays that are not numbers, or a damaged file",
        "objects.npy": "a file of another kind",
        "text.npz": "a file of another kind",
        "none.npz": "No such file or directory",
    }
    for name, reason in reasons.items():
        path = tmp_path / name
        check_one_line(path, f"^expected an .npz file of weights at {re.escape(str(path))}, got {reason}$")


def test_weights_of_another_encoder_are_told(saved: Path) -> None:
    words = "^expected weights of a efficientnet_lite0 network, got those of a mosaic network$"
    check_one_line(saved, words, lambda path: start_from(Student("efficientnet_lite0"), read_tensors(path)))


def test_a_teacher_without_its_decoder(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "wrong.npz", **{"decoder.fuse8.bias": None})
    check_one_line(path, r"expected all tensors of a semantic branch at .*, missing decoder\.fuse8\.bias", load_branch)


def test_an_unknown_encoder_is_told(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "wrong.npz", encoder_name=np.array("resnet"))
    with pytest.raises(SurfacesError, match="expected an encoder out of"):
        load_student(path)


def test_weights_that_are_not_finite_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "nan.npz", good=np.zeros(3, np.float32), bad=np.full(3, np.nan, np.float32))
    check_one_line(tmp_path / "nan.npz", r"expected finite numbers in .*nan\.npz, got others in bad$")


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def header_of(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": "<f4"})
    return buffer.getvalue()


@pytest.mark.security
@pytest.mark.parametrize("shape", [(1 << 44,), (4, 1 << 60), (-1, 3), (2,)], ids=["long", "wide", "negative", "short"])
def test_arrays_of_other_sizes_than_they_say_are_refused_unread(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = packed(tmp_path / "w.npz", {"a.npy": header_of(shape) + bytes(12)})
    words = re.escape(f"expected an array of {list(shape)} at a.npy in {path}, got other bytes")
    check_one_line(path, words, read_tensors)


@pytest.mark.security
def test_files_that_unpack_to_more_than_a_student_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.student.weights._UNPACKED_MAX", 1_000_000)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    path = packed(tmp_path / "w.npz", {f"a{i}.npy": header_of((100_000,)) + bytes(400_000) for i in range(3)})
    assert path.stat().st_size < 10_000
    check_one_line(path, "expected at most 1000000 bytes of weights in", read_tensors)


@pytest.mark.parametrize("name", ["words", "complex"])
def test_tensors_that_are_no_numbers_are_told(saved: Path, tmp_path: Path, name: str) -> None:
    shape = read_tensors(saved)["encoder.stem.weight"].shape
    value = {"words": np.full(shape, "many"), "complex": np.full(shape, 1j)}[name]
    path = rewritten(saved, tmp_path / "w.npz", **{"encoder.stem.weight": value})
    check_one_line(path, r"expected numbers in encoder\.stem\.weight, got")


@pytest.mark.security
def test_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.npz")
    check_one_line(tmp_path / "w.npz", "no regular file", read_tensors)


@pytest.mark.security
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_bytes_are_weights_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(_npz(encoder_name=np.array("mosaic"), a=np.zeros((2, 3), np.float32)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "w.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with pytest.raises(SurfacesError, match=r"\A.*\Z"):  # nothing like this is a whole student
        load_student(path)
