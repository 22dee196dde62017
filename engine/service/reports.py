"""What jobs tell: reports after their steps, and the fields of their results."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from krita_drag.wire.errors import KritaDragError

from engine.align import Crop
from engine.drag import DragStep
from engine.inversion import Snapshot
from engine.rendering import Patch
from engine.service.pixels import patch_fields
from engine.service.search_file import SearchOptions
from engine.session import Session

if TYPE_CHECKING:
    from engine.service.hosted import HostedSession

MOST_NOTES = 16  # that a message holds

Fields = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What a job tells after a step.

    Attributes:
        phase, step, of, left_s, loss, distance_px, handles, confidence, lost: fields of `progress`.
        live_seq: of a gesture, the newest message when the step began.
        show: draws a preview of this state, longest side in pixels; None when there is nothing new to see.
        event: of a drag, the state it has reached.
        search: of a search for a photo, tells where it is; only before its next step is asked for.
    """

    phase: str
    step: int = 0
    of: int = 0
    left_s: float | None = None
    loss: float | None = None
    distance_px: float | None = None
    handles: tuple[tuple[float, float], ...] = ()
    confidence: tuple[float, ...] = ()
    lost: tuple[bool, ...] = ()
    live_seq: int | None = None
    show: Callable[[int], Patch] | None = None
    event: DragStep | None = None
    search: Callable[[], tuple[SearchOptions, Snapshot]] | None = None


Steps = Generator[Report | None, None, Fields]


class Stopped(Exception):
    """Thrown into steps whose client wants no more of them: they keep what they have, and end."""


def report(
    session: Session,
    phase: str,
    event: DragStep,
    targets: np.ndarray,
    of: int,
    *,
    offset: int = 0,
    live_seq: int | None = None,
) -> Report:
    """Tell of a step of a drag, how far its handles are from their targets, and how to draw it.

    Args:
        session: where it happens.
        phase: name of the part of the work.
        event: the step.
        targets: of the handles, (n, 2), document pixels.
        of: steps in all; 0 where that is open.
        offset: steps made before, by a drag that this one goes on from.
        live_seq: as in `Report`.
    """
    handles = session.crop.to_document(event.handles)
    away = np.linalg.norm(handles - targets, axis=1)
    return Report(
        phase,
        offset + event.step,
        of,
        loss=float(event.loss),
        distance_px=float(away.mean()),
        **places(handles, event),
        live_seq=live_seq,
        show=lambda size_px: session.patch(size_px, event),
        event=event,
    )


def places(handles: np.ndarray, event: DragStep) -> Fields:
    """Where handles are, (n, 2), document pixels, and how surely."""
    fields: Fields = {"handles": tuple((float(x), float(y)) for x, y in handles)}
    if event.confidence is not None:
        fields["confidence"] = tuple(float(one) for one in np.clip(event.confidence, 0, 1))
    if event.lost is not None:
        fields["lost"] = tuple(bool(one) for one in event.lost)
    return fields


def state_fields(session: Session) -> Fields:
    """Where the handles are in the state shown, and how many states there are around it."""
    edits = session.edits
    fields: Fields = {"undos": edits.shown, "redos": len(edits.states) - 1 - edits.shown}
    best = session.best()
    return fields if best is None else {**fields, **places(session.handles_document(), best)}


def shown(hosted: HostedSession, session: Session) -> Fields:
    """The patch of the state shown, full size; nothing where nothing changed."""
    if session.edits.shown == 0:
        return {}
    return patch_fields(session.patch(), hosted.order)


def notes(hosted: HostedSession) -> tuple[str, ...]:
    """What the artist should know, as many sentences as a message holds."""
    found = [*hosted.notes, *hosted.need_session().notes]
    return tuple(dict.fromkeys(note[:500] for note in found))[:MOST_NOTES]


def size(session: Session) -> Fields:
    """Width and height of the picture, document pixels."""
    return {"size": session.picture.size_wh}


def corners(crop: Crop) -> Fields:
    """The corners of what the model sees, clockwise from the top left, document pixels."""
    return {"corners": tuple((float(x), float(y)) for x, y in crop.corners)}


def failure_of(error: Exception) -> KritaDragError:
    """Return what is told of a failure."""
    if isinstance(error, KritaDragError):
        return error
    return KritaDragError("Something unforeseen happened in the engine.", "Its log, worker.log, says what.")
