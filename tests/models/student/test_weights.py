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


def rewrite(saved: Path, path: Path, **changes: np.ndarray | None) -> Path:
    """A copy of a file of weights with arrays replaced, or left out where they are None."""
    arrays = {**read_tensors(saved), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_there_and_back(student: Student, saved: Path, tmp_path: Path) -> None:
    got = load_student(saved)
    assert got.encoder_name == "mosaic"
    expected = student.state_dict()
    assert list(got.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in got.state_dict().items())
    assert [path.name for path in saved.parent.iterdir()] == ["student.npz"]
    assert set(read_tensors(saved)) == {"encoder_name", *expected}
    save_student(student, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_the_file_names_the_encoder(tmp_path: Path) -> None:
    save_student(Student("efficientnet_lite0"), tmp_path / "student.npz")
    assert load_student(tmp_path / "student.npz").encoder_name == "efficientnet_lite0"


def test_half_precision(student: Student, saved: Path, tmp_path: Path) -> None:
    save_student(student, tmp_path / "half.npz", half=True)
    assert (tmp_path / "half.npz").stat().st_size < 0.6 * saved.stat().st_size
    expected = student.state_dict()
    for name, tensor in load_student(tmp_path / "half.npz").state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name].half().float())


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


def check_one_line(path: Path, words: str, load: Callable[[Path], object] = load_student) -> None:
    with pytest.raises(WeightsError, match=words) as caught:
        load(path)
    assert "\n" not in str(caught.value)


STEM = "encoder.stem.weight"
STEM_SHAPE = (32, 3, 3, 3)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (STEM, np.zeros((32, 3, 5, 5)), rf"expected {STEM} of shape \(32, 3, 3, 3\), got \(32, 3, 5, 5\)"),
        (STEM, np.full(STEM_SHAPE, "many"), rf"expected numbers in {STEM}, got"),
        (STEM, np.full(STEM_SHAPE, 1j), rf"expected numbers in {STEM}, got"),
        (STEM, np.full(STEM_SHAPE, np.nan), rf"expected finite numbers in .*w\.npz, got others in {STEM}$"),
        ("decoder.fuse9.weight", np.zeros(3), r"expected tensors of a mosaic student, got 'decoder\.fuse9\.weight'"),
        ("rpn.head.cls_logits.bias", None, r"expected all tensors of a student at .*, missing rpn\.head\.cls_logits"),
        ("encoder_name", None, r"expected a student's weights at .*, got none \(no 'encoder_name'\)"),
    ],
    ids=["shape", "words", "complex", "not finite", "unknown", "missing", "no encoder"],
)
def test_other_weights_are_reported(
    saved: Path, tmp_path: Path, name: str, array: np.ndarray | None, words: str
) -> None:
    check_one_line(rewrite(saved, tmp_path / "w.npz", **{name: array}), words)


def test_an_unknown_encoder_is_reported(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(SurfacesError, match="expected an encoder out of"):
        load_student(rewrite(saved, tmp_path / "w.npz", encoder_name=np.array("resnet")))


def test_weights_of_another_encoder_are_reported(saved: Path) -> None:
    words = "^expected weights of a efficientnet_lite0 network, got those of a mosaic network$"
    check_one_line(saved, words, lambda path: start_from(Student("efficientnet_lite0"), read_tensors(path)))


def test_a_teacher_without_its_decoder(saved: Path, tmp_path: Path) -> None:
    path = rewrite(saved, tmp_path / "w.npz", **{"decoder.fuse8.bias": None})
    check_one_line(path, r"expected all tensors of a semantic branch at .*, missing decoder\.fuse8\.bias", load_branch)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


OTHER_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "a file of another kind"),
    "text": (lambda _: b"weights\n", "a file of another kind"),
    "cut off": (lambda data: data[: len(data) // 2], "a file of another kind"),
    "damaged": (lambda data: data[:20_000] + b"\x55" * 20_000 + data[40_000:], "a damaged file"),
    "one array": (lambda _: npy(np.zeros(3)), "a file of another kind"),
    "one pickle": (lambda _: npy(np.array([{}])), "a file of another kind"),
    "pickles": (lambda _: npz(weights=np.array([{}])), "arrays that are not numbers, or a damaged file"),
    "bare pickle": (lambda _: pickle.dumps({"weights": 1}), "a file of another kind"),
}


@pytest.mark.parametrize("case", OTHER_FILES)
def test_other_files_are_reported(case: str, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    content, reason = OTHER_FILES[case]
    path.write_bytes(content(saved.read_bytes()))
    check_one_line(path, f"^expected an .npz file of weights at {re.escape(str(path))}, got {reason}$")


def test_missing_files_and_folders_are_reported(tmp_path: Path) -> None:
    check_one_line(tmp_path / "none.npz", "^expected an .npz file of weights at .*, got No such file or directory$")
    check_one_line(tmp_path, "expected an .npz file of weights at")


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
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
def test_arrays_of_other_sizes_than_in_their_headers_are_refused_unread(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write_zip(tmp_path / "w.npz", {"a.npy": header_of(shape) + bytes(12)})
    words = re.escape(f"expected an array of {list(shape)} at a.npy in {path}, got other bytes")
    check_one_line(path, words, read_tensors)


@pytest.mark.security
def test_files_that_unpack_to_more_than_a_student_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.student.weights._UNPACKED_MAX", 1_000_000)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    path = write_zip(tmp_path / "w.npz", {f"a{i}.npy": header_of((100_000,)) + bytes(400_000) for i in range(3)})
    assert path.stat().st_size < 10_000
    check_one_line(path, "expected at most 1000000 bytes of weights in", read_tensors)


@pytest.mark.security
def test_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.npz")
    check_one_line(tmp_path / "w.npz", "no regular file", read_tensors)


@pytest.mark.security
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_bytes_are_weights_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(npz(encoder_name=np.array("mosaic"), a=np.zeros((2, 3), np.float32)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "w.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with pytest.raises(SurfacesError, match=r"\A.*\Z"):  # nothing like this is a whole student
        load_student(path)
