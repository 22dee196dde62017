"""The entrance to dragging: solvers by name, one stream of events for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
from krita_drag.wire.errors import BadOption
from torch import Tensor

from engine.device import memory_guard
from engine.drag.change_metric import ChangeMetric
from engine.drag.draggan import OFFICIAL, PAPER, ROBUST, Draggan
from engine.drag.freedrag import Freedrag
from engine.drag.newton import Newton
from engine.drag.state import DragPoints, DragStep
from stylegan2 import Generator

DEFAULT_SOLVER = "newton"
FALLBACK = "draggan-robust"  # goes on where a solver finds its own predictions failing
DEFAULT_STEPS = 300


class Solver(Protocol):
    """One drag under way."""

    def steps(self, max_steps: int) -> Iterator[DragStep]:
        """Yield the state at the start and after every step; the last event has a reason."""
        ...


SOLVERS: dict[str, Callable[..., Solver]] = {  # (generator, w_plus, points, mask, home=…, reach=…)
    "newton": Newton,
    "draggan": partial(Draggan, settings=OFFICIAL),
    "draggan-paper": partial(Draggan, settings=PAPER),
    "draggan-robust": partial(Draggan, settings=ROBUST),
    "freedrag": Freedrag,
}


def require_solver(name: str) -> None:
    """Refuse a solver that does not exist.

    Raises:
        BadOption: no solver has that name.
    """
    if name not in SOLVERS:
        raise BadOption(f"There is no solver named “{name}”.", f"Use one of: {', '.join(sorted(SOLVERS))}.")


def drag(
    generator: Generator,
    w_plus: Tensor,
    points: DragPoints,
    *,
    solver: str = DEFAULT_SOLVER,
    mask: np.ndarray | None = None,
    max_steps: int = DEFAULT_STEPS,
    metric: ChangeMetric | None = None,
    home: Tensor | None = None,
    reach: float | None = None,
    chunk: int | None = None,
) -> Iterator[DragStep]:
    """Drag handles towards their targets, one step each time an event is asked for.

    Where the predictions of `newton` keep failing, `FALLBACK` goes on from the best state. Events say who made them.
    To cancel, ask for no more events: each one holds the latent of its state. The same input gives the same events.

    Args:
        generator: any generator, parameters frozen, on its device.
        w_plus: latent of the picture, (1, num_ws, w_dim), on the same device; not changed.
        points: handles and targets, model pixels.
        solver: key of `SOLVERS`.
        mask: region that may move, (resolution, resolution) in [0, 1]; None for everywhere.
        max_steps: steps after which the drag ends wherever it is.
        metric: of `newton`, what steps cost by the change they make; None for its own, the prior of W.
        home: latent of the unedited picture, if `w_plus` is an edit of it.
        reach: how far the latent may go from home: RMS over its moving rows of the distance in standard deviations
            of the model's own samples; None for the solver's default.
        chunk: of `newton`, handles that are linearised at once: fewer take less memory and more time.

    Yields:
        The state at the start, then after every step.

    Raises:
        BadOption: no solver has that name.
        OutOfMemory: the device's memory does not suffice.
    """
    require_solver(solver)
    bounds = {"home": w_plus if home is None else home, "reach": reach}
    own = {"metric": metric, "chunk": chunk} if solver == "newton" else {}
    with memory_guard(w_plus.device):
        best: DragStep | None = None
        for event in SOLVERS[solver](generator, w_plus, points, mask, **bounds, **own).steps(max_steps):
            best = event if best is None or event.mean_distance < best.mean_distance else best
            if event.reason != "failing":
                yield event
                continue
            yield replace(event, reason="")
            successor = SOLVERS[FALLBACK](generator, best.w_plus, replace(points, handles=best.handles), mask, **bounds)
            for later in successor.steps(max_steps - event.step):
                if later.step or later.done:  # its start is `best`
                    yield replace(later, step=event.step + later.step)
