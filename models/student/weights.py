"""Weights as plain .npz files of named tensors: no pickles, readable with numpy alone."""

from __future__ import annotations

import errno
import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy

from models.student.network import SemanticBranch, Student
from models.weights.training_photos import KEYS, TrainingPhotos
from surfaces.classes import NUM_CHANNELS
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import open_regular
from surfaces.messages import brief, printable

Array = npt.NDArray[Any]

ENCODER_KEY = "encoder_name"
BRANCH_PARTS = ("encoder", "pyramid", "decoder")
HEAD_PARTS = ("fpn.", "rpn.", "tables.")
_READS_PROBABILITIES = ("fpn.smooth8.", "fpn.smooth16.")
_FIRST_CHANNELS = 4
"""Of the semantic branch in the shipped weights."""
_UNPACKED_MAX = 256_000_000
"""Many times the bytes of a student's tensors."""
_HEADERS: dict[Any, Callable[..., Any]] = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def save_student(student: Student, path: Path, half: bool = False) -> None:
    """Writes all tensors, with `half` as float16, the encoder's name and the training photos; whole or not at all."""
    tensors = {name: tensor.detach().cpu().numpy() for name, tensor in student.state_dict().items()}
    if half:
        tensors = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    metadata = {ENCODER_KEY: np.array(student.encoder_name), **student.training_photos.to_arrays()}
    replace_file(path, npz_bytes({**metadata, **tensors}))


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """The arrays as a compressed .npz file."""
    buffer = io.BytesIO()
    # Without `allow_pickle`: older versions of NumPy take that for an array's name.
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read_tensors(path: Path) -> dict[str, Array]:
    """The file's arrays by name.

    Raises:
        WeightsError: it is missing or not such a file.
    """
    try:
        with open_regular(path) as file:
            if not zipfile.is_zipfile(file):
                raise OSError(errno.EINVAL, "a file of another kind")
            _check_sizes(file, path)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                tensors = {name: arrays[name] for name in arrays.files}
            return _finite(tensors, path)
    except WeightsError:
        raise
    except OSError as error:
        got = error.strerror or "a damaged file"
    except ValueError:
        got = "arrays that are not numbers, or a damaged file"
    except Exception:  # other bytes make zipfile and NumPy raise nearly anything
        got = "a damaged file"
    raise WeightsError(f"expected an .npz file of weights at {path}, got {got}")


def _check_sizes(file: IO[bytes], path: Path) -> None:
    """Refuses arrays that are larger than their bytes, or than any student: NumPy allocates before it reads them."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > _UNPACKED_MAX:
            raise WeightsError(f"expected at most {_UNPACKED_MAX} bytes of weights in {path}, got {unpacked}")
        for member in members:
            with archive.open(member) as array:
                read_header = _HEADERS[npy.read_magic(array)]  # type: ignore[no-untyped-call]
                shape, _, dtype = read_header(array)
                if dtype.hasobject:
                    raise ValueError("a pickle")
                if math.prod(shape) * dtype.itemsize != member.file_size - array.tell():
                    name = printable(member.filename)
                    raise WeightsError(f"expected an array of {list(shape)} at {name} in {path}, got other bytes")


def _finite(tensors: dict[str, Array], path: Path) -> dict[str, Array]:
    wrong = [name for name, array in tensors.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    if wrong:
        raise WeightsError(f"expected finite numbers in {path}, got others in {', '.join(wrong[:3])}")
    return tensors


def load_student(path: Path) -> Student:
    """A student that `save_student` wrote.

    Raises:
        WeightsError: the file is not one, or lacks a tensor.
    """
    arrays = read_tensors(path)
    if ENCODER_KEY not in arrays:
        raise WeightsError(f"expected a student's weights at {path}, got none (no {ENCODER_KEY!r})")
    student = Student(str(arrays.pop(ENCODER_KEY)))
    missing = start_from(student, arrays)
    if missing:
        raise WeightsError(
            f"expected all tensors of a student at {path}, missing {missing[0]} and {len(missing) - 1} more"
        )
    return student


def load_branch(path: Path) -> SemanticBranch:
    """A semantic branch alone, from a student's file or one of MOSAIC's layout, for use as a teacher.

    Raises:
        WeightsError: the file is not one, or lacks a tensor.
    """
    arrays = read_tensors(path)
    branch = SemanticBranch(str(arrays.pop(ENCODER_KEY, "mosaic")))
    missing = start_from(branch, {name: array for name, array in arrays.items() if not name.startswith(HEAD_PARTS)})
    if missing:
        raise WeightsError(f"expected all tensors of a semantic branch at {path}, missing {missing[0]}")
    return branch.eval().requires_grad_(False)


def start_from(student: SemanticBranch, arrays: dict[str, Array]) -> list[str]:
    """Copies the tensors that the student knows by name into it, and the record of the photos they were trained on.

    Names of the encoder may lack their `encoder.`: MOSAIC's files are written so.

    Returns:
        Names of the student's tensors that the arrays lack.

    Raises:
        WeightsError: the weights are of another encoder, a tensor is of another shape, or no student has it.
    """
    encoder = str(arrays.get(ENCODER_KEY, student.encoder_name))
    if encoder != student.encoder_name:
        got = printable(encoder[:60])
        raise WeightsError(f"expected weights of a {student.encoder_name} network, got those of a {got} network")
    try:
        photos = TrainingPhotos.from_arrays(arrays)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    own = student.state_dict()
    given = {
        name if name.split(".")[0] in dict(student.named_children()) else f"encoder.{name}": array
        for name, array in arrays.items()
        if name not in (ENCODER_KEY, *KEYS)
    }
    for name, array in given.items():
        if name not in own:
            raise WeightsError(f"expected tensors of a {student.encoder_name} student, got {brief(name)}")
        array = _with_room(array, tuple(own[name].shape)) if name.startswith(_READS_PROBABILITIES) else array
        if array.dtype.kind not in "biuf":
            raise WeightsError(f"expected numbers in {name}, got {array.dtype}")
        if own[name].shape != array.shape:
            raise WeightsError(f"expected {name} of shape {tuple(own[name].shape)}, got {array.shape}")
        own[name].copy_(torch.from_numpy(array.astype(np.float32)))
    student.training_photos = photos
    return sorted(set(own) - set(given))


def _with_room(array: Array, shape: tuple[int, ...]) -> Array:
    """Zeros for the channels of classes that were added since; the array itself where it is not only that."""
    if array.ndim != len(shape):
        return array
    missing = [wanted - had for wanted, had in zip(shape, array.shape, strict=True)]
    one_more_axis = sorted(missing) == [*[0] * (array.ndim - 1), NUM_CHANNELS - _FIRST_CHANNELS]
    return np.pad(array, [(0, more) for more in missing]) if one_more_axis and min(missing) >= 0 else array
