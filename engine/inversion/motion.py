"""How a picture moved: dense flow between two renderings, and how far to trust it.

Lucas and Kanade 1981 over a pyramid: at every level the flow of the level above is corrected by the step that explains
best, over a window, what is left of the difference. Pictures are compared after local contrast normalisation, so that
a change of light is no motion. Where forward and backward flow disagree, something appeared or went (Sundaram 2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS_PX = (16, 32, 64, 128, 256)
ITERATIONS = 4  # per level
WINDOW = 7  # positions of a level
CONTRAST_WINDOW = 9
CONTRAST_FLOOR = 0.05  # standard deviation, of values in [-1, 1], below which a window counts as flat
STIFFNESS = 0.02  # added to the structure tensor: flat windows keep the flow of the level above
DISAGREEMENT = 0.006  # of the picture's side: distance between forward and backward flow that costs most of the trust
DIFFERENCE = 0.35  # of values in [-1, 1]: change of colour along the flow that costs most of the trust


@dataclass(frozen=True)
class Motion:
    """Where every position of a picture came from.

    Attributes:
        flow: offset to the position before, (1, 2, r, r), x first, in fractions of the picture's side.
        confidence: (1, 1, r, r) in [0, 1].
    """

    flow: Tensor
    confidence: Tensor

    def carry(self, image: Tensor) -> Tensor:
        """Move what belonged to the picture before to where it is now. (1, C, R, R) -> (1, C, R, R), any R."""
        return warp(image, _resized(self.flow, image.shape[-1]))

    def trust(self, resolution: int) -> Tensor:
        """The confidence, (1, 1, R, R)."""
        return _resized(self.confidence, resolution)


@torch.no_grad()
def find_motion(before: Tensor, after: Tensor) -> Motion:
    """Find how one rendering became another.

    Args:
        before, after: (1, 3, R, R) in [-1, 1].
    """
    backward, forward = _flow(after, before), _flow(before, after)
    size = backward.shape[-1]
    disagreement = (backward + warp(forward, backward)).norm(dim=1, keepdim=True)
    first, second = (F.adaptive_avg_pool2d(picture, size) for picture in (before, after))
    difference = _blur((warp(first, backward) - second).abs().mean(1, keepdim=True), WINDOW)
    trust = torch.exp(-(disagreement / DISAGREEMENT).square() - (difference / DIFFERENCE).square())
    return Motion(backward, _blur(trust, WINDOW))


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Read an image at every position plus its flow. (1, C, r, r), flow (1, 2, r, r) in fractions of the side."""
    size = image.shape[-1]
    centres = (torch.arange(size, device=image.device, dtype=image.dtype) + 0.5) / size
    grid = torch.stack([centres.expand(size, size), centres[:, None].expand(size, size)], -1)[None]
    mode = "bicubic" if size > LEVELS_PX[-1] else "bilinear"
    grid = (grid + flow.permute(0, 2, 3, 1)) * 2 - 1
    return F.grid_sample(image, grid, mode, "border", align_corners=False)


def _flow(after: Tensor, before: Tensor) -> Tensor:
    """Offset from every position of `after` to the same thing in `before`, (1, 2, r, r), fractions of the side."""
    flow = after.new_zeros(1, 2, 2, 2)
    for size in LEVELS_PX:
        if size > after.shape[-1] // 2:  # half the resolution says as much, in a quarter of the time
            break
        here, there = (_normalised(F.adaptive_avg_pool2d(picture, size)) for picture in (after, before))
        flow = _refined(here, there, _resized(flow, size))
    return flow


def _refined(after: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    size = after.shape[-1]
    dx, dy = _gradient(after)  # of the fixed picture: the same for all iterations
    xx, xy, yy = (_blur((a * b).sum(1, keepdim=True), WINDOW) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    xx, yy = xx + STIFFNESS, yy + STIFFNESS
    determinant = xx * yy - xy.square()
    for _ in range(ITERATIONS):
        rest = after - warp(before, flow)
        bx, by = (_blur((d * rest).sum(1, keepdim=True), WINDOW) for d in (dx, dy))
        step = torch.cat([yy * bx - xy * by, xx * by - xy * bx], 1) / determinant  # (1, 2, r, r), positions
        flow = _blur(flow + step.clamp(-1, 1) / size, 3)
    return flow


def _gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    return (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def _normalised(image: Tensor) -> Tensor:
    """Remove local mean and contrast."""
    centred = image - _blur(image, CONTRAST_WINDOW)
    deviation = _blur(centred.square().mean(1, keepdim=True), CONTRAST_WINDOW).sqrt()
    return centred / (deviation + CONTRAST_FLOOR)


def _blur(image: Tensor, window: int) -> Tensor:
    """Box filter of an odd width."""
    return F.avg_pool2d(F.pad(image, [window // 2] * 4, mode="replicate"), window, stride=1)


def _resized(image: Tensor, size: int) -> Tensor:
    return F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
