"""The instance heads for dining tables: feature pyramid and torchvision's Mask R-CNN with ignored regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import _topk_min
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.ops import batched_nms, box_area, clip_boxes_to_image, remove_small_boxes, roi_align

from models.student.layers import SeparableConv, pointwise, upsample
from models.student.loss_sums import LossSum, sum_where
from models.student.semantic import CHANNELS

STRIDES = (8, 16, 32, 64)


class InstancePyramid(nn.Module):
    """Feature Pyramid Network (Lin et al., 2017) that also reads the semantic branch's probabilities.

    The branch's probabilities are appended to the features, as HTC does with its semantic features (Chen et al.,
    Hybrid Task Cascade, 2019): few photos have dining tables, and the branch knows more about them than boxes teach.
    """

    def __init__(self, stride8: int, semantic_channels: int) -> None:
        super().__init__()
        self.lateral8 = pointwise(stride8, CHANNELS)
        self.smooth8 = SeparableConv(CHANNELS + semantic_channels, CHANNELS)
        self.smooth16 = SeparableConv(CHANNELS + semantic_channels, CHANNELS)
        self.smooth32 = SeparableConv(CHANNELS, CHANNELS, 5)
        self.smooth64 = SeparableConv(CHANNELS, CHANNELS, 5)

    def forward(self, stride8: Tensor, pyramid: Tensor, probabilities: Tensor) -> dict[str, Tensor]:
        """Builds the levels, by stride; each is (N, CHANNELS, H/stride, W/stride).

        Args:
            stride8: (N, C, H/8, W/8), the encoder's features.
            pyramid: (N, CHANNELS, H/16, W/16), the semantic branch's context.
            probabilities: (N, semantic_channels, H/4, W/4), the branch's; detached.
        """
        probabilities = probabilities.detach()
        level8 = self.lateral8(stride8) + upsample(pyramid, 2)
        level8 = self.smooth8(torch.cat([level8, F.avg_pool2d(probabilities, 2)], dim=1))
        level16 = self.smooth16(torch.cat([pyramid, F.avg_pool2d(probabilities, 4)], dim=1))
        level32 = self.smooth32(F.max_pool2d(level16, 2))
        level64 = self.smooth64(F.max_pool2d(level32, 2))
        return {"8": level8, "16": level16, "32": level32, "64": level64}


ANCHOR_SIZES = ((48,), (96,), (192,), (384,))
ANCHOR_RATIOS = (0.4, 0.8, 1.6, 3.0)
"""Height over width: a table seen from its end is high, a long one seen from the side is flat."""

CANONICAL_SIDE = 224
CANONICAL_STRIDE = 16
"""A box with this side is pooled from the level of this stride."""
LOG_EPSILON = 1e-6
"""Lets a box of just that side not fall below its level by rounding."""

BOX_CHANNELS = 256
MASK_CHANNELS = 64
MASK_SIZE = 56
MAX_DETECTIONS = 8
IGNORED_SHARE = 0.5
"""A box of which more than this share is unlabelled (or another kind of table) is no background sample."""


@dataclass(frozen=True, eq=False)
class TableTargets:
    """The tables of one training photo.

    Attributes:
        boxes: (T, 4) float xyxy in pixels of the network's input.
        masks: (T, H, W) uint8, 1 inside.
        ignored: (H, W) bool, True where no loss is computed: unlabelled, or a table of another kind.
        seed: of the samples of anchors and boxes that are learnt; they do not depend on other photos of the batch.
    """

    boxes: Tensor
    masks: Tensor
    ignored: Tensor
    seed: int = 0

    def as_torchvision(self) -> dict[str, Any]:
        """The dictionary that torchvision's detection code reads; its `labels` are int64 (T,)."""
        labels = torch.ones(len(self.boxes), dtype=torch.int64, device=self.boxes.device)
        return {
            "boxes": self.boxes,
            "labels": labels,
            "masks": self.masks,
            "ignored": self.ignored,
            "seed": self.seed,
        }


def share_inside(mask: Tensor, boxes: Tensor) -> Tensor:
    """The share of each box (B, 4) xyxy inside a mask (H, W), from an integral image.

    Boxes are clamped to the mask and rounded to whole pixels, of which each has one at the least.
    """
    height, width = mask.shape
    integral = F.pad(mask.float().cumsum(0).cumsum(1), (1, 0, 1, 0))
    first, last = boxes[:, :2].round().long().clamp(min=0), boxes[:, 2:].round().long()
    left, top = first[:, 0].clamp(max=width - 1), first[:, 1].clamp(max=height - 1)
    right, bottom = last[:, 0].clamp(max=width).maximum(left + 1), last[:, 1].clamp(max=height).maximum(top + 1)
    inside = integral[bottom, right] - integral[top, right] - integral[bottom, left] + integral[top, left]
    share: Tensor = inside / ((right - left) * (bottom - top))
    return share


