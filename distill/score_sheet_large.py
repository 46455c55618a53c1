"""The large contenders of a score sheet: torchvision's Mask R-CNNs, and Grounding DINO with SAM.

Nothing is downloaded. Without published weights the networks are as large and as slow, and say nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn

from distill.commands.benchmark import MASK_RCNNS, random_mask_rcnn
from distill.score_sheet_contender import OpenContender
from distill.training.config import ConfigError
from models.inference.model_output import choose_input_size
from models.student.tables import MAX_DETECTIONS
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, cache_folder
from surfaces.classes import DINING_TABLE
from surfaces.detections import Detection, Image, box_of_mask
from surfaces.errors import MissingExtraError, WeightsError

COCO_DINING_TABLE = 67
TABLE_SCORE = 0.5
MASK_THRESHOLD = 0.5

DETECTOR: Literal["swint"] = "swint"
SAM_SIZE = "vit_b"
WORDS = 17
BOXES_XYXY = ((0.05, 0.05, 0.95, 0.6), (0.05, 0.6, 0.95, 0.95), (0.3, 0.5, 0.7, 0.8))
"""What stands for the shipped ontology's prompts, and boxes for SAM, as shares of the photo."""


def coco_file() -> Path:
    """Where torchvision keeps its Mask R-CNN that knows COCO, once it was downloaded."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url).name)


def open_mask_rcnn(name: str) -> OpenContender:
    """A Mask R-CNN at the student's input size: with COCO's weights where they are cached, else with random ones.

    COCO has dining tables and neither wall nor floor.

    Args:
        name: one of `MASK_RCNNS`.

    Raises:
        ConfigError: there is no such network.
        WeightsError: the cached file is another network's.
    """
    if name not in MASK_RCNNS:
        raise ConfigError(f"expected `network` out of {', '.join(MASK_RCNNS)}; got {name!r}")
    cached = name == "resnet50_fpn" and coco_file().is_file()
    network = _with_coco_weights() if cached else random_mask_rcnn(name)
    network.eval()

    def found(image: Image, least: float) -> list[Detection]:
        height, width = choose_input_size(image.shape[0], image.shape[1])
        network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255
        with torch.inference_mode():
            answer = network([tensor])[0]
        wanted = (answer["labels"] == COCO_DINING_TABLE) & (answer["scores"] >= least)
        masks = (answer["masks"][wanted, 0] > MASK_THRESHOLD).numpy()
        scores = answer["scores"][wanted].tolist()
        pairs = [(mask, score) for mask, score in zip(masks, scores, strict=True) if mask.any()]
        return [Detection(DINING_TABLE, score, box_of_mask(mask), mask) for mask, score in pairs]

    parameters = sum(parameter.numel() for parameter in network.parameters())
    return OpenContender(
        predict=lambda image: found(image, TABLE_SCORE),
        doubtful=lambda image: found(image, 0.0),
        fingerprint=f"{name} {'coco' if cached else 'random'}",
        parameters=parameters,
        file_bytes=coco_file().stat().st_size if cached else 4 * parameters,
        scored=cached,
        note=_mask_rcnn_note(name, cached),
    )


def open_random_grounded_sam() -> OpenContender:
    """Grounding DINO and SAM at full size with random weights: what a photo costs, whatever the weights are.

    The detector reads one caption as long as the shipped ontology's; SAM encodes the photo and masks three boxes.

    Raises:
        MissingExtraError: transformers or segment-anything is not installed.
    """
    try:
        from segment_anything import sam_model_registry
        from transformers import GroundingDinoForObjectDetection

        from models.teachers.grounding_dino.checkpoint import dino_config
        from models.teachers.grounding_dino.detector import DinoSettings, network_input
        from models.teachers.sam.prompts import SamSettings, thing_prompt
        from models.teachers.sam.segmenter import Sam
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"grounded-sam needs {error.name}, which is not installed; pip install 'interior-surfaces[autolabel]'"
        ) from error
    torch.manual_seed(0)
    detector: Any = GroundingDinoForObjectDetection(dino_config(DETECTOR))
    detector.eval()
    masks = sam_model_registry[SAM_SIZE]().eval()
    sam, settings, of_sam = Sam(masks), DinoSettings(), SamSettings()
    caption = torch.tensor([[101, *(token for word in range(WORDS) for token in (2000 + word, 1012)), 102]])

    def predict(image: Image) -> list[Detection]:
        with torch.inference_mode():
            detector(network_input(image, settings.shortest_side, settings.longest_side), input_ids=caption)
        photo = sam.encode(image)
        sides = np.tile(np.array(image.shape[1::-1], np.float32), 2)
        for box in BOXES_XYXY:
            photo.thing(thing_prompt(np.array(box, np.float32) * sides), of_sam)
        return []

    return OpenContender(
        predict=predict,
        doubtful=predict,
        fingerprint=f"grounded-sam random {DETECTOR} {SAM_SIZE}",
        parameters=sum(parameter.numel() for network in (detector, masks) for parameter in network.parameters()),
        file_bytes=GROUNDING_DINO[DETECTOR].size + SAM[SAM_SIZE].size,
        scored=False,
        note="weights not available here: full size, random; its labels are compared once the weights are cached",
    )


def grounded_sam_cached() -> bool:
    """Whether everything that the teacher `grounded-sam` would download is there."""
    names = (GROUNDING_DINO[DETECTOR].name, SAM[SAM_SIZE].name, BERT_VOCABULARY.name)
    return all((cache_folder() / name).is_file() for name in names)


def _with_coco_weights() -> Any:
    try:
        return maskrcnn_resnet50_fpn(
            weights=MaskRCNN_ResNet50_FPN_Weights.COCO_V1, progress=False, box_detections_per_img=MAX_DETECTIONS
        )
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"expected torchvision's Mask R-CNN at {coco_file()}: {reason}") from error


def _mask_rcnn_note(name: str, cached: bool) -> str:
    if cached:
        return "COCO's weights: dining tables alone"
    if name == "resnet50_fpn":
        return "COCO's weights not available here: random ones; scored once torchvision has cached them"
    return "random weights: torchvision publishes none for COCO's masks"
