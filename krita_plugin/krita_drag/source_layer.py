"""The layer that an edit started from: whether it is there, where, and as it was."""

from __future__ import annotations

import zlib
from typing import Any, Sequence

from .document import KritaDocument, bands_of
from .geometry import Box
from .placement import Placement, Shift


class SourceLayer:
    """One layer, as it was when it was read.

    Args:
        document: the layer's.
        node: the layer.
        box: what is read of it, document pixels.

    Attributes:
        node: the layer.
        name: its name then.
        sums: checksums of the bands that were read, see `bands_of`; empty where nobody knows them.
    """

    def __init__(self, document: KritaDocument, node: Any, box: Box) -> None:
        self.node, self.name = node, node.name()
        self.sums: Sequence[int] = ()
        self._document, self._placement = document, Placement(document, node, box)

    @property
    def is_there(self) -> bool:
        """Whether it is in the document still."""
        return self._document.holds(self.node)

    @property
    def position(self) -> tuple[int, int]:
        """Where Krita had it when it was looked at last, document pixels."""
        return self._placement.position

    def follow(self, look_again: bool = False) -> Shift | None:
        """Return how far it has moved; see `Placement.shift`."""
        shift = self._placement.shift(look_again)
        if shift is not None and shift.resized:
            self.sums = ()  # of bands that are cut off, perhaps
        return shift

    def is_painted_on(self, read: Box, near: Box) -> bool:
        """Whether it has changed around a box since it was read.

        Args:
            read: where what was read of it lies now.
            near: where it matters.
        """
        bands = [(band, total) for band, total in zip(bands_of(read), self.sums) if not band.intersect(near).empty]
        pixels = self._document.read(self.node, [band for band, _ in bands]) if bands else ()
        return any(zlib.crc32(now) != total for now, (_, total) in zip(pixels, bands))
