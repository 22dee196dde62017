"""What the docker shows, computed from the state of things: no widgets, so that every case is tested without any."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

from .edit_state import BUSY, STOPPABLE, Stage
from .link_status import LinkState, LinkStatus, Remedy
from .pairs import Pair
from .session import EditSession
from .translate import tr
from .wire.errors import KritaDragError


class Message(NamedTuple):
    """A sentence, what to do about it, and what the copy button copies."""

    text: str
    hint: str = ""
    code: str = ""
    is_problem: bool = True
    can_close: bool = False


class Row(NamedTuple):
    """One pair in the list; `left_px` is the distance to go, None for an anchor; `doubtful` as in `Places`."""

    key: int
    left_px: float | None
    doubtful: bool
    weight: float


class DockerView(NamedTuple):
    """Everything that depends on state; the widgets copy it."""

    engine_text: str
    engine_colour: str
    remedy: Remedy
    source_text: str
    prepare_text: str
    can_prepare: bool
    can_toggle_inverted: bool
    progress: float | None  # 0 to 1; -1: going on without an end in sight; None: nothing goes on
    progress_text: str
    can_edit: bool
    drag_text: str
    can_drag: bool
    drag_stops: bool
    rows: tuple[Row, ...]
    selected: Row | None
    state: int
    states: int
    can_step: bool
    can_apply: bool
    can_reopen: bool
    can_draw: bool
    message: Message | None


ENGINE_COLOURS = {
    LinkState.READY: "#3fa34d",
    LinkState.STARTING: "#d9a400",
    LinkState.CONNECTING: "#d9a400",
    LinkState.OFF: "#8a8a8a",
}
TROUBLE = "#d64545"
REFUSALS = {
    "version-mismatch": "Engine of another release",
    "not-paired": "Engine does not know this computer",
    "auth-failed": "Engine does not know this computer",
    "pairing-failed": "Pairing failed",
    "bad-option": "Not the address of an engine",
}


def describe(
    link: LinkStatus,
    session: EditSession | None,
    pairs: Iterable[Pair] = (),
    reading: float | None = None,
    writing: bool = False,
    drawing: bool = False,
    out_of_sight: bool = False,
    source: str = "",
    selected: bool = False,
    selected_key: int | None = None,
    holds_edit: bool = False,
    problem: KritaDragError | None = None,
) -> DockerView:
    """Compute what the docker shows.

    Args:
        link: the way to the engine.
        session: the edit of the document in front; None: there is no document.
        pairs: its markers.
        reading: how much of the layer has been read, 0 to 1, while that goes on.
        writing: whether the frames of a result are being written.
        drawing: whether the model draws a picture of its own, for a new document.
        out_of_sight: whether the edit has a picture that neither canvas nor document shows.
        source: name of the layer that was prepared, or would be.
        selected: whether a selection limits what may move.
        selected_key: of the pair that was pressed last.
        holds_edit: whether the document has an edit to reopen.
        problem: what went wrong outside of all edits.
    """
    stage = session.stage if session is not None else Stage.CLOSED
    aside = reading is not None or writing  # work that the session knows nothing of
    stops = stage in STOPPABLE or aside
    idle = session is not None and stage not in BUSY and not aside and stage is not Stage.CLOSED
    ready = idle and stage is Stage.READY
    pairs = tuple(pairs)
    progress, progress_text = _progress(stage, session, reading, writing, drawing)
    shown = session.shown if session is not None else None
    moves = any(not pair.is_anchor for pair in pairs)
    rows = _rows(session, pairs)
    return DockerView(
        engine_text=_engine_text(link),
        engine_colour=ENGINE_COLOURS.get(link.state, TROUBLE),
        remedy=link.remedy,
        source_text=_source_text(session, source, selected),
        prepare_text=tr("Prepare again") if stage not in (Stage.EMPTY, Stage.CLOSED) else tr("Prepare photo"),
        can_prepare=idle and link.usable,
        can_toggle_inverted=ready and shown is not None and shown.inverted is not None,
        progress=progress,
        progress_text=progress_text,
        can_edit=session is not None and stage is not Stage.CLOSED,
        drag_text=tr("Stop") if stops else tr("Drag"),
        can_drag=stops or (idle and link.usable and moves),
        drag_stops=stops,
        rows=rows,
        selected=next((row for row in rows if row.key == selected_key), None),
        state=shown.undos if shown else 0,
        states=shown.undos + shown.redos if shown else 0,
        can_step=ready and link.usable,
        can_apply=ready and link.usable and shown is not None and shown.patch is not None,
        can_reopen=idle and link.usable and holds_edit,
        can_draw=link.usable,
        message=_of_error(problem)._replace(can_close=True)
        if problem is not None
        else _message(link, session, moves, holds_edit, out_of_sight),
    )


def _engine_text(link: LinkStatus) -> str:
    if link.state is not LinkState.READY and link.error is not None and link.error.code in REFUSALS:
        return tr(REFUSALS[link.error.code])
    if link.state is LinkState.READY:
        return tr("Engine ready · {device}", device=link.device) if link.device else tr("Engine ready")
    return {
        LinkState.OFF: tr("Engine not running"),
        LinkState.NOT_INSTALLED: tr("Engine not installed"),
        LinkState.STARTING: tr("Engine is starting…"),
        LinkState.CONNECTING: tr("Connecting to the engine…"),
        LinkState.NOT_RESPONDING: tr("Engine does not respond"),
        LinkState.FAILED: tr("Engine does not start"),
    }[link.state]


def _source_text(session: EditSession | None, source: str, selected: bool) -> str:
    if session is None:
        return "–"
    name = source or tr("the active layer")
    return tr("{layer}, inside the selection", layer=name) if selected else name


PHASES = {
    "queued": "Waiting in line",
    "loading": "Loading the model",
    "aligning": "Finding the face",
    "encoding": "First guess",
    "projecting": "Finding the picture in the model",
    "tuning": "Matching details",
    "dragging": "Dragging",
    "polishing": "Polishing",
    "rendering": "Rendering",
}


def _progress(
    stage: Stage, session: EditSession | None, reading: float | None, writing: bool, drawing: bool
) -> tuple[float | None, str]:
    if reading is not None:
        return reading, tr("Reading the layer")
    if writing:
        return -1.0, tr("Writing the frames")
    if session is None or stage not in BUSY:
        return (-1.0, tr("Drawing a new picture")) if drawing else (None, "")
    names = {
        Stage.OPENING: tr("Sending the picture"),
        Stage.APPLYING: tr("Making the result"),
        Stage.STEPPING: tr("Fetching the state"),
        Stage.LIVE: tr("Following"),
    }
    shown = session.shown
    name = tr(PHASES[shown.phase]) if shown.phase in PHASES else names.get(stage, tr("Working"))
    if shown.of <= 0 or stage is Stage.LIVE:
        return -1.0, name
    text = tr("{phase}, {step} of {of}", phase=name, step=shown.step, of=shown.of)
    return min(1.0, shown.step / shown.of), text if shown.left_s is None else f"{text}, {_left(shown.left_s)}"


def _left(seconds: float) -> str:
    """Say how long something takes, no more exactly than it is known."""
    if seconds > 90:
        return tr("about {count} min left", count=round(seconds / 60))
    return tr("about {count} s left", count=round(seconds / 10) * 10 if seconds > 20 else max(1, round(seconds)))


def _rows(session: EditSession | None, pairs: Sequence[Pair]) -> tuple[Row, ...]:
    if session is None:
        return ()
    return tuple(
        Row(
            pair.key,
            None if pair.is_anchor else (session.places.of(pair) or pair.handle).distance(pair.target),
            session.places.is_doubtful(pair),
            pair.weight,
        )
        for pair in pairs
    )


def _message(
    link: LinkStatus, session: EditSession | None, moves: bool, holds_edit: bool, out_of_sight: bool
) -> Message | None:
    """Choose the one thing to say: a failure of the edit, of the engine, a note, or what to do next."""
    if session is not None and session.problem is not None:
        return _of_error(session.problem)._replace(can_close=True)
    if link.error is not None:
        return _of_error(link.error, link.details)
    if session is None:
        return Message(tr("Open a picture to start."), is_problem=False)
    if session.notes:
        return Message(" ".join(session.notes), is_problem=False, can_close=True)
    if out_of_sight:
        text = tr("The drag is not on the canvas now: “Place points” shows it, “Apply as new layer” keeps it.")
        return Message(text, is_problem=False)
    hints = {
        Stage.EMPTY: tr("This document holds an edit: “Reopen the edit of this layer”, under Advanced, continues it.")
        if holds_edit
        else tr("Press “Prepare photo”: the model finds the picture, which takes a while once."),
        Stage.READY: tr("Press “Drag”.")
        if moves
        else tr("Press on the picture and pull to where it should go. Shift and a press holds a place."),
    }
    hint = hints.get(session.stage)
    return Message(hint, is_problem=False) if hint and session.shown.undos == 0 and link.usable else None


def _of_error(failure: KritaDragError, details: Iterable[str] = ()) -> Message:
    return Message(failure.message, "\n".join((failure.hint, *details)).strip(), failure.code)
