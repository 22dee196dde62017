"""The two requests that move points, built from what the artist chose."""

from __future__ import annotations

from typing import Iterable, Sequence

from .edit_state import DragOptions
from .geometry import Box
from .pairs import Pair
from .point_map import Points
from .settings import Settings
from .wire import messages as wire

LOOSEST, TIGHTEST = 9.0, 1.0  # of "stay close", standard deviations of the prior; the middle is the engine's own bound


def drag_options(settings: Settings) -> DragOptions:
    """Return how a drag goes by the user's choices; the slider in its middle leaves the bound to the solver."""
    reach = None if settings.stay_close == 0.5 else LOOSEST * (TIGHTEST / LOOSEST) ** settings.stay_close
    return DragOptions(settings.solver, settings.max_steps, reach, settings.preview_px)


def drag_message(
    sid: str, points: Points, pairs: Sequence[Pair], options: DragOptions, mask: wire.Frame | None, onward: bool
) -> wire.Drag:
    """Return the request of a drag; arguments as the fields of `wire.Drag`."""
    return wire.Drag(
        id=wire.new_id(),
        sid=sid,
        points=points,
        weights=_weights(pairs),
        solver=options.solver,
        max_steps=options.max_steps,
        reach=options.reach,
        onward=onward,
        preview_px=options.preview_px,
        mask=mask,
    )


class Gesture:
    """The messages of one live gesture: one request, counted up.

    Args:
        sid: the session.
        options: how it follows.
    """

    def __init__(self, sid: str, options: DragOptions) -> None:
        self.id = wire.new_id()
        self._sid, self._options, self._seq = sid, options, -1

    def message(self, phase: str, points: Points, pairs: Sequence[Pair], mask: wire.Frame | None = None) -> wire.Live:
        """Return the next message."""
        self._seq += 1
        return wire.Live(
            id=self.id,
            sid=self._sid,
            phase=phase,
            seq=self._seq,
            points=points,
            weights=_weights(pairs),
            reach=self._options.reach,
            preview_px=self._options.preview_px,
            mask=mask,
        )


def mask_frame(mask: bytes | None, box: Box) -> wire.Frame | None:
    """Return the region of a box as a frame; None stays None."""
    return None if mask is None else wire.Frame("u1", (box.h, box.w), mask)


def _weights(pairs: Iterable[Pair]) -> tuple[float, ...]:
    """Return the weights, or nothing if all are alike."""
    weights = tuple(pair.weight for pair in pairs)
    return weights if any(weight != 1.0 for weight in weights) else ()
