"""How long an inversion will take: from the time of two renderings before it, then from its own steps."""

from __future__ import annotations

import time

import torch

from engine.inversion import project, tuning
from engine.inversion.presets import Preset
from stylegan2 import Generator

BACKWARD = 2.0  # time of a backward pass, in forward passes
TRUSTED_STEPS = 4  # from here on the steps made tell how fast the machine is


class Forecast:
    """The time that is left; measures two renderings when it is made.

    Args:
        generator: the model.
        preset: the work.
    """

    def __init__(self, generator: Generator, preset: Preset) -> None:
        full = _seconds(generator, generator.resolution)
        low = _seconds(generator, project.READOUT_PX)
        often = 1 / project.EXACT_EVERY
        latent = (1 + BACKWARD) * low + often * ((1 + BACKWARD) * (full - low) + low)
        self._costs = [latent] * preset.latent
        for px, steps in preset.tuning:
            forward = low if px == project.READOUT_PX else _seconds(generator, px)
            self._costs += [(1 + BACKWARD) * forward + (full + forward) / tuning.EXACT_EVERY] * steps
        self._began = time.perf_counter()

    def seconds_left(self, done: int) -> float:
        """Estimate what follows after `done` steps."""
        left = sum(self._costs[done:])
        if done < TRUSTED_STEPS:
            return left
        return left * (time.perf_counter() - self._began) / sum(self._costs[:done])


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
