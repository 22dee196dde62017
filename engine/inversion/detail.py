"""Detail finer than the model's pixels: large documents show it, and it moves along with a drag."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.align import Crop, Points
from engine.inversion.motion import Motion

WORTH = 0.03  # document pixels per model pixel beyond one, from which on there is finer detail
_MARGIN_PX = 3  # bicubic sampling reads two pixels beyond a position


class FineDetail:
    """What a document shows and the model's picture of it cannot, at its place after a drag.

    Args:
        crop: the square of the document that the model sees.
        rgb: the document, (H, W, 3).
        photo: what the model sees of it, (1, 3, R, R) in [-1, 1].
        motion: of the drag.
    """

    def __init__(self, crop: Crop, rgb: NDArray[np.uint8], photo: Tensor, motion: Motion) -> None:
        self._crop, self._rgb = crop, rgb
        self._photo = (photo.detach().float().cpu() + 1) * 127.5
        self._flow, self._confidence = motion.flow.cpu(), motion.confidence.cpu()

    def at(self, positions_model_xy: Points) -> Tensor:
        """What to add to the edited picture, (1, 3, h, w) in levels of 0 to 255.

        Args:
            positions_model_xy: where, (h, w, 2), model pixels.
        """
        side = self._crop.resolution
        here = _grid(positions_model_xy, side, side)
        flow = F.grid_sample(self._flow, here, "bilinear", "border", align_corners=False)  # (1, 2, h, w)
        trust = F.grid_sample(self._confidence, here, "bilinear", "border", align_corners=False)
        before = positions_model_xy + flow[0].permute(1, 2, 0).double().numpy() * side
        seen = F.grid_sample(self._photo, _grid(before, side, side), "bicubic", "border", align_corners=False)
        return (self._document_at(self._crop.to_document(before)) - seen) * trust

    def _document_at(self, positions_xy: Points) -> Tensor:
        """Read the document at positions, (h, w, 2) document pixels -> (1, 3, h, w)."""
        height, width = self._rgb.shape[:2]
        low = np.floor(positions_xy.min((0, 1))).astype(int) - _MARGIN_PX
        high = np.ceil(positions_xy.max((0, 1))).astype(int) + _MARGIN_PX
        left, top = (int(v) for v in low.clip(0, (width - 1, height - 1)))
        right, bottom = (int(v) for v in high.clip((left + 1, top + 1), (width, height)))
        part = torch.from_numpy(np.ascontiguousarray(self._rgb[top:bottom, left:right])).permute(2, 0, 1)[None].float()
        grid = _grid(positions_xy - (left, top), right - left, bottom - top)
        return F.grid_sample(part, grid, "bicubic", "reflection", align_corners=False)


def is_finer(crop: Crop) -> bool:
    """Whether a document has more pixels in the square than the model."""
    return crop.scale > 1 + WORTH


def _grid(positions_xy: Points, width: int, height: int) -> Tensor:
    """Pixel positions as `grid_sample` wants them, (1, h, w, 2)."""
    return torch.from_numpy((positions_xy * (2 / width, 2 / height) - 1).astype(np.float32))[None]
