"""How long an inversion will take: from the time of a few renderings before it, then from its own steps."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from engine.inversion import project, tuning
from engine.inversion.presets import Preset
from stylegan2 import Generator

BACKWARD = 2.0  # time of a backward pass, in forward passes
PASSES_TIMED = 2  # of each size; the first of a process also reads weights from the disk and makes the device ready
TRUSTED_STEPS = 4  # from here on the steps made tell how fast the machine is


class Forecast:
    """The time that is left; measures a few renderings when it is made.

    Args:
        generator: the model.
        preset: the work.
        timings: those of another process, instead of measuring.
        done: steps that were made there.

    Attributes:
        timings: (side, seconds of one pass to its block), whole renderings included.
    """

    def __init__(
        self, generator: Generator, preset: Preset, timings: Sequence[Sequence[float]] | None = None, done: int = 0
    ) -> None:
        if timings is None:
            sides = {generator.resolution, project.READOUT_PX, tuning.LOCALITY_PX, *(px for px, _ in preset.tuning)}
            timings = [(px, min(_seconds(generator, px) for _ in range(PASSES_TIMED))) for px in sorted(sides)]
        self.timings = timings
        seconds = {int(px): value for px, value in timings}
        full, low = seconds[generator.resolution], seconds[project.READOUT_PX]
        often = 1 / project.EXACT_EVERY
        latent = (1 + BACKWARD) * low + often * ((1 + BACKWARD) * (full - low) + low)
        self._costs = [latent] * preset.latent
        for px, steps in preset.tuning:
            forward = seconds[px]
            renewal = 0.0 if px >= generator.resolution else (full + forward) / tuning.EXACT_EVERY
            locality = (2 + BACKWARD) * seconds[min(px, tuning.LOCALITY_PX)] / tuning.LOCALITY_EVERY
            self._costs += [(1 + BACKWARD) * forward + renewal + locality] * steps
        self._first, self._began = done, time.perf_counter()

    def seconds_left(self, done: int) -> float:
        """Estimate what follows after `done` steps."""
        left = sum(self._costs[done:])
        if done - self._first < TRUSTED_STEPS:
            return left
        return left * (time.perf_counter() - self._began) / sum(self._costs[self._first : done])


@torch.no_grad()
def _seconds(generator: Generator, px: int) -> float:
    """Time one pass to the largest block up to `px`, or a rendering where there is none above."""
    w_plus = generator.w_mean.expand(1, generator.num_ws, -1)
    block = max((size for size in generator.feature_resolutions if size <= px), default=px)
    began = time.perf_counter()
    if block < generator.resolution and px < generator.resolution:
        generator.features(w_plus, block)
    else:
        generator.synthesis(w_plus)
    if w_plus.is_cuda:
        torch.cuda.synchronize(w_plus.device)
    return time.perf_counter() - began
