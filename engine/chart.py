"""A small line chart, drawn with Pillow alone: the distance left after every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

TEXT = (34, 34, 34)
FAINT_TEXT = (110, 110, 110)
GRID = (226, 226, 226)
AXIS = (150, 150, 150)
CURVE = (24, 128, 84)


@dataclass(frozen=True)
class Box:
    """A rectangle, pixels: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float


def font(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, so that the picture is the same on every system; it knows plain ASCII only."""
    return ImageFont.load_default(size_px)


def nice_ticks(highest: float, count: int = 5) -> list[float]:
    """Return about `count` round values from 0 up to at least `highest`.

    >>> nice_ticks(54.0)
    [0.0, 20.0, 40.0, 60.0]
    """
    if not math.isfinite(highest) or highest <= 0:
        highest = 1.0
    raw = highest / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw * 0.999)
    return [index * step for index in range(math.ceil(highest / step - 1e-9) + 1)]


def draw_curve(
    draw: ImageDraw.ImageDraw, box: Box, steps: Sequence[float], values: Sequence[float], unit: float
) -> None:
    """Draw values over steps with axes, grid, labels and the last value.

    Args:
        draw: canvas.
        box: everything, labels included, stays inside.
        steps: number of each step, ascending.
        values: mean distance at each step, pixels; values that are not finite are left out.
        unit: size of one point, pixels of the canvas.
    """
    small = font(13 * unit)
    draw.text((box.left, box.top), "Mean distance to the targets, px", font=small, fill=TEXT)
    plot = Box(box.left + 40 * unit, box.top + 32 * unit, box.right - 14 * unit, box.bottom - 44 * unit)
    points = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    x_ticks = [tick for tick in nice_ticks(max([*steps, 1]), 4) if tick == int(tick)]
    y_ticks = nice_ticks(max([value for _, value in points], default=1.0))
    x_scale = (plot.right - plot.left) / x_ticks[-1]
    y_scale = (plot.bottom - plot.top) / y_ticks[-1]

    for tick in y_ticks:
        y = plot.bottom - tick * y_scale
        draw.line([plot.left, y, plot.right, y], fill=GRID if tick else AXIS, width=round(unit))
        draw.text((plot.left - 7 * unit, y), f"{tick:g}", font=small, fill=FAINT_TEXT, anchor="rm")
    for tick in x_ticks:
        x = plot.left + tick * x_scale
        draw.line([x, plot.bottom, x, plot.bottom + 4 * unit], fill=AXIS, width=round(unit))
        draw.text((x, plot.bottom + 8 * unit), f"{tick:g}", font=small, fill=FAINT_TEXT, anchor="ma")
    middle = (plot.left + plot.right) / 2
    draw.text((middle, box.bottom), "step", font=small, fill=FAINT_TEXT, anchor="md")
    if not points:
        draw.text((middle, (plot.top + plot.bottom) / 2), "no steps", font=small, fill=FAINT_TEXT, anchor="mm")
        return
    line = [(plot.left + step * x_scale, plot.bottom - value * y_scale) for step, value in points]
    draw.line(line, fill=CURVE, width=round(2.4 * unit), joint="curve")
    _end_label(draw, line, f"{points[-1][1]:.1f}", plot, unit)


def _end_label(
    draw: ImageDraw.ImageDraw, line: Sequence[tuple[float, float]], text: str, plot: Box, unit: float
) -> None:
    """Mark the end of the curve and write its value above it, clear of the curve."""
    x, y = line[-1]
    radius = 4 * unit
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=CURVE)
    large = font(14 * unit)
    right = min(x, plot.right)
    covered = [height for position, height in line if position >= right - draw.textlength(text, large) - radius]
    draw.text((right, max(min(covered) - 7 * unit, plot.top)), text, font=large, fill=CURVE, anchor="rd")
