"""The report picture of a drag: before, after, and how the distance fell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from engine.chart import FAINT_TEXT, TEXT, Box, draw_curve, font
from engine.overlay import HANDLE, OVERSAMPLING, TARGET, TRACKED, Markers, draw_markers

WIDTH = 1600
MARGIN = 28
TITLE_HEIGHT = 78
CAPTION_HEIGHT = 30
PANEL = 584  # side of the box that holds one picture
FACT_HEIGHT = 25


@dataclass(frozen=True)
class Report:
    """What the report shows.

    Attributes:
        before: undragged picture, (H, W, 3) uint8.
        after: dragged picture, same shape.
        markers: points in pixels of these pictures; `tracked` is where the drag ended.
        steps: number of each step of the curve, ascending.
        mean_distances: mean distance left at each of these steps, pixels of the whole picture.
        title: first line, ASCII.
        facts: short label and value pairs, such as ("solver", "draggan").
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    markers: Markers
    steps: Sequence[float]
    mean_distances: Sequence[float]
    title: str
    facts: Sequence[tuple[str, str]]


def draw_report(report: Report) -> Image.Image:
    """Draw the report, RGB, 1600 pixels wide and about half as high."""
    height, width = report.before.shape[:2]
    scale = min(PANEL / width, PANEL / height)
    panel_height = max(round(height * scale), CAPTION_HEIGHT + FACT_HEIGHT * len(report.facts) + 400)
    total = TITLE_HEIGHT + panel_height + CAPTION_HEIGHT + MARGIN
    s = OVERSAMPLING
    canvas = Image.new("RGB", (WIDTH * s, total * s), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN * s, TITLE_HEIGHT * s / 2), _ascii(report.title), font=font(27 * s), fill=TEXT, anchor="lm")

    start = Markers(report.markers.handles, report.markers.targets)
    for column, (picture, markers, caption) in enumerate(
        ((report.before, start, "before"), (report.after, report.markers, "after"))
    ):
        left = MARGIN + column * (PANEL + MARGIN)
        _panel(canvas, picture, markers, (left * s, TITLE_HEIGHT * s), scale * s)
        caption_y = TITLE_HEIGHT + round(height * scale) + CAPTION_HEIGHT / 2 + 3
        draw.text((left * s, caption_y * s), caption, font=font(16 * s), fill=FAINT_TEXT, anchor="lm")

    left = 3 * MARGIN + 2 * PANEL
    below = _legend(draw, (left, TITLE_HEIGHT), s)
    facts_top = TITLE_HEIGHT + panel_height - FACT_HEIGHT * len(report.facts)
    curve = Box(left * s, (below + 22) * s, (WIDTH - MARGIN) * s, (facts_top - 26) * s)
    draw_curve(draw, curve, report.steps, report.mean_distances, s)
    _facts(draw, (left, facts_top), report.facts, s)
    return canvas.resize((WIDTH, total), Image.Resampling.BOX)


def _panel(
    canvas: Image.Image,
    picture: NDArray[np.uint8],
    markers: Markers,
    origin_xy: tuple[int, int],
    scale: float,
) -> None:
    """Place one picture with its points; origin in pixels of the canvas, scale from picture to canvas."""
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    panel = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    draw_markers(panel, markers.scaled(scale), OVERSAMPLING)
    canvas.paste(panel, origin_xy)


def _legend(draw: ImageDraw.ImageDraw, origin_xy: tuple[int, int], s: int) -> float:
    """Explain the dots; returns the y below, in pixels of the finished report."""
    x, y = origin_xy
    for colour, text in (
        (HANDLE, "handle: taken here"),
        (TARGET, "target: should go here"),
        (TRACKED, "tracked: the handle is here now"),
    ):
        draw.ellipse([x * s, (y + 4) * s, (x + 13) * s, (y + 17) * s], fill=colour, outline=FAINT_TEXT, width=s)
        draw.text(((x + 22) * s, (y + 10.5) * s), text, font=font(14 * s), fill=TEXT, anchor="lm")
        y += 24
    return y


def _facts(draw: ImageDraw.ImageDraw, origin_xy: tuple[int, float], facts: Sequence[tuple[str, str]], s: int) -> None:
    x, y = origin_xy
    for label, value in facts:
        draw.text((x * s, y * s), _ascii(label), font=font(14 * s), fill=FAINT_TEXT)
        draw.text(((x + 92) * s, y * s), _ascii(value), font=font(14 * s), fill=TEXT)
        y += FACT_HEIGHT


def _ascii(text: str) -> str:
    """Replace what the built-in font cannot write."""
    return text.encode("ascii", "replace").decode("ascii")
