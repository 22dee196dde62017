"""A drag that follows the pointer: targets change while it runs, and the newest ones count (newton only)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from engine.device import memory_guard
from engine.drag.change_metric import ChangeMetric
from engine.drag.newton import Newton
from engine.drag.solver import DEFAULT_STEPS
from engine.drag.state import DragPoints, DragStep
from stylegan2 import Generator

PATIENCE = 3  # steps without progress towards the same targets after which there is nothing left to do


class LiveDrag:
    """Handles that are held; `move` as the pointer does, `step` while there is time, `release` at the end.

    Args:
        generator, w_plus, mask, metric, home, reach, chunk: as for `engine.drag.drag`.
        points: where the handles are pressed, model pixels; the targets are the first to be pulled to.
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        *,
        metric: ChangeMetric | None = None,
        home: Tensor | None = None,
        reach: float | None = None,
        chunk: int | None = None,
    ) -> None:
        with memory_guard(w_plus.device):
            self._solver = Newton(generator, w_plus, points, mask, metric=metric, home=home, reach=reach, chunk=chunk)
        self._device, self._number, self._without_progress = w_plus.device, 0, 0
        self._best_distance = float("inf")

    def move(self, targets: np.ndarray) -> None:
        """Pull to other targets, (n, 2), model pixels; costs nothing until the next step."""
        self._solver.pull(targets)
        self._best_distance, self._without_progress = float("inf"), 0

    def step(self) -> DragStep | None:
        """Make one step towards the newest targets; None when they are reached, or out of reach.

        Raises:
            OutOfMemory: the device's memory does not suffice.
        """
        if self._solver.landed or self._without_progress >= PATIENCE:
            return None
        with memory_guard(self._device):
            self._solver.step()
        self._number += 1
        event = self._solver.event(self._number)
        progress = event.mean_distance < self._best_distance - self._solver.settings.progress_px * self._solver.unit_px
        self._without_progress = 0 if progress else self._without_progress + 1
        self._best_distance = min(self._best_distance, event.mean_distance)
        return event

    def release(self, max_steps: int = DEFAULT_STEPS) -> Iterator[DragStep]:
        """Go on like a plain drag until the handles arrive or nothing moves them any more; the last event has a reason.

        A quick gesture ends before most of the way is made, and a machine may be slow. Where predictions keep
        failing, it stalls: the other solvers take too long for a gesture.
        """
        with memory_guard(self._device):
            for event in self._solver.steps(max_steps):
                self._number += bool(event.step)
                yield replace(event, reason="stalled") if event.reason == "failing" else event
