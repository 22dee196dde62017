"""Between the artist's pairs and the points of the engine: keys, frames of reference, and where the handles are."""

from __future__ import annotations

from typing import Any, Sequence

from .edit_state import Patch
from .geometry import Box, Point
from .pairs import Pair

Points = tuple  # of (handle x, handle y, target x, target y), pixels of what was sent


class PointMap:
    """Remembers which pairs the engine has.

    Args:
        box: the part of the document that the engine was sent.

    Attributes:
        tracked: key of pair -> where its handle is in the state shown, document pixels.
        doubtful: keys of the pairs whose handle may be elsewhere: it was hard to follow.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.tracked: dict[int, Point] = {}
        self.doubtful: frozenset[int] = frozenset()
        self._pairs: tuple[Pair, ...] = ()
        self._handles: dict[int, Point] = {}

    @property
    def keys(self) -> frozenset[int]:
        """Keys of the pairs of the latest drag."""
        return frozenset(pair.key for pair in self._pairs)

    def begin(self, pairs: Sequence[Pair]) -> Points:
        """Take the pairs of a new drag and return the engine's points.

        A handle that was dragged before is where the engine has followed it to, unless the artist has put it
        elsewhere since: then it means that place of the picture shown.
        """
        before = {pair.key: pair.handle for pair in self._pairs}
        self._handles = {
            pair.key: self.tracked.get(pair.key, pair.handle) if before.get(pair.key) == pair.handle else pair.handle
            for pair in pairs
        }
        self._pairs = tuple(pairs)
        return self.points(pairs)

    def points(self, pairs: Sequence[Pair]) -> Points:
        """Return the engine's points of the drag that goes on, with the pairs' present targets."""
        sent = []
        for pair in pairs:
            handle = self._handles.get(pair.key, pair.handle)
            target = handle if pair.is_anchor else pair.target
            sent.append((*self.to_sent(handle), *self.to_sent(target)))
        return tuple(sent)

    def track(self, handles: Sequence[Sequence[float]], lost: Sequence[bool]) -> None:
        """Take where the engine has the handles; ignored if they are not those of the latest drag."""
        if not handles or len(handles) != len(self._pairs):
            return
        keys = [pair.key for pair in self._pairs]
        self.tracked = {key: self.to_document(place) for key, place in zip(keys, handles)}
        self.doubtful = frozenset(key for key, gone in zip(keys, lost) if gone)

    def forget(self) -> None:
        """Drop where the handles are: the state shown is another one."""
        self.tracked, self.doubtful = {}, frozenset()

    def to_document(self, place: Sequence[float]) -> Point:
        """Return document pixels of a place in pixels of what was sent."""
        return Point(place[0] + self.box.x, place[1] + self.box.y)

    def to_sent(self, point: Point) -> Point:
        """Return pixels of what was sent, of a place in document pixels."""
        return point.shifted(-self.box.x, -self.box.y)

    def to_patch(self, frame: Any, rect: Sequence[int]) -> Patch:
        """Return the picture of an event, placed in the document."""
        x, y, w, h = rect
        height, width = frame.shape[:2]
        return Patch(Box(x + self.box.x, y + self.box.y, w, h), (width, height), frame.data)
