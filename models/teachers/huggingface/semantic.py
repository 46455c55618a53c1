"""Teachers from the Hugging Face hub: their class probabilities, grouped by label names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.device import pick_device
from models.teachers.base import Floats, Prediction, SemanticPrediction
from models.teachers.batches import run_in_groups
from models.teachers.huggingface.hub import CheckpointFolder, find_checkpoint
from models.teachers.huggingface.label_map import LabelMap, match_labels
from models.teachers.huggingface.networks import LoadedNetwork, load_network
from surfaces.detections import Image
from surfaces.licences import Licence

_REVISION = 1  # raised whenever the code below makes other probabilities of the same output
_INPUTS = ("pixel_values", "pixel_mask", "task_inputs")


class HuggingFaceTeacher:
    """A teacher that runs a semantic, instance or panoptic network of transformers.

    Networks with logits for each pixel: their softmax. Networks with queries: MaskFormer's semantic inference (Cheng et
    al., Per-Pixel Classification is Not All You Need, 2021): the class probabilities of each query times its mask
    probabilities, summed over the queries. Where the sum over all classes is above 1, it is divided by it; below, what
    no query claims is `other`, as in checkpoints of things alone.

    Args:
        loaded: the network and its processor.
        label_map: its labels, as our classes.
        checkpoint: the files behind it.
        device: of the network.
    """

    def __init__(
        self, loaded: LoadedNetwork, label_map: LabelMap, checkpoint: CheckpointFolder, device: torch.device
    ) -> None:
        version = f" @{checkpoint.commit[:7]}" if checkpoint.commit else ""
        self.name = f"hf ({checkpoint.name}{version})"
        self.label_map = label_map
        self.licences = (Licence.of(checkpoint.name, checkpoint.licence),)
        described = json.dumps([checkpoint.sha256, label_map.classes, _REVISION])
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()
        self._network = torch.nn.Module.to(loaded.network, device)
        self._processor = loaded.processor
        self._settings: dict[str, Any] = {"task_inputs": ["semantic"]} if loaded.has_task else {}
        if getattr(loaded.processor, "do_center_crop", False):
            self._settings["do_center_crop"] = False  # the whole photo is labelled
        self._device = device
        self._groups = _group_matrix(label_map).to(device)

    def predict(self, image: Image) -> Prediction:
        """The probabilities for a photo, uint8 HxWx3 RGB, on the raster of the network's output."""
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[Image]) -> list[Prediction]:
        """As `predict`, for several photos; those that become inputs of the same size have one pass."""
        inputs = [self._processor(images=[image], return_tensors="pt", **self._settings) for image in images]

        def run(group: Sequence[int]) -> Iterator[Prediction]:
            outputs = self._run([inputs[index] for index in group])
            for index, grouped in zip(group, outputs, strict=True):
                probabilities = self._probabilities(images[index], inputs[index], grouped)
                disagreement = np.zeros(probabilities.shape[1:], np.float32)
                yield Prediction(semantic=SemanticPrediction(probabilities, disagreement))

        return run_in_groups([each["pixel_values"].shape[1:] for each in inputs], run)

    @torch.inference_mode()
    def _run(self, inputs: Sequence[Mapping[str, Any]]) -> list[torch.Tensor]:
        """The probabilities of our classes for photos of one size, each (1 or patches, 3, h, w)."""
        keys = [key for key in _INPUTS if key in inputs[0]]
        output = self._network(**{key: torch.cat([each[key] for each in inputs]).to(self._device) for key in keys})
        grouped, counts = self._grouped(output), [len(each["pixel_values"]) for each in inputs]
        return [grouped[end - count : end] for end, count in zip(accumulate(counts), counts, strict=True)]

    def _probabilities(self, image: Image, inputs: Mapping[str, Any], grouped: torch.Tensor) -> Floats:
        """The probabilities (4, h, w) of the part of a network's output that the photo covers."""
        if offsets := inputs.get("patch_offsets"):
            grouped = merge_patches(grouped, [tuple(map(int, offset)) for offset in offsets], _is_tall(image))
        rows, columns = self._covered(image, inputs)
        height, width = grouped.shape[-2:]
        grouped = grouped[0, :, : max(1, round(height * rows)), : max(1, round(width * columns))]
        ours = grouped.cpu().numpy()
        other = np.maximum(1 - ours.sum(axis=0, keepdims=True), 0)
        return np.concatenate([other, ours], dtype=np.float32)

    def _grouped(self, output: Any) -> torch.Tensor:
        """The probabilities of our classes, (photos or patches, 3, h, w)."""
        masks = output.get("masks_queries_logits")
        if masks is None:
            return torch.einsum("bchw,cg->bghw", output["logits"].float().softmax(dim=1), self._groups)
        of_queries = output["class_queries_logits"].float().softmax(dim=-1)[..., :-1]  # the last is "no object"
        ours_and_total = torch.cat([of_queries @ self._groups, of_queries.sum(dim=-1, keepdim=True)], dim=-1)
        scores = torch.einsum("bqg,bqhw->bghw", ours_and_total, masks.float().sigmoid())
        return scores[:, :-1] / scores[:, -1:].clamp(min=1)

    def _covered(self, image: Image, inputs: Mapping[str, Any]) -> tuple[float, float]:
        """The shares of the input's rows and columns that the photo covers; padding is right of and below it."""
        rows, columns = inputs["pixel_values"].shape[-2:]
        if "pixel_mask" in inputs:
            mask = inputs["pixel_mask"][0].bool()
            return float(mask.any(dim=1).float().mean()), float(mask.any(dim=0).float().mean())
        if getattr(self._processor, "do_pad", False) and not inputs.get("patch_offsets"):
            bare = self._processor(images=[image], do_pad=False, return_tensors="pt")["pixel_values"].shape
            return bare[-2] / rows, bare[-1] / columns
        return 1.0, 1.0


