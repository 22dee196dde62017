"""Points drawn over a picture: handles red, targets blue, where the handles are now yellow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

HANDLE: Colour = (226, 58, 48)
TARGET: Colour = (38, 110, 230)
TRACKED: Colour = (255, 208, 32)
OUTLINE: Colour = (255, 255, 255)

OVERSAMPLING = 3
"""Pillow draws without antialiasing, so everything is drawn this many times larger and reduced at the end."""

MANY_POINTS = 8


def no_points() -> NDArray[np.float64]:
    """Return an empty array of points, (0, 2)."""
    return np.zeros((0, 2))


@dataclass(frozen=True)
class Markers:
    """What is drawn over one picture; all in pixels of that picture, each (n, 2), x first.

    Attributes:
        handles: where the drag took hold.
        targets: where it should go.
        tracked: where the handles are now; (0, 2) before a drag.
    """

    handles: NDArray[np.float64] = field(default_factory=no_points)
    targets: NDArray[np.float64] = field(default_factory=no_points)
    tracked: NDArray[np.float64] = field(default_factory=no_points)

    def scaled(self, scale: float) -> Markers:
        """Return the same points in the picture at another size."""
        return Markers(self.handles * scale, self.targets * scale, self.tracked * scale)


def draw_markers(canvas: Image.Image, markers: Markers, unit: float) -> None:
    """Draw handles, targets and tracked points with the arrows between them onto `canvas`, in place.

    Args:
        canvas: RGB picture.
        markers: points in pixels of the canvas.
        unit: size of one point of line width, pixels of the canvas.
    """
    draw = ImageDraw.Draw(canvas)
    radius = (4.0 if len(markers.handles) > MANY_POINTS else 6.0) * unit
    if not len(markers.tracked):
        for handle, target in zip(markers.handles, markers.targets, strict=True):
            _arrow(draw, handle, target, unit, radius)
    for handle, tracked in zip(markers.handles, markers.tracked, strict=False):
        draw.line([*handle, *tracked], fill=TRACKED, width=round(2 * unit))
    for handle in markers.handles:
        _dot(draw, handle, radius if not len(markers.tracked) else 0.6 * radius, HANDLE, unit)
    for target in markers.targets:
        _dot(draw, target, radius, TARGET, unit)
    for tracked in markers.tracked:
        _dot(draw, tracked, 0.6 * radius, TRACKED, 0.5 * unit)


def with_markers(picture: Image.Image, markers: Markers, unit: float = 1.0) -> Image.Image:
    """Return a copy of an RGB picture with antialiased markers; `unit` as in :func:`draw_markers`."""
    width, height = picture.size
    large = picture.resize((width * OVERSAMPLING, height * OVERSAMPLING), Image.Resampling.BICUBIC)
    draw_markers(large, markers.scaled(OVERSAMPLING), unit * OVERSAMPLING)
    return large.resize((width, height), Image.Resampling.BOX)


def _dot(draw: ImageDraw.ImageDraw, centre: NDArray[np.float64], radius: float, colour: Colour, unit: float) -> None:
    x, y = centre
    outer = radius + 1.4 * unit
    draw.ellipse([x - outer, y - outer, x + outer, y + outer], fill=OUTLINE)
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _arrow(
    draw: ImageDraw.ImageDraw, start: NDArray[np.float64], end: NDArray[np.float64], unit: float, radius: float
) -> None:
    """Draw a white arrow that ends at the rim of the target's dot; nothing when the dots touch."""
    way = end - start
    length = float(np.hypot(*way))
    if length < 3.5 * radius:
        return
    direction = way / length
    tip = end - direction * (radius + 2 * unit)
    head = min(9 * unit, 0.4 * length)
    angle = math.atan2(direction[1], direction[0])
    wings = [tip - head * np.array([math.cos(angle + side), math.sin(angle + side)]) for side in (-0.45, 0.45)]
    neck = tip - 0.8 * head * direction
    for width, colour in ((4.6 * unit, (40, 40, 40)), (2.6 * unit, OUTLINE)):
        draw.line([*start, *neck], fill=colour, width=round(width))
    draw.polygon([tuple(tip), tuple(wings[0]), tuple(wings[1])], fill=OUTLINE, outline=(40, 40, 40))
