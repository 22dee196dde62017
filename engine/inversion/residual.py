"""What the model could not draw of a photo, carried along with the drag: pores, hair, glasses, background."""

from __future__ import annotations

from torch import Tensor

from engine.inversion.motion import Motion


def add_residual(edited: Tensor, missing: Tensor, smooth: Tensor, motion: Motion) -> Tensor:
    """Add what the model missed of the photo to an edited rendering, where it is now.

    Args:
        edited: rendering after the drag, (1, 3, R, R) in [-1, 1].
        missing: the photo less the rendering before the drag, same shape.
        smooth: `missing` as far as it shows no details that could be in a wrong place; used where the motion is unsure.
        motion: of the drag.

    Returns:
        (1, 3, R, R), clamped to [-1, 1]; the photo where nothing changed.
    """
    return (edited + smooth.lerp(motion.carry(missing), motion.trust(edited.shape[-1]))).clamp(-1, 1)
