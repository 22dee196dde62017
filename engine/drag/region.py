"""The region that may move: what lies outside it is held by a penalty (DragGAN eq. 1, second term)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.drag.sampling import FeatureView


def held_share(mask: np.ndarray, feature_size: int, like: Tensor) -> Tensor:
    """Say how much of every position of a feature map must stay.

    Args:
        mask: soft region, (resolution, resolution), 1 = may move, 0 = must stay.
        feature_size: R, side of the feature map.
        like: tensor that gives dtype and device.

    Returns:
        (1, 1, R, R) in [0, 1].
    """
    held = 1 - torch.from_numpy(np.ascontiguousarray(mask)).to(like)[None, None]
    return F.adaptive_avg_pool2d(held, feature_size)


class RegionTerm:
    """Distance between the features now and before the drag, outside the region.

    Args:
        before: view of the whole feature map before the drag.
        mask: soft region, (resolution, resolution), 1 = may move, 0 = must stay.
        weight: lambda of the paper.
        reduction: "mean" over the map as in the official code, or "sum" over the pixels of the picture as in the
            paper; the map stands for the picture by its share of the pixels, with the mask pooled to its size.
    """

    def __init__(
        self, before: FeatureView, mask: np.ndarray, weight: float, reduction: Literal["mean", "sum"] = "mean"
    ) -> None:
        self.held = held_share(mask, before.feature_size, before.maps)  # (1, 1, R, R)
        self.before = before.maps.detach()
        pixels_per_position = (before.resolution / before.feature_size) ** 2
        self.scale = weight * (pixels_per_position if reduction == "sum" else 1 / self.before.numel())

    def __call__(self, view: FeatureView) -> Tensor:
        """Return the penalty, a scalar."""
        return ((view.maps - self.before).abs() * self.held).sum() * self.scale
