"""Contact sheets: pictures of many drags beside each other, with what was asked and what the judge found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CELL_PX = 320
CAPTION_PX = 16
Colour = tuple[int, int, int]
HANDLE: Colour = (230, 40, 40)  # where the solver has the handles
TARGET: Colour = (40, 90, 255)
JUDGED: Colour = (30, 200, 60)  # where the judge has them


@dataclass(frozen=True)
class Cell:
    """One picture.

    Attributes:
        rgb: (R, R, 3).
        caption: one short line above it, ASCII.
        dots: colour -> points, (n, 2), pixels of the picture; drawn in this order.
        lines: pairs of points joined by a line, two (n, 2).
    """

    rgb: NDArray[np.uint8]
    caption: str
    dots: dict[Colour, NDArray[np.float64]] = field(default_factory=dict)
    lines: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def draw_sheet(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """Lay rows of cells out on one picture."""
    width = max(map(len, rows)) * CELL_PX
    sheet = Image.new("RGB", (width, len(rows) * (CELL_PX + CAPTION_PX)), "white")
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            sheet.paste(_draw_cell(cell), (j * CELL_PX, i * (CELL_PX + CAPTION_PX)))
    return sheet


def _draw_cell(cell: Cell) -> Image.Image:
    picture = Image.fromarray(cell.rgb).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (CELL_PX, CELL_PX + CAPTION_PX), "white")
    canvas.paste(picture, (0, CAPTION_PX))
    draw = ImageDraw.Draw(canvas)
    draw.text((3, 2), cell.caption, fill="black")
    scale = CELL_PX / cell.rgb.shape[0]
    offset = np.array([0, CAPTION_PX])
    if cell.lines:
        for start, end in zip(*cell.lines, strict=True):
            draw.line([tuple(start * scale + offset), tuple(end * scale + offset)], fill="white")
    for colour, points in cell.dots.items():
        radius = 3 if len(points) <= 8 else 1.5
        for x, y in points * scale + offset:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="white")
    return canvas
