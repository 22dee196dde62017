"""Points and masks from the picture's pixels to the model's, refused where the model sees nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from krita_drag.wire.errors import BadMask, BadPoints
from numpy.typing import ArrayLike, NDArray

from engine.align import Crop
from engine.drag import DragPoints
from engine.images import Picture
from engine.points import Pair, check_pairs


def to_model_points(
    pairs: Sequence[Pair], picture: Picture, crop: Crop, weights: ArrayLike | None = None, *, still: bool = False
) -> DragPoints:
    """Check pairs and map them to what the model sees.

    Args:
        pairs: (handle, target), each (x, y), pixels of the picture.
        picture: the picture.
        crop: the square of it that the model sees.
        weights: how hard each pair pulls compared with the others, (n,), above 0; None for all alike.
        still: none of the pairs needs to move yet.

    Raises:
        BadPoints: they make no sense for this picture, the model does not see them, or a weight is not above 0.
    """
    check_pairs(list(pairs), *picture.size_wh, still=still)
    handles, targets = (crop.to_model(np.array(ends, float)) for ends in zip(*pairs, strict=True))
    for number, ends in enumerate(zip(handles, targets, strict=True), 1):
        if not all(crop.sees(end) for end in ends):
            raise BadPoints(
                f"Point {number} lies outside the part of the picture that the model sees.",
                f"Keep handles and targets inside the square with the corners {corners_text(crop)}.",
            )
    return DragPoints(handles, targets, None if weights is None else _checked_weights(weights, len(pairs)))


def seen_part(mask: NDArray[np.float32], crop: Crop) -> NDArray[np.float32]:
    """What a mask of the picture, (H, W) in [0, 1], lets move of what the model sees, (resolution, resolution).

    Raises:
        BadMask: nothing.
    """
    square = crop.extract(mask)
    if not square.any():
        raise BadMask(
            "The mask leaves nothing to move where the model sees the picture.",
            f"Paint it white inside the square with the corners {corners_text(crop)}.",
        )
    return square


def outside_mask(pairs: Sequence[Pair], mask: NDArray[np.float32]) -> list[str]:
    """A sentence about handles that shall move where a mask, (H, W), lets nothing move; none where all is well."""
    height, width = mask.shape
    held = [
        str(number)
        for number, ((x, y), target) in enumerate(pairs, 1)
        if (x, y) != target and not mask[min(int(y), height - 1), min(int(x), width - 1)]
    ]
    if not held:
        return []
    many = len(held) > 1
    return [
        f"Point{'s' * many} {', '.join(held)} {'lie' if many else 'lies'} outside the mask, where nothing may move: "
        "paint it white there to pull this place."
    ]


def _checked_weights(weights: ArrayLike, count: int) -> NDArray[np.float64]:
    array = np.asarray(weights, float)
    if array.shape != (count,) or not (np.isfinite(array).all() and (array > 0).all()):
        raise BadPoints("Each point needs one weight above 0.", "Leave the weights out to pull all alike.")
    return array


def corners_text(crop: Crop) -> str:
    """The corners of what the model sees as text, document pixels, clockwise."""
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in crop.corners)
