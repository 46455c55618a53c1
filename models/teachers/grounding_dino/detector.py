"""Grounding DINO: finds boxes for words (Liu et al., Grounding DINO, 2023)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image as Pillow

from models.device import pick_device
from models.teachers.base import Floats, Prompt, PromptedBoxes
from models.teachers.batches import run_in_groups
from models.teachers.grounding_dino.captions import Caption, Passes, TokenScore, Vocabulary, captions_of, prompt_scores
from models.teachers.grounding_dino.checkpoint import DinoSize, config_beside, load_folder, load_official
from models.weights.pretrained import sha256_of_weights
from surfaces.detections import Image
from surfaces.errors import WeightsError

_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
_DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

Implementation = Literal["transformers", "groundingdino-py"]
"""The port of transformers, or the authors' own code."""


@dataclass(frozen=True)
class DinoSettings:
    """Settings of the detection.

    Attributes:
        box_threshold: boxes that score less for every prompt are dropped; the rules' own thresholds are higher.
        passes: `one` for all prompts together; `class` is slower, but never merges phrases of two classes.
        token_score: see `models.teachers.grounding_dino.captions.prompt_scores`.
        shortest_side: pixels that the photo's shorter side is resized to.
        longest_side: the longer side is never resized to more.
        half: computes in 16 bits where that is safe (autocast); on GPUs only.
    """

    box_threshold: float = 0.2
    passes: Passes = "one"
    token_score: TokenScore = "mean"
    shortest_side: int = 800
    longest_side: int = 1333
    half: bool = False


