"""`krita-drag session`: look into a session's file, write its picture, drag on."""

from __future__ import annotations

import argparse

from engine.arguments import STOPPED
from engine.commands.common import say_notes
from engine.commands.dragging import drag_with_progress
from engine.device import pick
from engine.images import load_mask, save_picture
from engine.models import ModelStore
from engine.outputs import PICTURES, check_distinct, check_file, to_json
from engine.points import check_pairs
from engine.progress import Progress
from engine.session import Session
from engine.session_file import SUFFIX, describe_session, load_session, save_session


def run(options: argparse.Namespace) -> int:
    """Show, render or drag; returns the exit code, 130 when Ctrl-C cut a drag short (the outputs are written)."""
    if options.action == "show":
        print(to_json(describe_session(options.file)), end="")
        return 0
    progress = Progress(options.quiet)
    check_file(options.output, PICTURES)
    keep, mask = (options.session, options.mask) if options.action == "drag" else (None, None)
    if keep:
        check_file(keep, (SUFFIX,))
    kept_apart = keep if keep != options.file else None  # a session may go on in its own file
    check_distinct([path for path in (options.file, mask, options.output, kept_apart) if path])
    session = load_session(options.file, ModelStore(), pick(options.device))
    stopped = options.action == "drag" and _drag(session, options, progress)
    try:
        if keep:
            save_session(session, keep)
    finally:
        save_picture(options.output, session.result())
    say_notes(session.notes, progress)
    print(f"wrote {options.output}")
    return STOPPED if stopped else 0


def _drag(session: Session, options: argparse.Namespace, progress: Progress) -> bool:
    """Drag until the solver is done or the user is; returns whether it was the user."""
    size_wh = session.picture.size_wh
    check_pairs([pull.pair for pull in options.pulls], *size_wh)
    mask = load_mask(options.mask, size_wh) if options.mask else None
    return drag_with_progress(session, options, mask, progress, onward=options.onward)
