"""The states that undo and redo go through, and how a drag makes the newest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from engine.drag import DragPoints, DragStep
from engine.rendering import Region


@dataclass(frozen=True, eq=False)
class EditState:
    """One state of the picture, as undo and redo go through them.

    Attributes:
        w_plus: its latent, (1, num_ws, w_dim).
        event: the drag's event that it is; None for the picture as it was opened.
        region: where all drags up to here could change something; None for everywhere.
    """

    w_plus: Tensor
    event: DragStep | None = None
    region: Region | None = None


class EditHistory:
    """What drags have made of a picture.

    Args:
        w_start: latent of the picture as it was opened, (1, num_ws, w_dim).

    Attributes:
        states: the picture as opened, then one state for each drag, the best of it; undone ones included.
        shown: index of the state that is shown.
        events: all events of the latest drag.
    """

    def __init__(self, w_start: Tensor) -> None:
        self.states = [EditState(w_start)]
        self.shown = 0
        self.events: list[DragStep] = []
        self._next: EditState | None = None  # of a drag that has no event yet

    @property
    def state(self) -> EditState:
        """The state that is shown."""
        return self.states[self.shown]

    def undo(self) -> bool:
        """Show the state before; returns whether there is one."""
        return self._show(self.shown - 1)

    def redo(self) -> bool:
        """Show the state that was undone last; returns whether there is one."""
        return self._show(self.shown + 1)

    def reset(self) -> bool:
        """Show the picture as it was opened; `redo` leads back. Returns whether something changed."""
        return self.shown > 0 and self._show(0)

    def restore(self, states: Sequence[EditState], shown: int) -> None:
        """Put the states of another process in, after the picture as opened, and show one of them.

        Args:
            states: without the picture as opened, oldest first.
            shown: index of the state to show, 0 for the picture as opened.
        """
        self.states[1:] = states
        self._show(shown)

    def limit(self, most: int) -> None:
        """Forget the oldest states after the picture as opened, as far as they are not shown; undo goes past them."""
        while len(self.states) > most + 1 and self.shown > 1:
            del self.states[1]
            self.shown -= 1

    def begin(self, region: Region | None, onward: bool, resumed: DragStep | None) -> EditState:
        """Prepare a state for a new drag, which its first event opens; returns the one that the drag starts from."""
        start = self.state if onward else self.states[0]
        if onward and start.event is not None and region is not None:
            region = region.joined(start.region)
        if resumed is not None:
            start = EditState(resumed.w_plus, resumed, region)
        self._next, self.events = EditState(start.w_plus, start.event, region), []
        return start

    def keep(self, event: DragStep, points: DragPoints) -> None:
        """Note an event of the drag under way, and show it if it is the best yet."""
        best = min(self.events, key=lambda e: _remaining(e, points), default=None)
        self.events.append(event)
        if best is None or _remaining(event, points) < _remaining(best, points):
            self._replace(event)

    def follow(self, event: DragStep) -> None:
        """Note an event of the drag under way, and show it whether it is better or not: its targets move."""
        self.events.append(event)
        self._replace(event)

    def _replace(self, event: DragStep) -> None:
        """Make an event the state that the drag under way shows."""
        if self._next is not None:
            self.states[self.shown + 1 :] = [self._next]  # what was undone is given up
            self.shown, self._next = self.shown + 1, None
        self.states[self.shown] = replace(self.state, w_plus=event.w_plus, event=event)

    def _show(self, index: int) -> bool:
        if not 0 <= index < len(self.states):
            return False
        self.shown, self.events, self._next = index, [], None
        return True


def _remaining(event: DragStep, points: DragPoints) -> float:
    """Mean distance left, weighted as the points are; model pixels."""
    return float(np.average(event.distances, weights=points.weights))