class PyramidRoIAlign(nn.Module):
    """RoIAlign from the pyramid's level that suits each box (Lin et al., 2017, equation 1).

    As torchvision's MultiScaleRoIAlign, with a gather where that scatters: in ONNX Runtime its scatters take a
    twentieth of the network's time.
    """

    def __init__(self, strides: Sequence[int], output_size: int, sampling_ratio: int = 2) -> None:
        super().__init__()
        self.strides, self.output_size, self.sampling_ratio = tuple(strides), output_size, sampling_ratio

    def forward(self, levels: dict[str, Tensor], boxes: list[Tensor], _image_shapes: list[tuple[int, int]]) -> Tensor:
        """Pools boxes (B, 4) of each photo, float xyxy in pixels of its input, to (sum of B, C, size, size)."""
        numbers = torch.cat([torch.full_like(some[:, :1], number) for number, some in enumerate(boxes)])
        rois = torch.cat([numbers, torch.cat(boxes)], dim=1)
        scale = torch.log2(torch.sqrt(box_area(rois[:, 1:])) / CANONICAL_SIDE) + LOG_EPSILON
        nearest = torch.floor(math.log2(CANONICAL_STRIDE) + scale)
        nearest = nearest.clamp(math.log2(self.strides[0]), math.log2(self.strides[-1]))
        members, pooled = [], []
        for stride in self.strides:
            index = torch.where(nearest == math.log2(stride))[0]
            level = levels[str(stride)]
            members.append(index)
            pooled.append(roi_align(level, rois[index], self.output_size, 1 / stride, self.sampling_ratio))
        return torch.cat(pooled)[torch.cat(members).argsort()]


class TableProposals(RegionProposalNetwork):  # type: ignore[misc]
    """A region proposal network whose anchors in ignored regions are never background."""

    def propose(self, levels: dict[str, Tensor], size_hw: tuple[int, int]) -> Tensor:
        """The boxes of one photo that look most like tables, (B, 4) xyxy in pixels of the input, best first.

        As torchvision's `forward`, but anchors are made and decoded only for each level's best positions: a twentieth
        of the network's time in ONNX Runtime goes into the others.

        Args:
            levels: (1, C, H/stride, W/stride) by stride.
            size_hw: of the input.
        """
        boxes, scores, numbers = [], [], []
        heads = zip(levels, *self.head(list(levels.values())), self.anchor_generator.cell_anchors, strict=True)
        for number, (stride, logits, deltas, shapes) in enumerate(heads):
            objectness = logits[0].permute(1, 2, 0).flatten()
            score, best = objectness.topk(_topk_min(objectness, self.pre_nms_top_n(), 0))
            cell, columns = best // len(shapes), logits.shape[-1]
            corner = int(stride) * torch.stack([cell % columns, cell // columns], dim=1)
            anchors = shapes.to(deltas)[best % len(shapes)] + corner.repeat(1, 2)
            offsets = deltas[0].unflatten(0, (len(shapes), 4)).permute(2, 3, 0, 1).reshape(-1, 4)[best]
            boxes.append(clip_boxes_to_image(self.box_coder.decode_single(offsets, anchors), size_hw))
            scores.append(score.sigmoid())
            numbers.append(torch.full_like(best, number))
        found, score = torch.cat(boxes), torch.cat(scores)
        large = remove_small_boxes(found, self.min_size)
        found, score, level = found[large], score[large], torch.cat(numbers)[large]
        kept: Tensor = found[batched_nms(found, score, level, self.nms_thresh)[: self.post_nms_top_n()]]
        return kept

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Any]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """torchvision's assignment to the anchors that are sampled, 1 or 0; the others are -1.

        No background is sampled of which more than IGNORED_SHARE is ignored.
        """
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        sampled = []
        for image_labels, image_anchors, target in zip(labels, anchors, targets, strict=True):
            unknown = share_inside(target["ignored"], image_anchors) > IGNORED_SHARE
            image_labels[unknown & (image_labels == 0)] = -1
            torch.manual_seed(target["seed"])  # torchvision's sampler draws from the global generator
            (positive,), (negative,) = self.fg_bg_sampler([image_labels])
            sampled.append(image_labels.masked_fill(~(positive | negative).bool(), -1))
        return sampled, matched

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[LossSum, LossSum]:
        """As RegionProposalNetwork.compute_loss, of anchors that are sampled already; before the division."""
        truth, targets = torch.cat(labels), torch.cat(regression_targets)
        chosen, positive = truth >= 0, truth > 0
        scores = objectness.flatten()[chosen]
        scored = F.binary_cross_entropy_with_logits(scores, truth[chosen], reduction="sum")
        shaped = F.smooth_l1_loss(pred_bbox_deltas[positive], targets[positive], beta=1 / 9, reduction="sum")
        return LossSum(scored.float(), chosen.sum()), LossSum(shaped.float(), chosen.sum())


class TableHeads(RoIHeads):  # type: ignore[misc]
    """Box and mask heads that learn nothing from ignored regions."""

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Any]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, LossSum]]:
        """As RoIHeads.forward: detections and no losses in evaluation, losses and no detections in training."""
        if targets is None:
            result: tuple[list[dict[str, Tensor]], dict[str, LossSum]] = super().forward(
                features, proposals, image_shapes
            )
            return result
        known = [
            boxes[share_inside(target["ignored"], boxes) <= IGNORED_SHARE]
            for boxes, target in zip(proposals, targets, strict=True)
        ]
        proposals, matched, labels, regression = self.select_training_samples(known, targets)
        pooled = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        class_logits, box_regression = self.box_predictor(pooled)
        count = torch.tensor(len(class_logits), device=class_logits.device)
        if count == 0:  # every region is ignored: the mean of nothing is NaN, its sum is 0
            loss_class, loss_box = class_logits.sum(), box_regression.sum()
        else:
            loss_class, loss_box = fastrcnn_loss(class_logits, box_regression, labels, regression)
        loss_mask = self.mask_loss(features, proposals, matched, labels, image_shapes, targets)
        return [], {
            "box_class": LossSum(loss_class.float() * count, count),
            "box_shape": LossSum(loss_box.float() * count, count),
            "mask": loss_mask,
        }

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Any]]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """As RoIHeads.select_training_samples; what is drawn of a photo follows from its seed."""
        selected = []
        for boxes, target in zip(proposals, targets, strict=True):
            torch.manual_seed(target["seed"] + 1)
            selected.append(super().select_training_samples([boxes], [target]))
        sampled, matched, labels, regression = ([part for (part,) in parts] for parts in zip(*selected, strict=True))
        return sampled, matched, labels, regression

    def mask_loss(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Any]],
    ) -> LossSum:
        """Binary cross-entropy of the masks of positive boxes, over their labelled pixels."""
        positive = [torch.where(image_labels > 0)[0] for image_labels in labels]
        boxes = [image_boxes[index] for image_boxes, index in zip(proposals, positive, strict=True)]
        pooled = self.mask_head(self.mask_roi_pool(features, boxes, image_shapes))
        logits = self.mask_predictor(pooled)[:, 1]
        if len(logits) == 0:
            return sum_where(torch.ones_like(logits, dtype=torch.bool), logits)
        truth, known = [], []
        for image_boxes, index, image_matched, target in zip(boxes, positive, matched, targets, strict=True):
            which = image_matched[index].to(image_boxes)[:, None]
            rois = torch.cat([which, image_boxes], dim=1)
            truth.append(roi_align(target["masks"][:, None].to(image_boxes), rois, MASK_SIZE, 1.0)[:, 0])
            everywhere = torch.cat([torch.zeros_like(which), image_boxes], dim=1)
            ignored = target["ignored"][None, None].to(image_boxes)
            known.append(roi_align(ignored, everywhere, MASK_SIZE, 1.0)[:, 0] < 0.5)
        loss = F.binary_cross_entropy_with_logits(logits, torch.cat(truth), reduction="none")
        return sum_where(torch.cat(known), loss)


