"""Losses as sums and counts, whose means over all processes of a training run can be taken."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class LossSum:
    """A loss before it is divided by the number of what it is a mean of.

    Attributes:
        total: scalar, the sum.
        count: scalar, how many pixels, anchors or boxes were summed.
    """

    total: Tensor
    count: Tensor

    def mean(self) -> Tensor:
        """Scalar; 0 where nothing was summed."""
        return self.total / self.count.clamp(min=1)


def sum_where(chosen: Tensor, values: Tensor) -> LossSum:
    """The sum of (N, H, W) values where bool (N, H, W) is True."""
    return LossSum((values.float() * chosen).sum(), chosen.sum())
