"""The drag itself, as the commands that drag show it."""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from engine.progress import Progress, stop_on_interrupt
from engine.session import Session


def drag_with_progress(
    session: Session,
    options: argparse.Namespace,
    mask: NDArray[np.float32] | None,
    progress: Progress,
    *,
    onward: bool = False,
) -> bool:
    """Drag what the options say until the solver is done or the user is; returns whether it was the user."""
    with stop_on_interrupt(progress) as stop, progress.steps("drag", options.steps) as bar:
        events = session.drag(
            [pull.pair for pull in options.pulls],
            solver=options.solver,
            mask=mask,
            max_steps=options.steps,
            weights=[pull.weight for pull in options.pulls],
            reach=options.reach,
            onward=onward,
        )
        for step in events:
            bar.set_postfix_str(f"{step.mean_distance * session.crop.scale:.1f} px left", refresh=False)
            bar.update(step.step - bar.n)
            if stop.wanted:
                break
    if stop.wanted:
        progress.say("Stopping here; the best result so far is being written.")
    return stop.wanted
