"""Masks as COCO's run-length encoding (RLE), by pycocotools."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from pycocotools import mask as coco

from surfaces.detections import Mask


class Rle(TypedDict):
    """A mask as JSON can hold it.

    Attributes:
        size: height and width.
        counts: the runs, column by column from the upper left, outside first: packed by COCO into ASCII, or plain.
    """

    size: list[int]
    counts: str | list[int]


def encode(mask: Mask) -> Rle:
    """Packs a mask; holes and separate parts survive.

    Args:
        mask: bool HxW.

    Returns:
        Its packed RLE, as pycocotools reads it.
    """
    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> Mask:
    """Unpacks a mask.

    Args:
        rle: packed or plain.

    Returns:
        bool HxW.
    """
    if isinstance(rle["counts"], list):
        rle = coco.frPyObjects(rle, *rle["size"])
    return np.ascontiguousarray(coco.decode(rle), dtype=np.bool_)