class GroundingDino:
    """A detector with prompts of words.

    Args:
        network: transformers' `GroundingDinoForObjectDetection`, or `OriginalNetwork` of this package: called with
            `pixel_values` (B, 3, h, w) and `input_ids` (B, T), it returns `logits` (B, N, T or more) and `pred_boxes`
            (B, N, 4): centre, width and height as shares of the photo.
        vocabulary: of the network's text encoder.
        name: for provenance.
        weights_sha256: of the network's weights.
        tokens_max: the longest caption that the network reads.
        device: of the network.
        settings: of the detection.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        vocabulary: Vocabulary,
        *,
        name: str = "grounding-dino",
        weights_sha256: str = "",
        tokens_max: int = 256,
        device: torch.device | None = None,
        settings: DinoSettings | None = None,
    ) -> None:
        self._network = network
        self._vocabulary = vocabulary
        self._tokens_max = tokens_max
        self._device = device or torch.device("cpu")
        self._settings = settings or DinoSettings()
        self.name = name
        self.weights_sha256 = weights_sha256
        parts = {"weights": weights_sha256, "vocabulary": vocabulary.sha256, **asdict(self._settings)}
        self.fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(
        cls,
        size: DinoSize,
        weights: Path,
        vocabulary: Path | None = None,
        device: str | None = None,
        settings: DinoSettings | None = None,
        implementation: Implementation = "transformers",
    ) -> GroundingDino:
        """Loads a network from local files, without contacting any hub.

        Args:
            size: the architecture of an official file.
            weights: an official `.pth` file, or (for the port alone) a folder that transformers wrote. Its
                `config.json`, or one beside the file, describes another architecture than the official ones.
            vocabulary: `vocab.txt` of bert-base-uncased or its folder; None: beside the weights.
            device: as of `pick_device`.
            settings: of the detection.
            implementation: which code runs the network; both find the same boxes.

        Raises:
            WeightsError: a file is missing or is not the expected one.
            DeviceError: there is no such device.
            MissingExtraError: groundingdino-py is not installed.
        """
        torch_device = pick_device(device)
        words = Vocabulary.load(vocabulary or (weights if weights.is_dir() else weights.parent))
        network = _load_network(weights, size, implementation)
        config: Any = network.config
        known = config.text_config.vocab_size
        if len(words) > known:
            raise WeightsError(f"expected a vocabulary of {known} word pieces, as the weights have, got {len(words)}")
        return cls(
            torch.nn.Module.to(network, torch_device),
            words,
            name=f"{'grounding-dino' if implementation == 'transformers' else implementation} {size}",
            weights_sha256=sha256_of_weights(weights),
            tokens_max=config.max_text_len,
            device=torch_device,
            settings=settings,
        )

    def detect(self, image: Image, prompts: Sequence[Prompt]) -> PromptedBoxes:
        """Finds boxes in a photo, uint8 HxWx3 RGB.

        Returns:
            The boxes that reach the threshold for a prompt, best first. A box scores for each prompt of the pass that
            found it, and 0 for others. Boxes may repeat: there is no non-maximum suppression.

        Raises:
            PromptError: a prompt is too long, or has characters that the vocabulary doesn't know.
        """
        return self.detect_batch([image], prompts)[0]

    def detect_batch(self, images: Sequence[Image], prompts: Sequence[Prompt]) -> list[PromptedBoxes]:
        """As `detect`, for several photos; those that become inputs of the same size have one pass."""
        token_ids = [self._vocabulary.token_ids(prompt.text) for prompt in prompts]
        captions = captions_of(prompts, token_ids, self._settings.passes, self._tokens_max)
        sides = self._settings.shortest_side, self._settings.longest_side
        inputs = [network_input(image, *sides) for image in images]

        def run(group: Sequence[int]) -> Iterator[PromptedBoxes]:
            pixels = torch.cat([inputs[index] for index in group]).to(self._device)
            found = [self._run(pixels, caption) for caption in captions]
            for rank, index in enumerate(group):
                passes = [(shares[rank], probabilities[rank]) for shares, probabilities in found]
                yield self._prompted_boxes(images[index].shape, passes, captions, prompts)

        return run_in_groups([each.shape for each in inputs], run)

    def _prompted_boxes(
        self,
        photo_hw: Sequence[int],
        passes: Sequence[tuple[Floats, Floats]],
        captions: Sequence[Caption],
        prompts: Sequence[Prompt],
    ) -> PromptedBoxes:
        """The boxes of one photo from a pass for each caption."""
        boxes: list[Floats] = [np.empty((0, 4), np.float32)]
        scores: list[Floats] = [np.empty((0, len(prompts)), np.float32)]
        for (shares, probabilities), caption in zip(passes, captions, strict=True):
            boxes.append(boxes_in_photo(shares, photo_hw[0], photo_hw[1]))
            scores.append(prompt_scores(probabilities, caption, self._settings.token_score, len(prompts)))
        found = PromptedBoxes(np.concatenate(boxes), np.concatenate(scores), tuple(prompts))
        if not found.prompts:
            return found
        best = found.scores.max(axis=1)
        sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        order = np.argsort(-best, kind="stable")
        return found.take(order[((best >= self._settings.box_threshold) & (sides > 0).all(axis=1))[order]])

    @torch.inference_mode()
    def _run(self, pixels: torch.Tensor, caption: Caption) -> tuple[Floats, Floats]:
        """For photos (B, 3, h, w): boxes as shares of the photo (B, N, 4), the probability of each token (B, N, T)."""
        input_ids = torch.tensor([caption.token_ids] * len(pixels), device=self._device)
        half = self._settings.half and self._device.type == "cuda"
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=half):
            output = self._network(pixel_values=pixels, input_ids=input_ids)
        probabilities = output.logits[:, :, : len(caption.token_ids)].float().sigmoid()
        return output.pred_boxes.float().cpu().numpy(), probabilities.cpu().numpy()


def network_input(image: Image, shortest_side: int, longest_side: int) -> torch.Tensor:
    """Resizes and normalises a photo to float32 (1, 3, h, w) as Grounding DINO's own code does for inference."""
    size_wh = resized_size(image.shape[1], image.shape[0], shortest_side, longest_side)
    photo = Pillow.fromarray(image)
    if photo.size != size_wh:
        photo = photo.resize(size_wh, Pillow.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255
    return ((pixels - _MEAN) / _DEVIATION)[None].contiguous()


def resized_size(width: int, height: int, shortest_side: int, longest_side: int) -> tuple[int, int]:
    """Width and height that a photo is resized to; rounded as in Grounding DINO's code, but at least 1."""
    shorter, longer = min(width, height), max(width, height)
    side = shortest_side
    if longer / shorter * side > longest_side:
        side = max(1, round(longest_side * shorter / longer))
    if shorter == side:
        return width, height
    return (side, int(side * height / width)) if width < height else (int(side * width / height), side)


def boxes_in_photo(shares: Floats, height: int, width: int) -> Floats:
    """Boxes (N, 4) xyxy in pixels, clipped to the photo, from centre, width and height as shares of the photo."""
    centres, halves = shares[:, :2], shares[:, 2:] / 2
    corners = np.concatenate([centres - halves, centres + halves], axis=1)
    return np.asarray(np.clip(corners, 0, 1) * [width, height, width, height], np.float32)


def _load_network(weights: Path, size: DinoSize, implementation: Implementation) -> Any:
    if implementation == "groundingdino-py":
        from models.teachers.grounding_dino.original import load_original

        return load_original(weights, config_beside(weights, size))
    return load_folder(weights) if weights.is_dir() else load_official(weights, config_beside(weights, size))
