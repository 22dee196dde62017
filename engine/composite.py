"""Which pixels of the document a drag may touch: where the rendering changed, feathered, and nothing else."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.inversion.motion import Motion
from engine.inversion.residual import add_residual

# Change, of values in [-1, 1], up to which the document's own pixels are the better picture. A drag shifts every
# pixel a little, as all share one latent, and replacing them costs the error of the reconstruction.
PHOTO_TOLERANCE = 0.12
GENERATED_TOLERANCE = 0.03  # where the document is the model's own picture
FULL = 3.0  # times the tolerance: change that shows the edit fully
GREY_SPREAD = 0.03  # of values in [-1, 1]: pictures whose channels differ by no more have no colours
# Widths as fractions of the picture's side.
SMOOTH_REDUCTION = 4  # what is that smooth can be computed on a quarter of the pixels each way
BLUR, DILATION, FEATHER, BORDER, TONE = 1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 20


def changed_mask(
    before: Tensor,
    after: Tensor,
    user_mask: NDArray | None = None,
    *,
    tolerance: float = PHOTO_TOLERANCE,
    fade_border: bool = True,
    margin: int = 0,
) -> NDArray[np.float32]:
    """Find the moved area, with soft edges, for laying the edit over the document.

    Args:
        before: rendering of the latent before the drag, (1, 3, R, R) in [-1, 1].
        after: rendering after it, same shape.
        user_mask: where the user lets things move, (R, R) in [0, 1]; the edit fades out inside it. None: anywhere.
        tolerance: change that is not worth showing.
        fade_border: also fade to 0 towards the border, where the document goes on beyond the model's picture.
        margin: columns at the left and right beyond that border, see `engine.align.Crop`.

    Returns:
        (R, R) in [0, 1]: 1 shows the edit, and 0 (exactly) leaves the document as it is.
    """
    resolution = before.shape[-1]
    change = (after - before).detach().float().cpu().abs().amax(1, keepdim=True)  # (1, 1, R, R)
    change = _blur(change, resolution * BLUR)
    mask = ((change / tolerance - 1) / (FULL - 1)).clamp(0, 1)
    mask = _dilate(mask, resolution * (DILATION + FEATHER / 2))
    mask = _blur(mask, resolution * FEATHER)
    if user_mask is not None:
        allowed = torch.from_numpy(np.array(user_mask, np.float32))[None, None].clamp(0, 1)
        mask = mask * _feather_inwards(allowed, resolution * FEATHER)
    if fade_border:
        mask = mask * _border_ramp(resolution, margin)
    return np.ascontiguousarray(mask[0, 0].numpy())


def restore(edited: Tensor, before: Tensor, photo: Tensor, motion: Motion) -> Tensor:
    """Give an edited rendering what the model could not draw of the photo, moved along with the edit.

    Where the motion cannot be told, only what is too smooth to notice that things moved.

    Args:
        edited: rendering after the drag, (1, 3, R, R) in [-1, 1].
        before: rendering before it, same shape.
        photo: what the model sees of the photo, same shape; if it is grey, so is the result.
        motion: how `before` became `edited`.

    Returns:
        (1, 3, R, R), clamped to [-1, 1]; the photo where nothing changed.
    """
    missing = photo - before
    small = _blur(F.avg_pool2d(missing, SMOOTH_REDUCTION), photo.shape[-1] / SMOOTH_REDUCTION * TONE)
    smooth = F.interpolate(small, size=missing.shape[2:], mode="bilinear", align_corners=False)
    restored = add_residual(edited, missing, smooth, motion)
    is_grey = bool((photo.amax(1) - photo.amin(1)).amax() <= GREY_SPREAD)
    return restored.mean(1, keepdim=True).expand_as(restored) if is_grey else restored


def _blur(image: Tensor, width_px: float) -> Tensor:
    """Box filter twice: a tent of finite reach, so that zeros stay exact zeros beyond `width_px`."""
    radius = max(1, round(width_px / 2))
    for _ in range(2):
        image = F.pad(image, [radius] * 4, mode="replicate")
        image = F.avg_pool2d(image, (1, 2 * radius + 1), stride=1)  # rows, then columns: a square costs its area
        image = F.avg_pool2d(image, (2 * radius + 1, 1), stride=1)
    return image


def _dilate(mask: Tensor, radius_px: float) -> Tensor:
    """Grow by a square; separable, so that large radii cost little."""
    radius = max(1, round(radius_px))
    mask = F.max_pool2d(mask, (1, 2 * radius + 1), stride=1, padding=(0, radius))
    return F.max_pool2d(mask, (2 * radius + 1, 1), stride=1, padding=(radius, 0))


def _feather_inwards(allowed: Tensor, width_px: float) -> Tensor:
    """Soften a mask without showing anything outside it."""
    soft = (2 * _blur(allowed, width_px) - 1).clamp(0, 1)  # 0 at a straight edge
    peak = soft.amax()
    if peak == 0:  # strokes thinner than the feather
        return allowed
    return allowed * soft / peak


def _border_ramp(resolution: int, margin: int) -> Tensor:
    """0 at the outermost pixels within the margins, 1 from the border's width on, smooth between, (R, R)."""
    position = torch.arange(resolution)
    distance = torch.minimum(position, resolution - 1 - position)
    rows, columns = (((d / (resolution * BORDER)).clamp(0, 1)) for d in (distance, distance - margin))
    rows, columns = (ramp * ramp * (3 - 2 * ramp) for ramp in (rows, columns))
    return torch.minimum(rows[:, None], columns[None, :])
