"""`krita-drag drag`: check everything first, then invert, drag and write."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from krita_drag.wire.errors import BadOption
from numpy.typing import NDArray

from engine.arguments import STOPPED
from engine.commands import drag_remote
from engine.commands.common import check_source, describe, open_model, say_notes
from engine.commands.drag_outputs import Outcome, write_extras
from engine.commands.dragging import drag_with_progress
from engine.commands.searching import Found, search
from engine.drag import DEFAULT_SOLVER, require_solver
from engine.images import Picture, load_mask, load_picture, save_picture
from engine.model_points import outside_mask
from engine.models import Model, ModelInfo, ModelStore
from engine.outputs import PICTURES, check_distinct, check_file, check_folder
from engine.points import check_pairs
from engine.progress import Progress
from engine.session import Session
from engine.session_file import SUFFIX, save_session


@dataclass(frozen=True)
class Inputs:
    """What was asked for, read and found sound.

    Attributes:
        info: the model.
        picture: the photo, or None for a seed.
        mask: (H, W) in [0, 1], 1 = may move, or None.
    """

    info: ModelInfo
    picture: Picture | None
    mask: NDArray[np.float32] | None


def run(options: argparse.Namespace) -> int:
    """Drag and write the outputs; returns 0, or 130 when Ctrl-C cut the drag short (the outputs are written)."""
    options.points = [pull.pair for pull in options.pulls]
    if options.server:
        return drag_remote.run(options)
    store = ModelStore()
    progress = Progress(options.quiet)
    inputs = _check(options, store)
    model = open_model(
        store, inputs.info, options.device, progress, find_face=bool(inputs.picture and not options.crop)
    )
    began = time.perf_counter()
    doubts = outside_mask(options.points, inputs.mask) if inputs.mask is not None and options.steps > 0 else []
    say_notes(doubts, progress)
    if inputs.picture is None:
        session = Session.from_seed(model, options.seed, options.psi, options.class_index)
    else:
        session = _find(options, inputs, model, store, progress).session
    opened = time.perf_counter()
    before = session.picture
    began_drag = time.perf_counter()
    stopped = options.steps > 0 and drag_with_progress(session, options, inputs.mask, progress, solver=options.solver)
    seconds = {"open": opened - began, "drag": time.perf_counter() - began_drag}
    try:
        if options.session:
            save_session(session, options.session)
    finally:  # what is asked for most is written whatever becomes of the rest
        after = session.result() if session.edits.events else before
        save_picture(options.output, after)
    outcome = Outcome(session, options, before, after, stopped, seconds, [*doubts, *session.notes])
    write_extras(outcome, progress)
    say_notes(outcome.notes, progress)
    print(outcome.summary())
    return STOPPED if stopped else 0


def _check(options: argparse.Namespace, store: ModelStore) -> Inputs:
    """Find every mistake that can be found before the long work.

    Raises:
        KritaDragError: the first of them.
    """
    options.solver = options.solver or DEFAULT_SOLVER
    require_solver(options.solver)
    check_source(options)
    if options.frame_every and not (options.frames or options.gif):
        raise BadOption("--frame-every goes with --frames or --gif.", "Add one of them, or leave --frame-every out.")
    _check_outputs(options)
    info = describe(store, options.model)
    picture = load_picture(options.photo) if options.photo else None
    size_wh = picture.size_wh if picture else info.size_wh
    if options.steps > 0:
        check_pairs(options.points, *size_wh)
    mask = load_mask(options.mask, size_wh) if options.mask else None
    return Inputs(info, picture, mask)


def _check_outputs(options: argparse.Namespace) -> None:
    named = [
        (options.output, PICTURES),
        (options.report, PICTURES),
        (options.gif, (".gif",)),
        (options.json, (".json",)),
        (options.session, (SUFFIX,)),
    ]
    outputs = [(path, suffixes) for path, suffixes in named if path]
    for path, suffixes in outputs:
        check_file(path, suffixes)
    if options.frames:
        check_folder(options.frames)
    inputs = [path for path in (options.photo, options.mask) if path]
    check_distinct([*inputs, *(path for path, _ in outputs)])


def _find(options: argparse.Namespace, inputs: Inputs, model: Model, store: ModelStore, progress: Progress) -> Found:
    """Look for the photo; the first Ctrl-C ends that with what was found."""
    assert inputs.picture is not None
    pairs = options.points if options.steps > 0 else ()
    found = search(options, inputs.picture, model, store, progress, pairs=pairs, mask=inputs.mask)
    if found.stopped:
        progress.say("The search ends here; the drag starts from what was found. Ctrl-C again ends the drag.")
    return found
