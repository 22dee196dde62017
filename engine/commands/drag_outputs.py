"""What a drag writes: the picture and its session, report, frames, animation and JSON."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from krita_drag.wire.errors import BadOption, BadOutput
from PIL import Image

from engine.animation import chosen_steps, gif_frame, save_gif
from engine.arguments import STOPPED
from engine.commands.common import save_text, say_notes
from engine.commands.drag_json import describe_outcome
from engine.commands.outcome import Outcome
from engine.drag import DragStep
from engine.images import Picture, save_picture
from engine.outputs import PICTURES, check_distinct, check_file, check_folder, to_json
from engine.overlay import Markers, no_points
from engine.progress import Progress
from engine.report import Report, draw_report
from engine.session_file import SUFFIX, save_session

_FRAME = re.compile(r"step_\d{4,}\.png")


def check_outputs(options: argparse.Namespace, read: list[Path]) -> None:
    """Make sure that everything that is asked for can be written.

    Args:
        options: with all options of the group “outputs”.
        read: files that must not be written over.

    Raises:
        BadOutput, BadOption: something cannot.
    """
    if options.frame_every and not (options.frames or options.gif):
        raise BadOption("--frame-every goes with --frames or --gif.", "Add one of them, or leave --frame-every out.")
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
    others = [*read, *(path for path, _ in outputs)]
    if options.frames:
        check_folder(options.frames)
        for path in others:
            if _FRAME.fullmatch(path.name) and path.resolve().parent == options.frames.resolve():
                raise BadOutput(f"{path} has the name of a frame in the folder of --frames.", "Choose another folder.")
    check_distinct(others)


def conclude(outcome: Outcome, progress: Progress) -> int:
    """Write everything that was asked for, and say how it went; returns the exit code.

    Raises:
        BadOutput: something cannot be written.
    """
    options = outcome.options
    try:
        if options.session:
            save_session(outcome.session, options.session)
    finally:  # what is asked for most is written whatever becomes of the rest
        save_picture(options.output, outcome.after)
    write_extras(outcome, progress)
    say_notes(outcome.notes, progress)
    print(outcome.summary())
    return STOPPED if outcome.stopped else 0


def write_extras(outcome: Outcome, progress: Progress) -> None:
    """Write every other output that was asked for.

    Raises:
        BadOutput: one of them cannot be written.
    """
    options = outcome.options
    if options.json:
        save_text(options.json, to_json(describe_outcome(outcome)))
    if options.report:
        save_picture(options.report, Picture(np.asarray(draw_report(_report(outcome)))))
    if options.frames or options.gif:
        _write_frames(outcome, progress)


def _report(outcome: Outcome) -> Report:
    """Compose the report; of a photo it shows the part that the model sees."""
    session, options = outcome.session, outcome.options
    left, top, right, bottom = session.crop.bounds(*outcome.before.size_wh)
    offset = np.array([left, top])
    tracked = outcome.tracked - offset
    steps, distances = outcome.curve()
    info = session.model.info
    facts = [
        ("model", f"{info.name}, {info.size_text}"),
        ("solver", options.solver),
        ("picture", outcome.title),
        ("points", str(len(outcome.handles))),
        ("drag", f"{outcome.seconds['drag']:.1f} s on {session.w_plus.device.type}"),
    ]
    title = f"{info.name}: no steps"
    if steps:
        title = (
            f"{info.name}, solver {options.solver}: mean distance {distances[0]:.1f} px, "
            f"after {steps[-1]} steps {outcome.left():.1f} px"
        )
    return Report(
        outcome.before.rgb[top:bottom, left:right],
        outcome.after.rgb[top:bottom, left:right],
        Markers(outcome.handles - offset, outcome.targets - offset, tracked),
        steps,
        distances,
        title,
        facts,
    )


def _write_frames(outcome: Outcome, progress: Progress) -> None:
    """Show the way to the picture that was written, cut to what the model sees; write files and animation."""
    options, session = outcome.options, outcome.session
    left, top, right, bottom = session.crop.bounds(*outcome.before.size_wh)
    offset = np.array([left, top])
    events: list[DragStep | None] = [*outcome.way()] or [None]
    frames: list[Image.Image] = []
    chosen = chosen_steps(len(events), options.frame_every)
    names = [f"step_{number:04d}.png" for number in chosen]
    if options.frames:
        _make_folder(options.frames, names, progress)
    with progress.steps("pictures", len(chosen)) as bar:
        for number, name in zip(chosen, names, strict=True):
            event = events[number]
            whole = outcome.before if event is None else session.result(event)
            seen = whole.rgb[top:bottom, left:right]
            if options.frames:
                save_picture(options.frames / name, Picture(seen))
            if options.gif:
                places = no_points() if event is None else session.crop.to_document(event.handles) - offset
                markers = Markers(outcome.handles - offset, outcome.targets - offset, places)
                frames.append(gif_frame(Image.fromarray(seen), markers))
            bar.update()
    if options.gif:
        save_gif(options.gif, frames)


def _make_folder(folder: Path, names: list[str], progress: Progress) -> None:
    """Make the folder of the frames; those of an earlier drag that are not written over stay, and are told."""
    try:
        folder.mkdir(exist_ok=True)
        left = sorted(path.name for path in folder.iterdir() if _FRAME.fullmatch(path.name) and path.name not in names)
    except OSError as error:
        raise BadOutput(f"The folder {folder} cannot be made ready ({error.strerror}).", "Choose another.") from error
    if left:
        progress.note(f"{folder} still has frames of an earlier drag: {left[0]} to {left[-1]}, {len(left)} in all.")
