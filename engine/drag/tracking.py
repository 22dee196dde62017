"""Follow handles through the feature map while the picture changes (DragGAN section 3.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from engine.drag.sampling import FeatureView

Norm = Literal["l1", "l2"]


@torch.no_grad()
def nearest_neighbour(
    view: FeatureView, templates: Tensor, handles_xy: Tensor, radius_px: int, norm: Norm = "l2"
) -> Tensor:
    """Move every handle to the pixel whose feature is closest to its template (DragGAN eq. 2).

    Args:
        view: features after the latest step.
        templates: features at the handles before the drag, (n, C).
        handles_xy: handles now, (n, 2), model pixels.
        radius_px: half-width of the searched square, whole pixels; clipped to the picture.
        norm: distance over the channels: "l1" as in the paper, "l2" as in the official code.

    Returns:
        New handles, (n, 2), whole pixels away from the old ones.
    """
    steps = torch.arange(-radius_px, radius_px + 1, device=handles_xy.device, dtype=handles_xy.dtype)
    xs, ys = (handles_xy[:, axis, None] + steps for axis in (0, 1))  # (n, 2 r + 1)
    difference = view.sample_grid(xs, ys) - templates[:, :, None, None]  # (n, C, 2 r + 1, 2 r + 1)
    cost = difference.abs().sum(1) if norm == "l1" else difference.square().sum(1)
    outside_x, outside_y = ((v < 0) | (v > view.resolution) for v in (xs, ys))
    cost = cost.masked_fill(outside_x[:, None, :] | outside_y[:, :, None], torch.inf)
    best = cost.flatten(1).argmin(1)
    return torch.stack([xs.gather(1, (best % len(steps))[:, None]), ys.gather(1, (best // len(steps))[:, None])], -1)[
        :, 0
    ]
