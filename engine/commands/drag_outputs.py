"""What `krita-drag drag` can write besides the dragged picture: report, frames, animation and JSON."""

from __future__ import annotations

import argparse
import platform
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from krita_drag.wire.errors import BadOutput
from numpy.typing import NDArray
from PIL import Image

from engine import __version__
from engine.animation import chosen_steps, gif_frame, save_gif
from engine.commands.common import save_text
from engine.drag import DragStep
from engine.images import Picture, save_picture
from engine.outputs import to_json
from engine.overlay import Markers, no_points
from engine.progress import Progress
from engine.report import Report, draw_report
from engine.session import Session

_FRAME = re.compile(r"step_\d{4,}\.png")
UNIT = "pixels of the picture"  # of all points and distances in JSON


@dataclass(frozen=True)
class Outcome:
    """A drag that is over.

    Attributes:
        session: where it happened.
        options: the command line.
        before, after: whole pictures.
        stopped: whether Ctrl-C ended it.
        seconds: time of opening (with inversion) and of dragging.
        notes: sentences for the user.
    """

    session: Session
    options: argparse.Namespace
    before: Picture
    after: Picture
    stopped: bool
    seconds: dict[str, float]
    notes: list[str]

    @property
    def history(self) -> list[DragStep]:
        """The steps done; empty for `--steps 0`."""
        return self.session.edits.events

    @property
    def handles(self) -> NDArray[np.float64]:
        """Where the drag took hold, (n, 2), document pixels."""
        return np.array([handle for handle, _ in self._pairs]).reshape(-1, 2)

    @property
    def targets(self) -> NDArray[np.float64]:
        """Where it should go, (n, 2), document pixels."""
        return np.array([target for _, target in self._pairs]).reshape(-1, 2)

    @property
    def _pairs(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        return self.options.points if self.history else []

    def way(self) -> list[DragStep]:
        """The steps up to the one whose picture is written."""
        best = self.session.best()
        return self.history[: 1 + next((i for i, step in enumerate(self.history) if step is best), -1)]

    def curve(self) -> tuple[list[int], list[float]]:
        """Steps from 0 on, and the mean distance left after each, document pixels; empty for `--steps 0`."""
        return [step.step for step in self.history], [self.in_picture(step.mean_distance) for step in self.history]

    def left(self) -> float:
        """The mean distance left in the picture that is written, document pixels; after a drag."""
        return self.in_picture(self.way()[-1].mean_distance)

    def in_picture(self, length: float) -> float:
        """The length of what is so long in the model's picture, document pixels."""
        return float(length) * self.session.crop.scale

    def summary(self) -> str:
        """Return one or two lines for the user."""
        steps, distances = self.curve()
        written = f"wrote {self.options.output}"
        if not steps:
            return f"{written} (no steps)"
        stopped = ", stopped" if self.stopped else ""
        return (
            f"mean distance {distances[0]:.1f} -> {self.left():.1f} px in {steps[-1]} steps"
            f" ({self.seconds['drag']:.1f} s{stopped})\n{written}"
        )


def write_extras(outcome: Outcome, progress: Progress) -> None:
    """Write every other output that was asked for.

    Raises:
        BadOutput: one of them cannot be written.
    """
    options = outcome.options
    if options.json:
        save_text(options.json, to_json(as_dict(outcome)))
    if options.report:
        save_picture(options.report, Picture(np.asarray(draw_report(_report(outcome)))))
    if options.frames or options.gif:
        _write_frames(outcome, progress)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Describe the drag for programs; points and distances in pixels of the picture."""
    options, session = outcome.options, outcome.session
    steps, distances = outcome.curve()
    tracked = session.handles_document()
    points = zip(outcome.handles, outcome.targets, tracked, strict=True)
    return {
        "model": {"name": session.model.info.name, "resolution": session.model.info.resolution},
        "source": {"photo": options.photo.name} if options.photo else generated_from(options),
        "solver": options.solver,
        "unit": UNIT,
        "points": [
            {"handle": handle.tolist(), "target": target.tolist(), "tracked": now.tolist()}
            for handle, target, now in points
        ],
        "start_mean_distance": distances[0] if steps else None,
        "end_mean_distance": outcome.left() if steps else None,
        "steps": steps[-1] if steps else 0,
        "shown_step": outcome.way()[-1].step if steps else 0,
        "reason": _reason(outcome),
        "history": [
            {
                "step": step.step,
                "loss": float(step.loss),
                "mean_distance": outcome.in_picture(step.mean_distance),
                "distances": [outcome.in_picture(distance) for distance in step.distances],
                "handles": session.crop.to_document(step.handles).tolist(),
            }
            for step in outcome.history
        ],
        "seconds": outcome.seconds,
        "notes": outcome.notes,
        "versions": {"krita-drag": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "device": str(session.w_plus.device),
    }


def generated_from(options: argparse.Namespace) -> dict[str, Any]:
    """Describe where a generated picture comes from, for programs."""
    chosen = {} if options.class_index is None else {"class": options.class_index}
    return {"seed": options.seed, "psi": options.psi, **chosen}


def _reason(outcome: Outcome) -> str:
    if outcome.stopped:
        return "stopped"
    return outcome.history[-1].reason if outcome.history else "no steps"


def _report(outcome: Outcome) -> Report:
    """Compose the report; of a photo it shows the part that the model sees."""
    session, options = outcome.session, outcome.options
    left, top, right, bottom = session.crop.bounds(*outcome.before.size_wh)
    offset = np.array([left, top])
    tracked = session.handles_document() - offset
    steps, distances = outcome.curve()
    info = session.model.info
    facts = [
        ("model", f"{info.name}, {info.size_text}"),
        ("solver", options.solver),
        ("picture", options.photo.name[:28] if options.photo else f"seed {options.seed}, psi {options.psi:g}"),
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
    _make_folder(options)
    chosen = chosen_steps(len(events), options.frame_every)
    with progress.steps("pictures", len(chosen)) as bar:
        for number in chosen:
            event = events[number]
            whole = outcome.before if event is None else session.result(event)
            seen = whole.rgb[top:bottom, left:right]
            if options.frames:
                save_picture(options.frames / f"step_{number:04d}.png", Picture(seen))
            if options.gif:
                places = no_points() if event is None else session.crop.to_document(event.handles) - offset
                markers = Markers(outcome.handles - offset, outcome.targets - offset, places)
                frames.append(gif_frame(Image.fromarray(seen), markers))
            bar.update()
    if options.gif:
        save_gif(options.gif, frames)


def _make_folder(options: Any) -> None:
    """Make the folder of the frames, or take those of an earlier drag out of it; other files stay."""
    if not options.frames:
        return
    try:
        options.frames.mkdir(exist_ok=True)
        for path in options.frames.iterdir():
            if _FRAME.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        raise BadOutput(
            f"The folder {options.frames} cannot be made ready ({error.strerror}).", "Choose another."
        ) from error
