"""`krita-drag drag … --server`: the same drag by an engine in another process, here or on another machine."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from krita_drag.client import State, StateChanged
from krita_drag.wire.errors import BadFrame, BadOption
from krita_drag.wire.messages import (
    Cancelled,
    Close,
    Done,
    Drag,
    Frame,
    Invert,
    ListModels,
    Open,
    Progress,
    Render,
    Save,
    new_id,
)

from engine.arguments import STOPPED
from engine.commands.common import check_source, save_text, say_notes
from engine.commands.drag_course import Course, Machine, ask_machine, describe
from engine.drag import DEFAULT_SOLVER, require_solver
from engine.images import Picture, atomic_output, load_mask, load_picture, save_picture
from engine.model_points import outside_mask
from engine.outputs import PICTURES, check_distinct, check_file, to_json
from engine.points import check_pairs
from engine.progress import Progress as Bars
from engine.progress import duration, stop_on_interrupt
from engine.remote import RemoteEngine, finder
from engine.service.pixels import to_picture, whole_picture
from engine.session_file import SUFFIX

_ONLY_HERE = ("report", "frames", "gif", "frame_every")  # need the session in this process
_PHASES = {"loading": "loading the model", "aligning": "looking for the face"}


def run(options: argparse.Namespace) -> int:
    """Drag and write the outputs; returns 0, or 130 when Ctrl-C cut the drag short (the outputs are written)."""
    bars, course = Bars(options.quiet), Course(options.pulls)
    picture = _check(options)
    if picture is not None:
        say_notes(_doubts(options, picture), bars)
    with stop_on_interrupt(bars) as stop, RemoteEngine(finder(options.server)) as engine:
        conversation = _Conversation(engine, bars, course, lambda: not stop.wanted)
        sid = new_id()
        try:
            before, notes = _open(conversation, course, options, picture, sid)
            notes = [*_doubts(options, before), *notes]
            end = _drag(conversation, options, before, sid) if options.steps > 0 else None
            try:
                save_picture(options.output, before if end is None else lay_over(before, end))
            finally:
                if options.session:
                    write_session(options.session, engine.ask(Save(new_id(), sid)))
        finally:
            engine.say(Close(new_id(), sid))
        machine = ask_machine(engine, options.model) if options.json else Machine()
    notes = list(dict.fromkeys([*notes, *(end.notes if end else ())]))
    if options.json:
        save_text(options.json, to_json(describe(options, course, machine, end, notes)))
    say_notes(notes, bars)
    print(_summary(options, course, end))
    return STOPPED if stop.wanted else 0


def lay_over(picture: Picture, end: Done | Cancelled) -> Picture:
    """Return a picture with the patch of an answer over it."""
    if end.patch is None or end.rect is None:
        return picture
    left, top, width, height = end.rect
    patch = np.frombuffer(end.patch.data, np.uint8).reshape(height, width, 4).astype(np.float32)
    shown = patch[..., 3:] / 255
    if picture.alpha is not None:  # a patch is no more opaque than the picture, which keeps its own opacity here
        opacity = picture.alpha[top : top + height, left : left + width, None] / np.float32(255)
        shown = (shown / opacity.clip(1 / 255)).clip(0, 1)
    rgb = picture.rgb.copy()
    below = rgb[top : top + height, left : left + width]
    below[:] = (below + (patch[..., :3] - below) * shown).round().astype(np.uint8)
    return dataclasses.replace(picture, rgb=rgb)


class _Conversation:
    """Asks, and shows what is told meanwhile."""

    def __init__(self, engine: RemoteEngine, bars: Bars, course: Course, wanted: Any) -> None:
        self._engine, self._bars, self._course, self._wanted = engine, bars, course, wanted

    def ask(self, request: Any, title: str, total: int = 0, wanted: Any = None) -> Any:
        began = time.perf_counter()
        with self._bars.steps(title, total) as bar:

            def show(event: Any) -> None:
                if isinstance(event, StateChanged) and event.state is State.NOT_RESPONDING:
                    self._bars.say(str(event.reason))
                if isinstance(event, Progress):
                    self._course.note(event)
                    bar.total = event.of or bar.total
                    phase = _PHASES.get(event.phase, event.phase)
                    left = "" if event.left_s is None else f", {duration(event.left_s)} left"
                    bar.set_postfix_str(f"{phase}{left}", refresh=False)
                    bar.update(event.step - bar.n)

            end = self._engine.ask(request, show, wanted or self._wanted)
        self._course.seconds[request.type] = time.perf_counter() - began
        return end

    def drawn(self, end: Cancelled) -> Cancelled:
        """Return the end of a stopped drag with its patch: an engine that draws slowly leaves it out."""
        if end.patch is not None or end.sid is None:
            return end
        shown: Done = self._engine.ask(Render(new_id(), end.sid))
        return dataclasses.replace(end, rect=shown.rect, patch=shown.patch, handles=shown.handles)

    def is_aligned(self, model: str) -> bool:
        """Whether a model looks for a face; for others a mask only says what may move."""
        models = self.must_finish(ListModels(new_id()), "asking for models").models
        return any(entry.aligned for entry in models if entry.name == model)

    def find(self, search: Invert) -> Done | Cancelled:
        """Look for a photo; the first Ctrl-C ends that with what was found."""
        with stop_on_interrupt(self._bars) as stop:
            title, wanted = "looking for the photo in the model", lambda: not stop.wanted
            end: Done | Cancelled = self.ask(search, title, wanted=wanted)
        if isinstance(end, Cancelled):
            if not end.corners:
                raise KeyboardInterrupt  # nothing was found yet
            self._bars.say("The search ends here; the drag starts from what was found. Ctrl-C again ends the drag.")
        return end

    def must_finish(self, request: Any, title: str) -> Any:
        end = self.ask(request, title)
        if isinstance(end, Cancelled):
            raise KeyboardInterrupt  # before the drag there is nothing to be written
        return end


def _check(options: argparse.Namespace) -> Picture | None:
    """Find every mistake that can be found before the engine is asked; returns the photo, None for a seed.

    Raises:
        KritaDragError: the first of them.
    """
    for name in _ONLY_HERE:
        if getattr(options, name) is not None:
            raise BadOption(f"--{name.replace('_', '-')} does not go with --server.", "Leave one of them out.")
    if options.device != "auto":
        raise BadOption("--device does not go with --server: the engine has its own.", "Leave one of them out.")
    options.solver = options.solver or DEFAULT_SOLVER
    require_solver(options.solver)
    check_file(options.output, PICTURES)
    check_source(options)
    for path, suffix in ((options.json, ".json"), (options.session, SUFFIX)):
        if path:
            check_file(path, (suffix,))
    files = (options.photo, options.mask, options.output, options.json, options.session)
    check_distinct([path for path in files if path])
    picture = load_picture(options.photo) if options.photo else None
    if picture is not None:
        if options.steps > 0:
            check_pairs(options.points, *picture.size_wh)
        _mask(options, picture)
    return picture


def _open(
    conversation: _Conversation, course: Course, options: argparse.Namespace, picture: Picture | None, sid: str
) -> tuple[Picture, list[str]]:
    """Open the session; returns the picture before the drag, and what is to be said about it."""
    if picture is None:
        message = Open(
            new_id(),
            sid,
            options.model,
            seed=options.seed,
            truncation_psi=options.psi,
            class_index=options.class_index,
        )
        opened = conversation.must_finish(message, "opening")
        course.corners = opened.corners
        return to_picture(opened.picture, "RGBA"), list(opened.notes)
    conversation.must_finish(Open(new_id(), sid, options.model, image=whole_picture(picture, "RGBA")), "opening")
    search = Invert(
        new_id(),
        sid,
        preset=options.preset,
        steps=options.inversion_steps,
        preview_px=0,
        points=_points(options) if options.steps > 0 else (),
        corners=options.crop,
        selection=_mask(options, picture) if conversation.is_aligned(options.model) else None,
    )
    course.found = found = conversation.find(search)
    course.corners = found.corners
    return picture, [*picture.notes, *found.notes]


def _drag(conversation: _Conversation, options: argparse.Namespace, picture: Picture, sid: str) -> Done | Cancelled:
    check_pairs(options.points, *picture.size_wh)
    message = Drag(
        new_id(),
        sid,
        _points(options),
        solver=options.solver,
        max_steps=options.steps,
        weights=tuple(pull.weight for pull in options.pulls),
        reach=options.reach,
        preview_px=0,
        mask=_mask(options, picture),
    )
    end: Done | Cancelled = conversation.ask(message, "drag", options.steps)
    return conversation.drawn(end) if isinstance(end, Cancelled) else end


def _points(options: argparse.Namespace) -> tuple[tuple[float, ...], ...]:
    return tuple((*handle, *target) for handle, target in options.points)


def _mask(options: argparse.Namespace, picture: Picture) -> Frame | None:
    if not options.mask:
        return None
    mask = np.ascontiguousarray((load_mask(options.mask, picture.size_wh) * 255).round().astype(np.uint8))
    return Frame("u1", mask.shape, mask.data.cast("B"))


def _doubts(options: argparse.Namespace, picture: Picture) -> list[str]:
    """Sentences about points that cannot go anywhere."""
    if not options.mask or options.steps == 0:
        return []
    return outside_mask(options.points, load_mask(options.mask, picture.size_wh))


def write_session(path: Path, saved: Done) -> None:
    """Write the session that the engine has handed out, all or nothing.

    Raises:
        BadOutput: it cannot be written.
        BadFrame: there is none.
    """
    if saved.session is None:
        raise BadFrame("The engine has sent no session.")
    with atomic_output(path) as temporary:
        temporary.write_bytes(saved.session.data)


def _summary(options: argparse.Namespace, course: Course, end: Done | Cancelled | None) -> str:
    if end is None:
        return f"wrote {options.output} (no steps)"
    left = f"{end.distance_px:.1f} px left" if end.distance_px is not None else "dragged"
    stopped = ", stopped" if isinstance(end, Cancelled) else ""
    return f"{left} after {end.step} steps ({course.seconds['drag']:.1f} s{stopped})\nwrote {options.output}"