def merge_patches(patches: torch.Tensor, offsets: list[tuple[int, ...]], tall: bool) -> torch.Tensor:
    """Joins overlapping patches of a photo (P, C, h, w) to (1, C, rows, columns), with means where they overlap.

    As EoMT's own code does (Kerssies et al., Your ViT is Secretly an Image Segmentation Model, 2025).

    Args:
        patches: at any resolution.
        offsets: of each patch: the photo's number, first pixel, and the pixel after the last, along the longer side.
        tall: whether the longer side are the rows.
    """
    length, side = max(end for *_, end in offsets), offsets[0][-1] - offsets[0][-2]
    patches = torch.nn.functional.interpolate(patches, (side, side), mode="bilinear", align_corners=False)
    if tall:
        patches = patches.transpose(2, 3)
    total = patches.new_zeros(1, patches.shape[1], side, length)
    count = patches.new_zeros(length)
    for patch, (_, start, end) in zip(patches, offsets, strict=True):
        total[0, :, :, start:end] += patch
        count[start:end] += 1
    merged = total / count
    return merged.transpose(2, 3) if tall else merged


def open_huggingface(
    name: str,
    *,
    revision: str | None = None,
    class_map: Path | None = None,
    device: str | None = None,
    cache: Path | None = None,
) -> HuggingFaceTeacher:
    """The teacher of a repository of the hub or a folder.

    Arguments and errors as of `find_checkpoint`, `load_network`, `match_labels` and `pick_device`.
    """
    torch_device = pick_device(device)
    checkpoint = find_checkpoint(name, revision, cache)
    loaded = load_network(checkpoint.path, checkpoint.name)
    return HuggingFaceTeacher(loaded, match_labels(loaded.labels, class_map), checkpoint, torch_device)


def _group_matrix(label_map: LabelMap) -> torch.Tensor:
    """1 where a label is one of our classes, float32 (labels, 3)."""
    matrix = torch.zeros(len(label_map.labels), len(label_map.classes))
    for group, numbers in enumerate(label_map.classes):
        matrix[list(numbers), group] = 1
    return matrix


def _is_tall(image: Image) -> bool:
    return image.shape[0] > image.shape[1]
