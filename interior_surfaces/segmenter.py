"""Photos of any kind in, results out."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload

import numpy as np

import models
from interior_surfaces.result import Result
from surfaces.detections import Image
from surfaces.errors import NotAnImageError
from surfaces.images.load import as_image, decode_image

if TYPE_CHECKING:
    from PIL import Image as Pillow

    Photo: TypeAlias = "str | os.PathLike[str] | bytes | Image | Pillow.Image | Tensor"


class Tensor(Protocol):
    """A torch tensor."""

    def detach(self) -> Any:
        """The tensor without its gradient."""


class Segmenter:
    """Finds walls, floors and dining tables; the network opens once.

    Args:
        weights: an ONNX file that `distill export` wrote; None: the shipped one.
        threads: CPU threads; None: one a core.
        accurate: average with the mirror image, in twice the time.
        device: `cpu`, or `cuda` with the package onnxruntime-gpu.
        table_score: the least score of dining tables, 0 to 1: a lower one finds more, and more false ones; None: the
            network's own.

    Raises:
        DeviceError: the device cannot be used.
        WeightsError: the file is missing or no such network.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        accurate: bool = False,
        device: str = "cpu",
        table_score: float | None = None,
    ) -> None:
        self._network = models.Segmenter(weights, threads, accurate, device, table_score)

    @overload
    def predict(self, photo: list[Photo] | tuple[Photo, ...], min_score: float = 0.0) -> list[Result]: ...

    @overload
    def predict(self, photo: Photo, min_score: float = 0.0) -> Result: ...

    def predict(self, photo: Any, min_score: float = 0.0) -> Result | list[Result]:
        """Finds the surfaces of a photo, or of each photo of a list or tuple.

        Args:
            photo: a path or URL; the bytes of a file; a Pillow image; uint8 pixels, HxWx3 RGB, HxWx4 RGBA or HxW
                grey; a torch tensor, CxHxW, uint8 or float from 0 to 1.
            min_score: leave out segments below it, 0 to 1.

        Raises:
            FetchError: the photo cannot be read.
            DecodeError: it is none that can be used; where its type is wrong, also a TypeError and a ValueError.
        """
        if isinstance(photo, list | tuple):
            return [self._predict(one, min_score) for one in photo]
        return self._predict(photo, min_score)

    __call__ = predict

    def _predict(self, photo: Photo, min_score: float) -> Result:
        image = to_image(photo)
        return Result(image, tuple(found for found in self._network.predict(image) if found.score >= min_score))


def to_image(photo: Photo) -> Image:
    """A photo as uint8 HxWx3 RGB; arguments and errors as of `Segmenter.predict`."""
    if isinstance(photo, bytes | bytearray | memoryview):
        return decode_image(io.BytesIO(photo))
    if any((base.__module__.partition(".")[0], base.__name__) == ("torch", "Tensor") for base in type(photo).__mro__):
        return as_image(_pixels(photo))
    return as_image(photo)  # type: ignore[arg-type]


def _pixels(tensor: Any) -> Image:
    """A torch tensor's pixels, uint8 HxWxC."""
    tensor = tensor.detach().cpu()
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if array.ndim != 3 or array.shape[0] not in (1, 3, 4):
        raise NotAnImageError(f"expected a tensor of shape (3, H, W), got {tuple(array.shape)}")
    if np.issubdtype(array.dtype, np.floating):
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            raise NotAnImageError(f"expected floats from 0 to 1, got {array.min():g} to {array.max():g}")
        array = np.round(array * 255).astype(np.uint8)
    return np.ascontiguousarray(array.transpose(1, 2, 0))
