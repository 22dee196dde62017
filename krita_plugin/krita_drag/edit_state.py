"""What an edit is doing and what there is to see of it: plain values, filled by `session`, shown by the widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from .geometry import Box, Point


class Stage(Enum):
    """What the edit is doing."""

    EMPTY = "empty"
    OPENING = "opening"
    PREPARING = "preparing"
    READY = "ready"
    DRAGGING = "dragging"
    LIVE = "live"
    STEPPING = "stepping"
    APPLYING = "applying"
    CLOSED = "closed"


BUSY = frozenset({Stage.OPENING, Stage.PREPARING, Stage.DRAGGING, Stage.LIVE, Stage.STEPPING, Stage.APPLYING})
UNPREPARED = frozenset({Stage.EMPTY, Stage.OPENING, Stage.PREPARING, Stage.CLOSED})  # nothing can be dragged yet
STOPPABLE = frozenset({Stage.OPENING, Stage.PREPARING, Stage.DRAGGING, Stage.LIVE})


class Patch(NamedTuple):
    """A picture to lay over the document.

    Attributes:
        box: where, document pixels; the picture is stretched to it.
        size: width and height of the picture itself.
        bgra: its pixels, straight alpha.
    """

    box: Box
    size: tuple[int, int]
    bgra: Any

    def shifted(self, dx: int, dy: int) -> Patch:
        """Return the picture moved by (dx, dy), document pixels."""
        return self._replace(box=self.box.shifted(dx, dy))


@dataclass(frozen=True)
class DragOptions:
    """How a drag goes; see `wire.messages.Drag`."""

    solver: str = "newton"
    max_steps: int = 300
    reach: float | None = None
    preview_px: int = 512


@dataclass
class Shown:
    """What there is to see of an edit.

    Attributes:
        patch: the present state against the document; None: nothing changed.
        patch_is_full: whether it has every pixel, as a result needs; previews have not.
        inverted: what the model can draw of the picture.
        undos, redos: states before and after the present one.
        corners: of the square that the model sees, document pixels.
        step, of: progress; `of` is 0 while unknown.
        left_s: what a preparation still takes, seconds; None where nobody can tell.
        phase: what is being done, a word of the protocol.
        distance_px: mean distance left, document pixels.
        frames: pictures of the way from the start to the state shown, while a result is made.
    """

    patch: Patch | None = None
    patch_is_full: bool = False
    inverted: Patch | None = None
    undos: int = 0
    redos: int = 0
    corners: tuple[Point, ...] = ()
    step: int = 0
    of: int = 0
    left_s: float | None = None
    phase: str = ""
    distance_px: float | None = None
    frames: list[Patch] = field(default_factory=list)

    def shift(self, dx: int, dy: int) -> None:
        """Move all that lies in the document by (dx, dy), document pixels."""
        self.patch = None if self.patch is None else self.patch.shifted(dx, dy)
        self.inverted = None if self.inverted is None else self.inverted.shifted(dx, dy)
        self.corners = tuple(corner.shifted(dx, dy) for corner in self.corners)
        self.frames = [frame.shifted(dx, dy) for frame in self.frames]
