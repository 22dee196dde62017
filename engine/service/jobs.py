"""What each request does, one step at a time: generators that the worker asks for their next step in turn.

A job yields a `Report` after every step, or None when it has nothing to do until its client moves; it returns the
fields of `done`. Closing it between two steps stops it, and the session keeps what was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from krita_drag.wire.errors import BadFrame
from krita_drag.wire.messages import (
    Drag,
    Invert,
    ListModels,
    Live,
    LoadModel,
    ModelEntry,
    Open,
    Redo,
    Render,
    Request,
    Reset,
    Restore,
    Save,
    Undo,
)

from engine.drag import DragStep
from engine.points import Pair
from engine.service.exchange import to_frame
from engine.service.limits import require_budget
from engine.service.pixels import patch_fields, to_mask, to_picture, whole_picture
from engine.service.preparing import pairs_of, prepare
from engine.service.reports import Fields, Report, Steps, corners, notes, report, shown, size, state_fields
from engine.session import Session

if TYPE_CHECKING:
    from engine.service.hosted import HostedSession


def begin(hosted: HostedSession, message: Request) -> Steps:
    """Return the steps of a request.

    Args:
        hosted: where it is done.
        message: the request; of a gesture, the newest message is read from `hosted`.

    Raises:
        BadFrame: it is none of those that the worker does.
    """
    steps = _STEPS.get(type(message))
    if steps is None:
        raise BadFrame(f"“{message.type}” is not for the worker.")
    return steps(hosted, message)


def _open(hosted: HostedSession, message: Open) -> Steps:
    yield Report("loading")
    model = hosted.model(message.model)
    if message.seed is not None:
        session = Session.from_seed(model, message.seed, message.truncation_psi, message.class_index)
        hosted.opened(message, session)
        yield Report("rendering")
        fields = corners(session.crop)
        return {**size(session), **fields, "picture": whole_picture(session.picture, message.order)}
    assert message.image is not None
    height, width = message.image.shape[:2]
    require_budget(height * width)
    to_picture(message.image, message.order)
    hosted.opened(message, None)
    return {"size": (width, height)}


def _invert(hosted: HostedSession, message: Invert) -> Steps:
    yield from prepare(hosted, message)
    session = hosted.need_session()
    yield Report("rendering", show=session.drawn)
    return {**corners(session.crop), "notes": notes(hosted), "step": hosted.inversion_steps}


def _drag(hosted: HostedSession, message: Drag) -> Steps:
    session = yield from _ready(hosted)
    mask = to_mask(message.mask, session.picture.size_wh)
    pairs, targets = pairs_of(message.points), np.array(message.points, float)[:, 2:]
    done, resumed, pairs = _resume(hosted, session, message, pairs)
    events = session.drag(
        pairs,
        solver=message.solver,
        mask=mask,
        max_steps=max(message.max_steps - done, 1),
        weights=message.weights or None,
        reach=message.reach,
        onward=message.onward,
        resumed=resumed,
    )
    last = None
    for last in events:
        yield report(session, "dragging", last, targets, message.max_steps, offset=done)
    return (yield from _finish(hosted, session, last, targets, done))


def _live(hosted: HostedSession, message: Live) -> Steps:
    session = yield from _ready(hosted)
    mask = to_mask(message.mask, session.picture.size_wh)
    done, resumed, pairs = _resume(hosted, session, message, pairs_of(message.points))
    drag = session.live(pairs, mask=mask, weights=message.weights or None, reach=message.reach, resumed=resumed)
    seen, last, seq = -1, None, done
    yield Report("dragging", done)  # pressing is work enough for one step
    while True:
        newest = hosted.newest(message)
        targets = np.array(newest.points, float)[:, 2:]
        if newest.seq != seen:
            seen = newest.seq
            drag.move(targets)
        if newest.phase == "release":
            break
        event = drag.step()
        if event is None:
            yield None
        else:
            last, seq = event, done + event.step
            yield report(session, "dragging", event, targets, 0, offset=done, live_seq=seen)
    for last in drag.release():
        yield report(session, "polishing", last, targets, 0, offset=seq, live_seq=seen)
    fields = yield from _finish(hosted, session, last, targets, seq)
    return {**fields, "reason": fields.get("reason") or "released"}


def _resume(
    hosted: HostedSession, session: Session, message: Drag | Live, pairs: list[Pair]
) -> tuple[int, DragStep | None, list[Pair]]:
    """Find where a drag was when it was cut short: steps made, state, and the pairs with the handles there."""
    progress = hosted.progress(message.id)
    if progress is None or len(progress.event.handles) != len(pairs):
        return 0, None, pairs
    handles = session.crop.to_document(session.crop.nearest_seen(progress.event.handles))
    handles = handles.clip(0, session.picture.size_wh)  # of a square that reaches beyond the picture
    pairs = [((float(x), float(y)), target) for (x, y), (_, target) in zip(handles, pairs, strict=True)]
    return progress.steps, progress.event, pairs


def _finish(
    hosted: HostedSession, session: Session, last: DragStep | None, targets: np.ndarray, offset: int
) -> Generator[Report, None, Fields]:
    """Draw the result at full size, a step of its own."""
    steps = offset + (last.step if last is not None else 0)
    yield Report("rendering", steps)
    fields: Fields = {"step": steps, "notes": notes(hosted), **state_fields(session)}
    if last is not None and last.reason:
        fields["reason"] = last.reason
    best = session.best()
    if best is not None and len(targets) == len(best.handles):
        away = np.linalg.norm(session.crop.to_document(best.handles) - targets, axis=1)
        fields["distance_px"] = float(away.mean())
    return {**fields, **shown(hosted, session)}


def _step_through(hosted: HostedSession, message: Undo | Redo | Reset) -> Steps:
    session = yield from _ready(hosted)
    edits = session.edits
    {Undo: edits.undo, Redo: edits.redo, Reset: edits.reset}[type(message)]()
    yield Report("rendering")
    return {**state_fields(session), **shown(hosted, session)}


def _render(hosted: HostedSession, message: Render) -> Steps:
    session = yield from _ready(hosted)
    yield Report("rendering")
    if message.at is not None:
        return {**state_fields(session), **patch_fields(session.on_the_way(message.at), hosted.order)}
    return {**state_fields(session), **shown(hosted, session)}


def _save(hosted: HostedSession, message: Save) -> Steps:
    session = yield from _ready(hosted)
    return {"session": to_frame(session)}


def _restore(hosted: HostedSession, message: Restore) -> Steps:
    yield Report("loading")
    hosted.opened(message, None)
    session = hosted.need_session()
    yield Report("rendering")
    return {**size(session), **corners(session.crop), **state_fields(session), **shown(hosted, session)}


def _list_models(hosted: HostedSession, message: ListModels) -> Steps:
    yield Report("loading")
    store, loaded = hosted.models.store, hosted.models.loaded()
    here = {info.name for info in store.installed()}
    known = {info.name: info for info in [*store.catalogue(), *store.installed()]}
    entries = [
        ModelEntry(
            name=name[:64],
            title=info.title[:200],
            resolution=info.resolution,
            installed=name in here,
            loaded=name in loaded,
            licence=info.licence[:200],
            aligned=info.aligned,
        )
        for name, info in known.items()
    ]
    return {"models": tuple(entries[:200])}


def _load_model(hosted: HostedSession, message: LoadModel) -> Steps:
    yield Report("loading")
    return hosted.describe_model(message.model)


_STEPS: dict[type[Request], Callable[[Any, Any], Steps]] = {
    Open: _open,
    Invert: _invert,
    Drag: _drag,
    Live: _live,
    Undo: _step_through,
    Redo: _step_through,
    Reset: _step_through,
    Render: _render,
    Save: _save,
    Restore: _restore,
    ListModels: _list_models,
    LoadModel: _load_model,
}


def _ready(hosted: HostedSession) -> Generator[Report, None, Session]:
    """Bring the session into memory, doing first what was left undone."""
    session = hosted.session()
    if session is None:
        yield from prepare(hosted)
        session = hosted.need_session()
    return session
