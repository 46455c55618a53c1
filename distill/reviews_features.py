"""What a frozen encoder makes of photos, computed once and kept in files, and the labels on the same raster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.progress import progress
from models.student.network import SemanticBranch
from surfaces.datasets import Sample
from surfaces.io.atomic_files import make_folder, temporary_path

STRIDE = 4
"""Of the semantic branch's outputs, and of the raster that labels are learnt on."""

LEVELS = ("tap4", "tap8", "last")

Array = npt.NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """The encoder's outputs for N photos, each photo stretched to one size.

    Attributes:
        levels: by stride 4, 8, 16, float16 (N, C, H/stride, W/stride), mapped from files.
    """

    levels: tuple[Array, Array, Array]

    def of(self, indices: npt.NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor]:
        """Those of some photos as float32."""
        tap4, tap8, last = (torch.from_numpy(level[indices].astype(np.float32)) for level in self.levels)
        return tap4, tap8, last


def frozen_features(
    branch: SemanticBranch, samples: Sequence[Sample], size_hw: tuple[int, int], folder: Path
) -> FrozenFeatures:
    """Encodes photos, or finds what was made of them before.

    Args:
        branch: whose encoder is frozen.
        samples: the photos.
        size_hw: what photos are stretched to, multiples of `SIZE_MULTIPLE`.
        folder: of the files; they are named by what they were made of.

    Raises:
        DatasetError: a photo cannot be read.
        OutputError: the folder cannot be made.
    """
    make_folder(folder)
    stem = _fingerprint(branch, samples, size_hw)
    paths = [folder / f"{stem}-{level}.npy" for level in LEVELS]
    if not all(path.is_file() for path in paths):
        _encode_all(branch, samples, size_hw, paths)
    tap4, tap8, last = (np.load(path, mmap_mode="r") for path in paths)
    return FrozenFeatures((tap4, tap8, last))


@torch.no_grad()
def _encode_all(
    branch: SemanticBranch, samples: Sequence[Sample], size_hw: tuple[int, int], paths: Sequence[Path]
) -> None:
    unfinished = [temporary_path(path.parent) for path in paths]
    files: list[npt.NDArray[np.float16]] = []
    for index, sample in enumerate(progress(samples)):
        pixels = torch.from_numpy(resized(sample.image(), size_hw)).permute(2, 0, 1)[None].float()
        levels = branch.encoder(pixels)
        if not files:
            files = [
                np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                    path, mode="w+", dtype=np.float16, shape=(len(samples), *level.shape[1:])
                )
                for path, level in zip(unfinished, levels, strict=True)
            ]
        for file, level in zip(files, levels, strict=True):
            file[index] = level[0].numpy().astype(np.float16)
    for file in files:
        file.flush()  # type: ignore[attr-defined]
    for part, path in zip(unfinished, paths, strict=True):
        part.replace(path)


def resized(image: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A photo stretched to a size."""
    return np.asarray(cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _fingerprint(branch: SemanticBranch, samples: Sequence[Sample], size_hw: tuple[int, int]) -> str:
    digest = hashlib.sha256(repr((size_hw, [sample.name for sample in samples])).encode())
    for name, tensor in sorted(branch.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
