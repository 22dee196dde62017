"""What the overlay shows besides the pairs."""

from __future__ import annotations

from .geometry import Box, Point
from .qt import QtGui


class Scene:
    """What the overlay shows besides the pairs.

    Attributes:
        preview: picture to lay over the document, and where, document pixels.
        tracked: where the handles are in that picture, by key of the pair.
        corners: of the square that the model sees, document pixels.
    """

    def __init__(self) -> None:
        self.preview: tuple[QtGui.QImage, Box] | None = None
        self.tracked: dict[int, Point] = {}
        self.corners: tuple[Point, ...] = ()
