"""Between the artist's pairs and the points of the engine: keys, frames of reference, and where the handles are."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, Iterable, NamedTuple, Sequence

from .edit_state import Patch
from .geometry import Box, Point
from .pairs import SAME_PX, Pair

_tokens = count()
Points = tuple  # of (handle x, handle y, target x, target y), pixels of what was sent


class Places:
    """Where the engine has the handles of some pairs, in the state shown.

    Args:
        pairs: as they were dragged.
        places: of their handles, document pixels, one for each.
        doubtful: whether a handle may be elsewhere, as it was hard to follow; one for each.
    """

    def __init__(self, pairs: Sequence[Pair] = (), places: Sequence[Point] = (), doubtful: Sequence[bool] = ()) -> None:
        self._found = {pair.key: (pair.handle, place, gone) for pair, place, gone in zip(pairs, places, doubtful)}

    def of(self, pair: Pair) -> Point | None:
        """Return where a pair's handle is; None if it was not dragged from where the pair has it."""
        handle, place, _ = self._found.get(pair.key, (None, None, False))
        return place if handle is not None and handle.distance(pair.handle) < SAME_PX else None

    def is_doubtful(self, pair: Pair) -> bool:
        """Whether that may be wrong."""
        return self.of(pair) is not None and self._found[pair.key][2]

    def shifted(self, dx: float, dy: float) -> Places:
        """Return all of it moved by (dx, dy), document pixels."""
        moved = Places()
        moved._found = {
            key: (handle.shifted(dx, dy), place.shifted(dx, dy), gone)
            for key, (handle, place, gone) in self._found.items()
        }
        return moved


class _State(NamedTuple):
    """A state of the history: a name that no other one ever has, the pairs that led to it, where their handles are."""

    token: int
    pairs: tuple[Pair, ...] = ()
    places: Places = Places()


class PointMap:
    """Remembers which pairs the engine has, and which ones led to each state of the history.

    Args:
        box: the part of the document that the engine was sent.

    Attributes:
        places: where the handles are in the state shown.
        token: of the state shown; None while a drag goes on, which shows none of them.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.places = Places()
        self._pairs: tuple[Pair, ...] = ()
        self._handles: dict[int, Point] = {}
        self._state = 0
        self.token: int | None = next(_tokens)
        self._states = {0: _State(self.token)}

    @property
    def keys(self) -> frozenset[int]:
        """Keys of the pairs that the engine has."""
        return frozenset(pair.key for pair in self._pairs)

    def begin(self, pairs: Sequence[Pair]) -> Points:
        """Take the pairs of a new drag and return the engine's points.

        A handle that was dragged before is where the engine has followed it to, unless the artist has put it
        elsewhere since: then it means that place of the picture shown.
        """
        self._handles = {pair.key: self.places.of(pair) or pair.handle for pair in pairs}
        self._pairs, self.token = tuple(pairs), None
        return self.points(pairs)

    def reach(self, state: int) -> None:
        """Show the state that the latest drag has led to; what was undone before is given up."""
        kept = {number: one for number, one in self._states.items() if number <= self._state}
        if state == self._state:  # the engine has forgotten its oldest state after the picture as opened
            kept = {number - (number > 0): one for number, one in kept.items() if number != 1}
        self._states = {**kept, state: _State(next(_tokens), self._pairs)}
        self.show(state)

    def show(self, state: int, renewed: bool = False) -> None:
        """Show a state of the history; `renewed`: it may be another one than was there before."""
        if renewed and state in self._states:
            self._states[state] = self._states[state]._replace(token=next(_tokens))
        shown = self._states.setdefault(state, _State(next(_tokens)))
        self._state, self._pairs, self.token, self.places = state, shown.pairs, shown.token, shown.places

    def points(self, pairs: Sequence[Pair]) -> Points:
        """Return the engine's points of the drag that goes on, with the pairs' present targets."""
        sent = []
        for pair in pairs:
            handle = self._handles.get(pair.key, pair.handle)
            target = handle if pair.is_anchor else pair.target
            sent.append((*self.to_sent(handle), *self.to_sent(target)))
        return tuple(sent)

    def track(self, handles: Sequence[Sequence[float]], lost: Sequence[bool]) -> None:
        """Take where the engine has the handles; ignored if they are not those of the pairs that it has."""
        if handles and len(handles) == len(self._pairs):
            doubtful = lost if len(lost) == len(handles) else [False] * len(handles)
            self.places = Places(self._pairs, [self.to_document(place) for place in handles], doubtful)
            if self.token is not None:
                self._states[self._state] = self._states[self._state]._replace(places=self.places)

    def shift(self, dx: int, dy: int) -> None:
        """The layer was moved by (dx, dy), document pixels, and its handles with it."""
        self.box = self.box.shifted(dx, dy)
        self.places = self.places.shifted(dx, dy)
        self._pairs = _shifted(self._pairs, dx, dy)
        self._states = {
            number: one._replace(pairs=_shifted(one.pairs, dx, dy), places=one.places.shifted(dx, dy))
            for number, one in self._states.items()
        }
        self._handles = {key: handle.shifted(dx, dy) for key, handle in self._handles.items()}

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


def _shifted(pairs: Iterable[Pair], dx: float, dy: float) -> tuple[Pair, ...]:
    return tuple(replace(one, handle=one.handle.shifted(dx, dy), target=one.target.shifted(dx, dy)) for one in pairs)
