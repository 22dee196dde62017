"""Notices when the layer of an edit is moved, cropped or scaled after it was read."""

from __future__ import annotations

from typing import Any, NamedTuple

from .document import KritaDocument
from .geometry import Box

GRID = 12  # pixels along each side that are remembered


class Shift(NamedTuple):
    """How far a layer has moved since, document pixels, and whether the document has another size now."""

    x: int
    y: int
    resized: bool = False


class Placement:
    """Where a layer lies.

    Krita tells neither of moves nor of crops; both change the layer's position. A document of another size was cropped
    or extended if the pixels are still where they should be; else it was scaled or turned. Half a turn is not noticed.

    Args:
        document: the layer's.
        node: the layer.
        box: what is read of it, document pixels.
    """

    def __init__(self, document: KritaDocument, node: Any, box: Box) -> None:
        self._document, self._node, self._box = document, node, box
        self._places = [
            (box.x + box.w * (2 * column + 1) // (2 * GRID), box.y + box.h * (2 * row + 1) // (2 * GRID))
            for row in range(GRID)
            for column in range(GRID)
        ]
        self._pixels = self._read(self._places)
        self._position, self._size = self._now()
        self._refused: tuple | None = None  # position and size of another picture

    @property
    def position(self) -> tuple[int, int]:
        """Where the layer was when it was looked at last, document pixels."""
        return self._position

    def shift(self, look_again: bool = False) -> Shift | None:
        """Return how far it has moved, and count from there on; None if it is not the same picture any more.

        Args:
            look_again: whether to look at the pixels even if they were other ones the last time.
        """
        position, size = now = self._now()
        resized = size != self._size
        moved = Shift(position[0] - self._position[0], position[1] - self._position[1], resized)
        refused = now == self._refused and not look_again
        if resized and (refused or not self._is_same(moved)):
            self._refused = now  # looked at once: it takes a hidden document where colours are converted
            return None
        self._position, self._size, self._refused = position, size, None
        self._places = [(x + moved.x, y + moved.y) for x, y in self._places]
        return moved

    def _now(self) -> tuple[tuple[int, int], tuple[int, int]]:
        position, frame = self._node.position(), self._document.frame
        return (position.x(), position.y()), (frame.w, frame.h)

    def _is_same(self, moved: Shift) -> bool:
        """Whether nine of ten remembered pixels that are still in the document are what they were."""
        frame, kept = self._document.frame, []
        for place, pixel in zip(self._places, self._pixels):
            now = place[0] + moved.x, place[1] + moved.y
            if not Box(*now, 1, 1).intersect(frame).empty:
                kept.append((now, pixel))
        found = self._read([place for place, _ in kept])
        return sum(now == pixel for now, (_, pixel) in zip(found, kept)) > 0.9 * len(kept)

    def _read(self, places: list[tuple[int, int]]) -> list[bytes]:
        return list(self._document.read(self._node, [Box(x, y, 1, 1) for x, y in places]))
