"""A drag that is over, as the outputs show it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.commands.searching import Found
from engine.drag import DragStep
from engine.images import Picture
from engine.points import Pull
from engine.session import Session


@dataclass(frozen=True)
class Outcome:
    """A drag that is over.

    Attributes:
        session: where it happened.
        options: the command line.
        source: where the picture comes from, for programs.
        title: the same for people, short.
        before: the whole picture that the drag began with.
        stopped: whether Ctrl-C ended it.
        seconds: time of each part.
        notes: sentences for the user.
        found: how the photo was found; None where none was looked for.
    """

    session: Session
    options: argparse.Namespace
    source: dict[str, Any]
    title: str
    before: Picture
    stopped: bool
    seconds: dict[str, float]
    notes: list[str]
    found: Found | None = None

    @cached_property
    def after(self) -> Picture:
        """The whole picture that it led to."""
        return self.session.result() if self.history else self.before

    @property
    def history(self) -> list[DragStep]:
        """The steps done; empty for `--steps 0`."""
        return self.session.edits.events

    @property
    def pulls(self) -> list[Pull]:
        """What was dragged; empty for `--steps 0`."""
        return self.options.pulls if self.history else []

    @property
    def handles(self) -> NDArray[np.float64]:
        """Where the drag took hold, (n, 2), document pixels."""
        return np.array([pull.pair[0] for pull in self.pulls]).reshape(-1, 2)

    @property
    def targets(self) -> NDArray[np.float64]:
        """Where it should go, (n, 2), document pixels."""
        return np.array([pull.pair[1] for pull in self.pulls]).reshape(-1, 2)

    @property
    def tracked(self) -> NDArray[np.float64]:
        """Where the handles are in the picture that it led to, (n, 2), document pixels."""
        return self.session.handles_document() if self.history else np.zeros((0, 2))

    def way(self) -> list[DragStep]:
        """The steps up to the one whose picture is written."""
        best = self.session.best()
        return self.history[: 1 + next((i for i, step in enumerate(self.history) if step is best), -1)]

    def curve(self) -> tuple[list[int], list[float]]:
        """Steps from 0 on, and the mean distance left after each, document pixels; empty for `--steps 0`."""
        return [step.step for step in self.history], [self._in_picture(step.mean_distance) for step in self.history]

    def left(self) -> float:
        """The mean distance left in the picture that is written, document pixels; after a drag."""
        return self._in_picture(self.way()[-1].mean_distance)

    def _in_picture(self, length: float) -> float:
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
