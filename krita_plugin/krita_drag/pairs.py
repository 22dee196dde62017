"""Handle/target pairs, and the gestures that make, move and delete them; no Qt, no Krita.

A pair says that what is under its handle shall move to its target. An anchor is a pair whose ends coincide: it holds
a place where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Iterable, NamedTuple

from .geometry import Point
from .wire.vocabulary import MAX_POINTS

SMALLEST_PULL_PX = 1.0  # document pixels; below it the two ends are one place
SAME_PX = 0.01  # document pixels; closer than this is rounding, such as that of the markers' shapes


class End(Enum):
    """One end of a pair."""

    HANDLE = "handle"
    TARGET = "target"


@dataclass(frozen=True)
class Pair:
    """From where to where, document pixels.

    Attributes:
        key: number that stays with the pair as long as it lives; shown to the user.
        handle: what moves.
        target: where it shall go.
        weight: how much it counts against the others.
    """

    key: int
    handle: Point
    target: Point
    weight: float = 1.0

    @property
    def is_anchor(self) -> bool:
        """Whether it holds a place instead of moving one."""
        return self.handle.distance(self.target) < SMALLEST_PULL_PX

    def end(self, which: End) -> Point:
        """Return where one end is."""
        return self.handle if which is End.HANDLE else self.target

    def with_end(self, which: End, at: Point) -> Pair:
        """Return the pair with one end elsewhere; both ends of an anchor stay together."""
        if self.is_anchor and which is End.HANDLE:
            return replace(self, handle=at, target=at)
        return replace(self, handle=at) if which is End.HANDLE else replace(self, target=at)


class Grip(NamedTuple):
    """An end of a pair that is selected or held."""

    key: int
    end: End


def nearest(pairs: Iterable[Pair], at: Point, reach_px: float) -> Grip | None:
    """Find the end closest to a place; targets win ties, so that a new pair can be pulled apart again.

    Args:
        pairs: to look through.
        at: document pixels.
        reach_px: how far away an end may be, document pixels.
    """
    found = [
        (pair.end(end).distance(at), end is End.HANDLE, Grip(pair.key, end))
        for pair in pairs
        for end in ((End.HANDLE,) if pair.is_anchor else (End.TARGET, End.HANDLE))
    ]
    near = [candidate for candidate in found if candidate[0] <= reach_px]
    return min(near, key=lambda candidate: candidate[:2])[2] if near else None


class PairEditor:
    """Turns presses, moves and releases into pairs.

    Attributes:
        pairs: as they are now, also in the middle of a gesture.
        selected: the end that was pressed last; Del removes its pair.
        held: the end that follows the pointer now.
    """

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self.pairs: tuple[Pair, ...] = tuple(pairs)
        self.selected: Grip | None = None
        self.held: Grip | None = None
        self._before = self.pairs
        self._offset = Point(0.0, 0.0)

    def replace(self, pairs: Iterable[Pair]) -> None:
        """Take pairs from outside (undo, Krita's own tools), unless a gesture is going on."""
        if self.held is not None:
            return
        self.pairs = tuple(pairs)
        if self.selected is not None and self._find(self.selected.key) is None:
            self.selected = None

    def press(self, at: Point, reach_px: float, anchor: bool = False) -> None:
        """Take the end under the pointer, or start a new pair there.

        Args:
            at: document pixels.
            reach_px: how close to an end counts as on it, document pixels.
            anchor: make an anchor instead of a pair.
        """
        self._before = self.pairs
        grip = nearest(self.pairs, at, reach_px)
        if grip is None:
            if len(self.pairs) >= MAX_POINTS:
                return
            key = 1 + max((pair.key for pair in self.pairs), default=0)
            self.pairs = (*self.pairs, Pair(key, at, at))
            grip = Grip(key, End.HANDLE if anchor else End.TARGET)
        held = self._find(grip.key)
        assert held is not None
        place = held.end(grip.end)
        self._offset = Point(place.x - at.x, place.y - at.y)
        self.selected = self.held = grip

    def move(self, at: Point) -> None:
        """Let the held end follow the pointer."""
        if self.held is None:
            return
        place = at.shifted(*self._offset)
        grip = self.held
        self.pairs = tuple(pair.with_end(grip.end, place) if pair.key == grip.key else pair for pair in self.pairs)

    def release(self, at: Point) -> bool:
        """End the gesture; whether it changed anything.

        A click that pulls nothing makes no pair: it would hold the place, which is what Shift is for.
        """
        if self.held is None:
            return False
        self.move(at)
        grip, self.held = self.held, None
        made, known = self._find(grip.key), any(pair.key == grip.key for pair in self._before)
        if made is not None and made.is_anchor and grip.end is End.TARGET and not known:
            self.pairs, self.selected = self._before, None
        return self.pairs != self._before

    def cancel(self) -> bool:
        """Take the gesture back; whether there was one."""
        if self.held is None:
            return False
        self.pairs, self.held, self.selected = self._before, None, None
        return True

    def delete_selected(self) -> bool:
        """Remove the selected pair, or the last one; whether there was one."""
        self.cancel()
        if not self.pairs:
            return False
        key = self.selected.key if self.selected is not None else self.pairs[-1].key
        self.pairs = tuple(pair for pair in self.pairs if pair.key != key)
        self.selected = None
        return True

    def _find(self, key: int) -> Pair | None:
        return next((pair for pair in self.pairs if pair.key == key), None)
