"""Zero-shot teachers with tiny random weights: files of teachers and classes for `autolabel run`."""

from __future__ import annotations

from pathlib import Path

import torch

from autolabel.labelling.class_config import read_class_config
from autolabel.labelling.labeller import LabellingSettings
from models.teachers.grounded_sam import GroundedSam
from models.teachers.grounding_dino.detector import GroundingDino
from models.teachers.sam.segmenter import Sam
from models.weights.official import GROUNDING_DINO
from tests.models.teachers.grounding_dino.tiny_dino import write_official_folder
from tests.models.teachers.sam.tiny_sam import tiny_sam
from tests.models.teachers.sam.tiny_sam2 import write_sam2
from tests.models.teachers.sam.tiny_sam3 import write_sam3

FILES = {
    "grounded-sam": """
        kind = "python"
        object = "tests.autolabel.tiny_teachers:grounded_sam"
        arguments = {folder = "FOLDER"}
    """,
    "grounded-sam2": """
        kind = "grounded-sam2"
        weights = ["dino", "sam2"]
    """,
    "groundingdino-py": """
        kind = "grounded-sam2"
        implementation = "groundingdino-py"
        weights = ["dino", "sam2"]
    """,
    "sam3": """
        kind = "sam3"
        weights = "sam3"
    """,
}
_ANY_SCORE = "detector_threshold = 0.0\naccept = 0.0\nunsure = 0.0\n"


def write_teachers(folder: Path) -> Path:
    """Writes weights, `NAME.toml` for each of `FILES`, and `classes.toml` with thresholds that random scores reach."""
    write_official_folder(folder / "dino", GROUNDING_DINO["swint"].name)
    write_sam2(folder / "sam2")
    write_sam3(folder / "sam3")
    for name, content in FILES.items():
        (folder / f"{name}.toml").write_text(content.replace("FOLDER", str(folder)))
    classes = "".join(f'["{name}"]\n{_ANY_SCORE}' for name in ("wall", "floor", "dining table"))
    (folder / "classes.toml").write_text(f'{classes}[other]\nprompts = ["desk", "door"]\ndetector_threshold = 0.0\n')
    return folder


def grounded_sam(folder: str) -> GroundedSam:
    """Grounding DINO from the folder's official file; SAM itself, whose published sizes are too large for a test."""
    torch.set_num_threads(1)  # as `--threads 1` does for the product's own kinds: more change the last bits
    labelling = LabellingSettings(read_class_config(Path(folder) / "classes.toml"))
    detector = GroundingDino.load("swint", Path(folder) / "dino" / GROUNDING_DINO["swint"].name, device="cpu")
    return GroundedSam(detector, Sam(tiny_sam()), labelling.class_config.prompts(), labelling.select_boxes)
