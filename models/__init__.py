"""Networks and weights: `Segmenter` runs the shipped network without torch; `models.student` trains its successors."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Training machines may lack onnxruntime, and segmenting ones torch: neither is imported before it is needed.
    if name == "Segmenter":
        from models.inference.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f"module 'models' has no attribute {name!r}")
