"""`krita-drag session`: look into a session's file, write its picture, drag on."""

from __future__ import annotations

import argparse
import time

from engine.commands.common import say_notes
from engine.commands.drag_outputs import check_outputs, conclude
from engine.commands.dragging import drag_with_progress
from engine.commands.outcome import Outcome
from engine.device import pick
from engine.drag import DEFAULT_SOLVER, require_solver
from engine.images import load_mask, save_picture
from engine.model_points import outside_mask
from engine.models import ModelStore
from engine.outputs import PICTURES, check_distinct, check_file, to_json
from engine.points import check_pairs
from engine.progress import Progress
from engine.session_file import describe_session, load_session


def run(options: argparse.Namespace) -> int:
    """Show, render or drag; returns the exit code, 130 when Ctrl-C cut a drag short (the outputs are written)."""
    if options.action == "show":
        print(to_json(describe_session(options.file)), end="")
        return 0
    progress = Progress(options.quiet)
    return _drag(options, progress) if options.action == "drag" else _render(options, progress)


def _render(options: argparse.Namespace, progress: Progress) -> int:
    check_file(options.output, PICTURES)
    check_distinct([options.file, options.output])
    session = load_session(options.file, ModelStore(), pick(options.device))
    save_picture(options.output, session.result())
    say_notes(session.notes, progress)
    print(f"wrote {options.output}")
    return 0


def _drag(options: argparse.Namespace, progress: Progress) -> int:
    options.solver = options.solver or DEFAULT_SOLVER
    require_solver(options.solver)
    # a session may go on in its own file
    in_place = bool(options.session) and options.session.resolve() == options.file.resolve()
    check_outputs(options, [path for path in (options.mask, None if in_place else options.file) if path])
    began = time.perf_counter()
    session = load_session(options.file, ModelStore(), pick(options.device))
    pairs, size_wh = [pull.pair for pull in options.pulls], session.picture.size_wh
    check_pairs(pairs, *size_wh)
    mask = load_mask(options.mask, size_wh) if options.mask else None
    doubts = outside_mask(pairs, mask) if mask is not None else []
    say_notes(doubts, progress)
    before = session.result() if options.onward else session.picture
    opened = time.perf_counter()
    stopped = drag_with_progress(session, options, mask, progress, onward=options.onward)
    seconds = {"open": opened - began, "drag": time.perf_counter() - opened}
    notes = [*doubts, *session.notes]
    source, title = {"session": options.file.name}, options.file.name[:28]
    return conclude(Outcome(session, options, source, title, before, stopped, seconds, notes), progress)
