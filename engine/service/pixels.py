"""Pixels between frames of messages and the engine's pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from krita_drag.wire.errors import BadImage, BadMask
from krita_drag.wire.messages import Frame
from numpy.typing import NDArray

from engine.images import Picture
from engine.rendering import Patch

_SWAPPED = [2, 1, 0, 3]  # RGBA <-> BGRA


def to_picture(frame: Frame, order: str) -> Picture:
    """Turn a frame (h, w, 4) into a picture.

    Raises:
        BadImage: all of it is transparent.
    """
    pixels = np.frombuffer(frame.data, np.uint8).reshape(frame.shape)
    rgba = pixels[..., _SWAPPED] if order == "BGRA" else pixels
    alpha = np.ascontiguousarray(rgba[..., 3])
    if not alpha.any():
        raise BadImage("The picture is transparent all over.", "Choose a layer with something on it.")
    return Picture(np.ascontiguousarray(rgba[..., :3]), None if (alpha == 255).all() else alpha)


def to_frame(rgba: NDArray[np.uint8], order: str) -> Frame:
    """Turn pixels (h, w, 4) RGBA into a frame."""
    ordered = rgba[..., _SWAPPED] if order == "BGRA" else rgba
    ordered = np.ascontiguousarray(ordered)
    return Frame("u1", ordered.shape, ordered.data.cast("B") if ordered.size else b"")


def whole_picture(picture: Picture, order: str) -> Frame:
    """Turn a picture into a frame (h, w, 4)."""
    alpha = np.full(picture.rgb.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    return to_frame(np.dstack([picture.rgb, alpha]), order)


def patch_fields(patch: Patch, order: str) -> dict[str, Any]:
    """Return the fields `rect` and `patch` of an event."""
    x, y, width, height = (int(number) for number in patch.rect)
    return {"rect": (x, y, width, height), "patch": to_frame(patch.rgba, order)}


def to_mask(frame: Frame | None, size_wh: tuple[int, int]) -> NDArray[np.float32] | None:
    """Turn a frame (h, w) into what may move, (h, w) in [0, 1]; None when that is everything.

    Raises:
        BadMask: it has another size than the picture, or lets nothing move.
    """
    if frame is None:
        return None
    height, width = frame.shape
    if (width, height) != size_wh:
        raise BadMask(
            f"The mask has {width} x {height} px, the picture {size_wh[0]} x {size_wh[1]}.",
            "Send a mask of the picture's size.",
        )
    mask = np.frombuffer(frame.data, np.uint8).reshape(frame.shape)
    if not mask.any():
        raise BadMask("The mask lets nothing move.", "Select the part that may move.")
    return None if (mask == 255).all() else mask.astype(np.float32) / np.float32(255)
