"""Find the latent whose rendering looks like a photo: W first, then W+ (Abdal et al. 2019, Karras et al. 2020).

Adam in whitened coordinates. Most steps stop at 128-pixel features and read a small picture off them
(`engine.inversion.readout`); every tenth renders in full, which renews that reading, moves the rows above, and says
truly how good the latent is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.inversion.losses import PyramidLoss, prior
from engine.inversion.readout import LocalReadout
from engine.latent import Whitening
from stylegan2 import Generator

READOUT_PX = 128
EXACT_EVERY = 10
W_SHARE = 0.3  # of the steps, before each row goes its own way
LEARNING_RATE = 0.05  # in standard deviations of w
WARM_UP = 0.05  # of the steps
NORM_WEIGHT, SPREAD_WEIGHT = 0.002, 0.1

Stage = Literal["w", "w+"]


@dataclass(frozen=True)
class InversionStep:
    """The state of an inversion at one step.

    Attributes:
        stage: "w" while all rows of the latent are one, then "w+".
        step: 1 to `total`.
        total: steps that were asked for.
        loss: distance to the photo, about [-1, 1] pixel values; estimated except at exact steps.
        exact: whether the loss was measured on a full rendering.
        w_plus: latent of this state, (1, num_ws, w_dim).
    """

    stage: Stage
    step: int
    total: int
    loss: float
    exact: bool
    w_plus: Tensor


class Projection:
    """One search for one photo; iterate `run` for its steps.

    Args:
        generator: in evaluation mode.
        loss: distance of a rendering to the photo.
    """

    def __init__(self, generator: Generator, loss: PyramidLoss) -> None:
        self._generator, self._loss = generator, loss
        self._whitening = Whitening(generator)
        below = [size for size in generator.feature_resolutions if size <= min(READOUT_PX, generator.resolution // 2)]
        self._readout_px = max(below) if generator.resolution > READOUT_PX and below else None
        self._readout: LocalReadout | None = None
        self._correction = 0.0  # of the estimated loss, so that it meets the measured one where the readout is fitted
        self._low = sum(size <= (self._readout_px or generator.resolution) for size in generator.layer_resolutions)

    def run(self, steps: int) -> Iterator[InversionStep]:
        """Yield `steps` states, from the mean latent on; the first and the last are exact."""
        shared = torch.zeros(1, self._generator.w_dim, device=self._generator.w_mean.device)
        switch = round(steps * W_SHARE)
        yield from self._search("w", [shared], range(1, switch + 1), steps)
        rows = shared.repeat(self._generator.num_ws, 1)
        parts = [part.clone() for part in (rows[: self._low], rows[self._low :]) if len(part)]
        yield from self._search("w+", parts, range(switch + 1, steps + 1), steps)

    def _search(self, stage: Stage, parts: list[Tensor], numbers: range, total: int) -> Iterator[InversionStep]:
        """Move whitened latents, in place, by one step of Adam for each number.

        Args:
            stage: told in the events.
            parts: rows (n, w_dim); one row stands for all. Only the first part feeds the cheap steps.
            numbers: of the steps to make.
            total: steps of the whole search.
        """
        optimiser = torch.optim.Adam([part.requires_grad_() for part in parts], betas=(0.9, 0.99))
        for number in numbers:
            rows = torch.cat(parts).expand(self._generator.num_ws, -1)
            w_plus = self._whitening.to_w(rows)[None]  # (1, num_ws, w_dim)
            exact = self._readout_px is None or number % EXACT_EVERY == 1 or number == total
            loss, value = self._measure(w_plus) if exact else self._estimate(w_plus)
            yield InversionStep(stage, number, total, value, exact, w_plus.detach())
            loss = loss + prior(rows, NORM_WEIGHT, SPREAD_WEIGHT)
            optimiser.zero_grad()
            moved = parts if exact else parts[:1]
            for part, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
                part.grad = gradient
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * _schedule(number / total)
            optimiser.step()
        for part in parts:
            part.requires_grad_(False)

    def _measure(self, w_plus: Tensor) -> tuple[Tensor, float]:
        """Render in full and fit the readout there: the loss to differentiate, and its value."""
        rendering = self._generator.synthesis(w_plus)
        loss = self._loss(rendering)
        value = float(loss.detach())
        if self._readout_px is not None:
            with torch.no_grad():
                features = self._generator.features(w_plus, self._readout_px)
                self._readout = LocalReadout(features, rendering)
                self._correction = value - float(self._loss(self._readout(features)))
        return loss, value

    def _estimate(self, w_plus: Tensor) -> tuple[Tensor, float]:
        """As `_measure`, from the features below."""
        assert self._readout is not None
        assert self._readout_px is not None
        loss = self._loss(self._readout(self._generator.features(w_plus, self._readout_px)))
        return loss, float(loss.detach()) + self._correction


def _schedule(progress: float) -> float:
    """Learning rate as a fraction of its peak: linear warm-up, then half a cosine down to 0."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
