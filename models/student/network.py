"""The student: a compact Mask R-CNN with a semantic branch (Kirillov et al., Panoptic FPN, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from models.student.encoder import ENCODERS, Encoder, EncoderSpec
from models.student.instance_heads import InstancePyramid, TableTargets, instance_heads, region_proposal_network
from models.student.loss_sums import LossSum, sum_where
from models.student.semantic import Pyramid, SemanticDecoder, grouped_log_probabilities, grouped_probabilities
from models.weights.training_photos import UNKNOWN
from surfaces.classes import DINING_TABLE, IGNORE, NUM_CHANNELS, OTHER, OTHER_TABLE
from surfaces.errors import SurfacesError

PARTIAL = OTHER_TABLE + 1
"""Value of a training label map: one of the photo's candidate classes (partial label)."""

SIZE_MULTIPLE = 128
"""Height and width of the input are multiples of this: stride 16, then the pyramid's pooling by 8."""


@dataclass(frozen=True, eq=False)
class StudentOutput:
    """The network's output for a batch of one photo, in pixels of its input.

    Attributes:
        probabilities: (1, 4, H/4, W/4), other, wall, floor, dining table; sum to 1.
        boxes_xyxy: (T, 4), dining tables by descending score.
        scores: (T,).
        masks: (T, 1, 56, 56), each box's mask probabilities.
    """

    probabilities: Tensor
    boxes_xyxy: Tensor
    scores: Tensor
    masks: Tensor


class SemanticBranch(nn.Module):
    """Encoder, pyramid and decoder: a photo's classes by pixel, without tables as instances."""

    def __init__(self, encoder: str = "mosaic") -> None:
        super().__init__()
        spec = encoder_spec(encoder)
        stride4, stride8, last = spec.channels
        self.encoder_name = encoder
        self.training_photos = UNKNOWN
        self.encoder = Encoder(spec)
        self.pyramid = Pyramid(last)
        self.decoder = SemanticDecoder(stride4, stride8)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From float (N, 3, H, W), RGB 0 to 255, H and W multiples of SIZE_MULTIPLE.

        Returns:
            Logits (N, 32, H/4, W/4), the encoder's stride-8 features, the pyramid's stride-16 features.
        """
        stride4, stride8, last = self.encoder(images)
        pyramid = self.pyramid(last)
        return self.decoder(pyramid, stride8, stride4), stride8, pyramid

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, 4, H/4, W/4): other, wall, floor, dining table."""
        return grouped_probabilities(self.features(images)[0])


def encoder_spec(name: str) -> EncoderSpec:
    """The encoder of that name. Raises SurfacesError where there is none."""
    if name not in ENCODERS:
        raise SurfacesError(f"expected an encoder out of {', '.join(ENCODERS)}, got {name!r}")
    return ENCODERS[name]


class Student(SemanticBranch):
    """Wall and floor from a semantic branch, dining tables from boxes and masks, all from one encoder.

    Raises:
        SurfacesError: no such encoder.
    """

    def __init__(self, encoder: str = "mosaic") -> None:
        super().__init__(encoder)
        self.fpn = InstancePyramid(encoder_spec(encoder).channels[1], NUM_CHANNELS)
        self.rpn = region_proposal_network()
        self.tables = instance_heads()

    def losses(
        self,
        images: Tensor,
        labels: Tensor,
        candidates: Tensor,
        targets: list[TableTargets],
        soft_labels: Tensor,
        soft_labelled: Tensor,
        mirrored: Tensor | None = None,
    ) -> dict[str, LossSum]:
        """Training losses by name.

        Args:
            images: float (N, 3, H, W) RGB 0 to 255.
            labels: int64 (N, H, W): COCO ids, OTHER, OTHER_TABLE, PARTIAL, IGNORE.
            candidates: bool (N, 4): the classes of each photo's PARTIAL pixels, a channel each.
            targets: each photo's tables.
            soft_labels: float (N, 4, H/4, W/4), teachers' probabilities.
            soft_labelled: bool (N, H, W), True where the semantic branch learns them instead of the labels.
            mirrored: float (N, 4, H/4, W/4), probabilities that it gave for the mirror images, mirrored back, for the
                loss `mirror`; None: there is no such loss.
        """
        logits, stride8, pyramid = self.features(images)
        log_p = grouped_log_probabilities(logits.float())
        levels = self.fpn(stride8, pyramid, log_p.exp())
        sizes = [(images.shape[-2], images.shape[-1])] * len(images)
        as_dicts = [target.as_torchvision() for target in targets]
        levels = {name: level.float() for name, level in levels.items()}
        proposals, rpn_losses = self.rpn(ImageList(images, sizes), levels, as_dicts)
        _, head_losses = self.tables(levels, proposals, sizes, as_dicts)
        learnt = labels.masked_fill(soft_labelled, IGNORE)
        mirror = {} if mirrored is None else {"mirror": mirror_loss(log_p, mirrored)}
        return {
            "semantic": sum_where(is_taught(learnt, candidates), semantic_losses(log_p, learnt, candidates)),
            "soft_labels": soft_label_sum(log_p, soft_labels, soft_labelled),
            **mirror,
            "objectness": rpn_losses["loss_objectness"],
            "proposal_shape": rpn_losses["loss_rpn_box_reg"],
            **head_losses,
        }

    def detect(self, images: Tensor) -> StudentOutput:
        """Finds surfaces in one photo, float (1, 3, H, W) RGB 0 to 255."""
        logits, stride8, pyramid = self.features(images)
        probabilities = grouped_probabilities(logits)
        levels = self.fpn(stride8, pyramid, probabilities)
        size_hw = images.shape[-2], images.shape[-1]
        found, _ = self.tables(levels, [self.rpn.propose(levels, size_hw)], [size_hw])
        return StudentOutput(probabilities, found[0]["boxes"], found[0]["scores"], found[0]["masks"])


