"""What the model could not draw of a photo, carried along with the drag: pores, hair, glasses, background."""

from __future__ import annotations

from torch import Tensor

from engine.inversion.motion import find_motion


def add_residual(edited: Tensor, before: Tensor, missing: Tensor, smooth: Tensor) -> Tensor:
    """Add what the model missed of the photo to an edited rendering, where it is now.

    Args:
        edited: rendering after the drag, (1, 3, R, R) in [-1, 1].
        before: rendering before it, same shape.
        missing: the photo less `before`.
        smooth: `missing` as far as it shows no details that could be in a wrong place; used where the motion is unsure.

    Returns:
        (1, 3, R, R), clamped to [-1, 1]; the photo where nothing changed.
    """
    motion = find_motion(before, edited)
    return (edited + smooth.lerp(motion.carry(missing), motion.trust(edited.shape[-1]))).clamp(-1, 1)
