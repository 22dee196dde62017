"""`krita-drag drag`: check everything first, then invert, drag and write."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.commands import drag_remote
from engine.commands.common import check_source, describe, open_model, say_notes
from engine.commands.drag_json import describe_source
from engine.commands.drag_outputs import check_outputs, conclude
from engine.commands.dragging import drag_with_progress
from engine.commands.outcome import Outcome
from engine.commands.searching import Found, search
from engine.drag import DEFAULT_SOLVER, require_solver
from engine.images import Picture, load_mask, load_picture
from engine.model_points import outside_mask
from engine.models import Model, ModelInfo, ModelStore
from engine.points import check_pairs
from engine.progress import Progress
from engine.session import Session


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
    found = None if inputs.picture is None else _find(options, inputs, model, store, progress)
    if found is None:
        session = Session.from_seed(model, options.seed, options.psi, options.class_index)
    else:
        session = found.session
    opened = time.perf_counter()
    stopped = options.steps > 0 and drag_with_progress(session, options, inputs.mask, progress)
    seconds = {"open": opened - began, "drag": time.perf_counter() - opened}
    notes = [*doubts, *session.notes]
    source = describe_source(options)
    title = options.photo.name[:28] if options.photo else f"seed {options.seed}, psi {options.psi:g}"
    outcome = Outcome(session, options, source, title, session.picture, stopped, seconds, notes, found)
    return conclude(outcome, progress)


def _check(options: argparse.Namespace, store: ModelStore) -> Inputs:
    """Find every mistake that can be found before the long work.

    Raises:
        KritaDragError: the first of them.
    """
    options.solver = options.solver or DEFAULT_SOLVER
    require_solver(options.solver)
    check_source(options)
    check_outputs(options, [path for path in (options.photo, options.mask) if path])
    info = describe(store, options.model)
    picture = load_picture(options.photo) if options.photo else None
    size_wh = picture.size_wh if picture else info.size_wh
    if options.steps > 0:
        check_pairs(options.points, *size_wh)
    mask = load_mask(options.mask, size_wh) if options.mask else None
    return Inputs(info, picture, mask)


def _find(options: argparse.Namespace, inputs: Inputs, model: Model, store: ModelStore, progress: Progress) -> Found:
    """Look for the photo; the first Ctrl-C ends that with what was found."""
    assert inputs.picture is not None
    pairs = options.points if options.steps > 0 else ()
    found = search(options, inputs.picture, model, store, progress, pairs=pairs, mask=inputs.mask)
    if found.stopped:
        progress.say("The search ends here; the drag starts from what was found. Ctrl-C again ends the drag.")
    return found
