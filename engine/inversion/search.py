"""The stages of an inversion in turn, its best state, and how it goes on in another process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from engine.inversion.forecast import Forecast
from engine.inversion.losses import PyramidLoss
from engine.inversion.presets import Preset
from engine.inversion.project import Projection
from engine.inversion.snapshot import Snapshot, Tensors, prefixed, under
from engine.inversion.start import StartEncoder
from engine.inversion.steps import InversionStep
from engine.inversion.tuning import PivotalTuning
from engine.models import Model


class Search:
    """Moves the latent, then tunes the weights around the best latent found.

    Args:
        model: loaded model.
        target: what it is to draw, (1, 3, R, R) in [-1, 1].
        weight: how much each pixel counts, (1, 1, R, R).
        plan: steps of the stages.
        resumed: where another process was.

    Attributes:
        done: steps made.
        best: the best state that was measured; its weight offsets have half precision.
        forecast: of the time.
    """

    def __init__(
        self, model: Model, target: Tensor, weight: Tensor, plan: Preset, resumed: Snapshot | None = None
    ) -> None:
        self._model, self._plan, self._seen = model, plan, (target, weight)
        self._loss = PyramidLoss(target, weight)
        self._projection = Projection(model.generator, self._loss, plan.latent)
        self._tuning: PivotalTuning | None = None
        self._fresh = resumed is None
        self.done = 0
        self.best: InversionStep | None = None
        if resumed is not None:
            self._restore(resumed.told, dict(resumed.tensors))
        timings = None if resumed is None else resumed.told["timings"]
        self.forecast = Forecast(model.generator, plan, timings, self.done)

    def run(self) -> Iterator[InversionStep]:
        """Yield the steps that are left; ends early where the numbers end."""
        for step in self._steps():
            self.done = step.step
            if not math.isfinite(step.loss):
                return
            if step.exact and (self.best is None or step.loss < self.best.loss):
                self.best = _lasting(step)
            yield step

    def snapshot(self) -> Snapshot:
        """Return what another process can go on from; only between two steps, after the first."""
        assert self.best is not None
        best = {"stage": self.best.stage, "step": self.best.step, "loss": self.best.loss}
        tensors: Tensors = {"best/w_plus": self.best.w_plus, **prefixed("best/delta/", self.best.deltas)}
        if self.done < self._plan.latent:
            tensors |= prefixed("projection/", self._projection.state())
        elif self._tuning is not None:
            tensors |= prefixed("tuning/", self._tuning.state())
        return Snapshot({"step": self.done, "best": best, "timings": self.forecast.timings}, tensors)

    def _restore(self, told: Any, tensors: Tensors) -> None:
        like = self._model.generator.w_mean
        self.done = told["step"]
        deltas = {name: delta.to(like.device) for name, delta in under("best/delta/", tensors).items()}
        best, w_plus = told["best"], tensors["best/w_plus"].to(like)
        self.best = InversionStep(best["stage"], best["step"], self._plan.steps, best["loss"], True, w_plus, deltas)
        projection, tuning = under("projection/", tensors), under("tuning/", tensors)
        if projection:
            self._projection.load_state(projection, self.done)
        if tuning:
            self._tune(w_plus).load_state(tuning)

    def _steps(self) -> Iterator[InversionStep]:
        plan = self._plan
        if self.done < plan.latent:
            encoder = StartEncoder.load(self._model.path, self._model.generator) if self._fresh else None
            yield from self._projection.run(plan.steps, None if encoder is None else encoder(*self._seen))
        assert self.best is not None
        tuning = self._tuning or self._tune(self.best.w_plus)
        first = plan.latent
        for px, steps in plan.tuning:
            made = max(0, self.done - first)
            yield from tuning.run(px, range(first + 1, first + steps + 1), plan.steps, made)
            first += steps

    def _tune(self, pivot: Tensor) -> PivotalTuning:
        self._tuning = PivotalTuning(self._model.generator, pivot, self._loss)
        return self._tuning


def _lasting(step: InversionStep) -> InversionStep:
    """Keep of a step what outlives it."""
    deltas = {name: delta.half() for name, delta in step.deltas.items()}
    return InversionStep(step.stage, step.step, step.total, step.loss, step.exact, step.w_plus, deltas)
