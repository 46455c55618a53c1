from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from distill.training.targets import table_targets
from models.student.encoder import ENCODERS
from models.student.instance_heads import MASK_SIZE, MAX_DETECTIONS
from models.student.network import SemanticBranch, Student
from models.student.semantic import grouped_log_probabilities
from models.student.weights import read_tensors, start_from
from surfaces.classes import IGNORE
from surfaces.datasets import open_dataset
from surfaces.errors import SurfacesError
from tests.models.student.students import calm_student

ROOT = Path(__file__).parents[3]
MOSAIC = ROOT.parent / "shared" / "weights"
MOST_PARAMETERS = 12_000_000


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_student_is_compact_and_trains_whole(encoder: str) -> None:
    student = Student(encoder)
    assert student.encoder_name == encoder
    assert 3_000_000 < sum(parameter.numel() for parameter in student.parameters()) <= MOST_PARAMETERS
    assert not list(student.buffers())  # the moving average and the files of weights hold parameters alone


@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_have_the_promised_strides(encoder: str) -> None:
    branch = SemanticBranch(encoder).eval()
    with torch.no_grad():
        logits, stride8, pyramid = branch.features(torch.zeros(2, 3, 128, 256))
    assert logits.shape == (2, 32, 32, 64)
    assert stride8.shape == (2, ENCODERS[encoder].channels[1], 16, 32)
    assert pyramid.shape == (2, 128, 8, 16)


@pytest.mark.parametrize(
    ("encoder", "blocks", "channels"),
    [
        ("efficientnet_lite0", 16, [16, 24, 40, 80, 112, 192, 320]),
        ("efficientnet_lite1", 21, [16, 24, 40, 80, 112, 192, 320]),
        ("efficientnet_lite2", 21, [16, 24, 48, 88, 120, 208, 352]),
    ],
)
def test_efficientnet_lite_has_the_published_shape(encoder: str, blocks: int, channels: list[int]) -> None:
    spec = ENCODERS[encoder]
    assert len(spec.blocks) == blocks
    assert list(dict.fromkeys(block.out_channels for block in spec.blocks)) == channels
    assert (spec.blocks[spec.stride4].out_channels, spec.blocks[spec.stride8].out_channels) == (
        channels[1],
        channels[2],
    )


def test_an_unknown_encoder() -> None:
    with pytest.raises(SurfacesError, match=r"expected an encoder out of mosaic, efficientnet_lite0, .*, got 'resnet'"):
        Student("resnet")


@pytest.mark.parametrize("size", [(128, 128), (128, 384)])
def test_detections_lie_in_the_photo(size: tuple[int, int]) -> None:
    student = calm_student(1).eval()
    with torch.no_grad():
        found = student.detect(torch.rand(1, 3, *size) * 255)
    tables = len(found.scores)
    assert 0 < tables <= MAX_DETECTIONS
    assert found.probabilities.shape == (1, 4, size[0] // 4, size[1] // 4)
    torch.testing.assert_close(found.probabilities.sum(dim=1), torch.ones(1, size[0] // 4, size[1] // 4))
    assert found.masks.shape == (tables, 1, MASK_SIZE, MASK_SIZE)
    assert 0 <= found.masks.min() <= found.masks.max() <= 1
    assert found.boxes_xyxy.shape == (tables, 4)
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy <= torch.tensor([size[1], size[0]] * 2)).all()
    assert (found.scores.diff() <= 0).all()


@pytest.mark.parametrize("name", ["mosaic_ade20k", "mosaic_nyuv2"])
def test_mosaic_is_rebuilt(name: str) -> None:
    if not (MOSAIC / f"{name}.npz").is_file():
        pytest.skip(f"{name} is not in the shared folder beside this checkout")
    branch = SemanticBranch("mosaic").eval()
    assert start_from(branch, read_tensors(MOSAIC / f"{name}.npz")) == []
    original = onnxruntime.InferenceSession(str(MOSAIC / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    room = open_dataset(ROOT / "tests" / "data" / "rooms")[0].image()
    photo = np.zeros((512, 512, 3), np.uint8)
    photo[: room.shape[0], : room.shape[1]] = room[:512, :512]
    pixels = photo.transpose(2, 0, 1)[None].astype(np.float32)
    (expected,) = original.run(None, {original.get_inputs()[0].name: pixels})
    with torch.no_grad():
        logits, _, _ = branch.features(torch.from_numpy(pixels))
    assert np.ptp(expected) > 5
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-3)


def test_the_mirror_loss_is_the_cross_entropy_to_what_the_mirror_image_gave() -> None:
    student = calm_student(2)
    images, labels = torch.rand(1, 3, 128, 128) * 255, torch.full((1, 128, 128), IGNORE)
    targets = table_targets(torch.stack([labels, torch.zeros_like(labels)], 1), torch.ones(1, 4, dtype=torch.bool))
    soft = torch.zeros(1, 4, 32, 32), torch.zeros(1, 128, 128, dtype=torch.bool)
    own = grouped_log_probabilities(student.features(images)[0]).exp().detach()
    losses = student.losses(images, labels, torch.ones(1, 4, dtype=torch.bool), targets, *soft, mirrored=own)
    torch.testing.assert_close(losses["mirror"].mean(), torch.special.entr(own).sum(dim=1).mean())
    assert "mirror" not in student.losses(images, labels, torch.ones(1, 4, dtype=torch.bool), targets, *soft)