def region_proposal_network() -> TableProposals:
    """The region proposals over the instance pyramid."""
    anchors = AnchorGenerator(ANCHOR_SIZES, (ANCHOR_RATIOS,) * len(ANCHOR_SIZES))
    head = RPNHead(CHANNELS, len(ANCHOR_RATIOS))
    head.conv = SeparableConv(CHANNELS, CHANNELS)
    return TableProposals(
        anchors,
        head,
        fg_iou_thresh=0.6,
        bg_iou_thresh=0.3,
        batch_size_per_image=128,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 400, "testing": 100},
        post_nms_top_n={"training": 120, "testing": 16},
        nms_thresh=0.7,
    )


def instance_heads() -> TableHeads:
    """The box and mask heads: one class, dining table, besides background."""
    mask_layers = [SeparableConv(CHANNELS, MASK_CHANNELS)]
    mask_layers += [SeparableConv(MASK_CHANNELS, MASK_CHANNELS) for _ in range(3)]
    return TableHeads(
        box_roi_pool=PyramidRoIAlign(STRIDES[:3], output_size=7),
        box_head=TwoMLPHead(CHANNELS * 7 * 7, BOX_CHANNELS),
        box_predictor=FastRCNNPredictor(BOX_CHANNELS, num_classes=2),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.4,
        batch_size_per_image=48,
        positive_fraction=0.33,
        bbox_reg_weights=None,
        score_thresh=0.09,
        nms_thresh=0.5,
        detections_per_img=MAX_DETECTIONS,
        mask_roi_pool=PyramidRoIAlign(STRIDES[:1], output_size=MASK_SIZE // 2),
        mask_head=nn.Sequential(*mask_layers),
        mask_predictor=MaskRCNNPredictor(MASK_CHANNELS, MASK_CHANNELS, num_classes=2),
    )