def mirror_loss(log_p: Tensor, mirrored: Tensor) -> LossSum:
    """Cross-entropy of log-probabilities (N, 4, h, w) against the probabilities for the mirror image."""
    everywhere = torch.ones_like(log_p[:, 0], dtype=torch.bool)
    return sum_where(everywhere, (mirrored * -log_p).sum(dim=1))


def soft_label_sum(log_p: Tensor, soft_labels: Tensor, soft_labelled: Tensor) -> LossSum:
    """Cross-entropy against soft labels (Hinton et al., Distilling the Knowledge in a Neural Network, 2015).

    Args:
        log_p, soft_labels: (N, 4, h, w), the student's log-probabilities and the teachers' probabilities.
        soft_labelled: bool (N, H, W), which are learnt; H a multiple of h.
    """
    step = soft_labelled.shape[-1] // log_p.shape[-1]
    chosen = soft_labelled[:, step // 2 :: step, step // 2 :: step]
    return sum_where(chosen, (soft_labels * -log_p).sum(dim=1))


def soft_label_loss(log_p: Tensor, soft_labels: Tensor, soft_labelled: Tensor) -> Tensor:
    """The mean of `soft_label_sum` over pixels; 0 where there is none."""
    return soft_label_sum(log_p, soft_labels, soft_labelled).mean()


def is_taught(labels: Tensor, candidates: Tensor) -> Tensor:
    """Bool (N, H, W), True where int64 (N, H, W) labels say something: not IGNORE, nor PARTIAL with all candidates."""
    any_class = candidates.all(dim=1)[:, None, None]
    return (labels != IGNORE) & ~((labels == PARTIAL) & any_class)


def semantic_losses(log_p: Tensor, labels: Tensor, candidates: Tensor | None = None) -> Tensor:
    """Cross-entropy of each pixel, at the labels' size.

    Where several classes are possible, their probabilities are summed (Cour et al., Learning from Partial Labels,
    2011): a table of another kind may be 'other' or 'dining table', a PARTIAL pixel any of its photo's candidates.

    Args:
        log_p: (N, 4, h, w) log-probabilities, upsampled here to the labels' size and normalised again: interpolated
            logarithms of probabilities do not sum to 1 where they differ, which would punish sharp edges.
        labels: int64 (N, H, W); IGNORE teaches nothing.
        candidates: bool (N, 4), of PARTIAL pixels; None: there are none.

    Returns:
        (N, H, W), 0 where labels are IGNORE.
    """
    log_p = F.interpolate(log_p, size=labels.shape[-2:], mode="bilinear", align_corners=False).log_softmax(dim=1)
    either = torch.logaddexp(log_p[:, OTHER], log_p[:, DINING_TABLE.coco_id])
    classes = torch.cat([log_p, either[:, None]], dim=1)
    assert classes.shape[1] - 1 == OTHER_TABLE
    if candidates is not None:
        partial = log_p.masked_fill(~candidates[:, :, None, None], -torch.inf).logsumexp(dim=1)
        classes = torch.cat([classes, partial[:, None]], dim=1)
    return F.nll_loss(classes, labels, ignore_index=IGNORE, reduction="none")


def semantic_loss(log_p: Tensor, labels: Tensor, candidates: Tensor | None = None) -> Tensor:
    """The mean of `semantic_losses` over labelled pixels; 0 where there is none."""
    return sum_where(labels != IGNORE, semantic_losses(log_p, labels, candidates)).mean()
