"""Find the latent whose rendering looks like a photo: W first, then W+ (Abdal et al. 2019, Karras et al. 2020).

Adam in whitened coordinates. Most steps stop at 128-pixel features and read a small picture off them
(`engine.inversion.readout`); every tenth renders in full, which renews that reading, moves the rows above, and says
truly how good the latent is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from engine.inversion.losses import PyramidLoss, prior
from engine.inversion.readout import LocalReadout
from engine.inversion.schedule import warm_up_and_decay
from engine.inversion.snapshot import Tensors, optimiser_state, prefixed, set_optimiser_state, under
from engine.inversion.steps import InversionStep, Stage, preview
from engine.latent import Whitening
from stylegan2 import Generator

READOUT_PX = 128
EXACT_EVERY = 10
W_SHARE = 0.3  # of the steps, before each row goes its own way
LEARNING_RATE = 0.05  # in standard deviations of w
WARM_UP = 0.05  # of the steps
NORM_WEIGHT, SPREAD_WEIGHT = 0.002, 0.1


class Projection:
    """One search for one photo; iterate `run` for its steps.

    Args:
        generator: in evaluation mode.
        loss: distance of a rendering to the photo.
        steps: of this search.
    """

    def __init__(self, generator: Generator, loss: PyramidLoss, steps: int) -> None:
        self._generator, self._loss, self._steps = generator, loss, steps
        self._whitening = Whitening(generator)
        below = [size for size in generator.feature_resolutions if size <= min(READOUT_PX, generator.resolution // 2)]
        self._readout_px = max(below) if generator.resolution > READOUT_PX and below else None
        self._readout: LocalReadout | None = None
        self._correction = 0.0  # of the estimated loss, so that it meets the measured one where the readout is fitted
        self._low = sum(size <= (self._readout_px or generator.resolution) for size in generator.layer_resolutions)
        self._done = 0
        self._parts: dict[str, Tensor] = {}  # whitened latents (n, w_dim); only the first feeds the cheap steps

    def run(self, total: int, start: Tensor | None = None) -> Iterator[InversionStep]:
        """Yield the states at all steps; the first and the last are exact.

        Args:
            total: steps of the whole inversion, for the events.
            start: whitened latent to begin at, (1, w_dim); None for the mean.
        """
        switch = round(self._steps * W_SHARE)
        if not self._parts:
            shared = start if start is not None else torch.zeros(1, self._generator.w_dim)
            self._move(shared.to(self._generator.w_mean).clone())
        while self._done < self._steps:
            if self._done == switch:
                (shared,) = self._parts.values()
                rows = shared.detach().repeat(self._generator.num_ws, 1)
                self._move(*(part.clone() for part in (rows[: self._low], rows[self._low :]) if len(part)))
            self._done += 1
            yield self._step("w" if self._done <= switch else "w+", total)

    def state(self) -> Tensors:
        """Return what `load_state` goes on from; only between two steps."""
        state = prefixed("part/", {name: part.detach() for name, part in self._parts.items()})
        state |= prefixed("optimiser/", optimiser_state(self._optimiser, self._parts))
        if self._readout is not None:
            state |= prefixed("readout/", self._readout.state())
        return state | {"correction": torch.tensor(self._correction, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor], done: int) -> None:
        """Go on where another process was, after so many steps."""
        like = self._generator.w_mean
        self._done = done
        parts = under("part/", state)
        self._move(*(parts[name].to(like) for name in sorted(parts)))
        set_optimiser_state(self._optimiser, self._parts, under("optimiser/", state))
        self._correction = float(state["correction"])
        readout = under("readout/", state)
        if readout:
            self._readout = LocalReadout.from_state({name: tensor.to(like) for name, tensor in readout.items()})

    def _move(self, *parts: Tensor) -> None:
        """Move whitened latents, in place, from here on; a single row stands for all."""
        self._parts = {str(number): part.requires_grad_() for number, part in enumerate(parts)}
        self._optimiser = torch.optim.Adam(parts, betas=(0.9, 0.99))

    def _step(self, stage: Stage, total: int) -> InversionStep:
        """Move the latents by one step of Adam; returns the state before."""
        number, parts = self._done, list(self._parts.values())
        rows = torch.cat(parts).expand(self._generator.num_ws, -1)
        w_plus = self._whitening.to_w(rows)[None]  # (1, num_ws, w_dim)
        exact = self._readout_px is None or number % EXACT_EVERY == 1 or number == self._steps
        loss, value, picture = self._measure(w_plus) if exact else self._estimate(w_plus)
        event = InversionStep(stage, number, total, value, exact, w_plus.detach(), preview=preview(picture))
        loss = loss + prior(rows, NORM_WEIGHT, SPREAD_WEIGHT)
        self._optimiser.zero_grad()
        moved = parts if exact else parts[:1]
        for part, gradient in zip(moved, torch.autograd.grad(loss, moved), strict=True):
            part.grad = gradient
        self._optimiser.param_groups[0]["lr"] = LEARNING_RATE * warm_up_and_decay(number / self._steps, WARM_UP)
        self._optimiser.step()
        return event

    def _measure(self, w_plus: Tensor) -> tuple[Tensor, float, Tensor]:
        """Render in full and fit the readout there: the loss to differentiate, its value, the picture."""
        rendering = self._generator.synthesis(w_plus)
        loss = self._loss(rendering)
        value = float(loss.detach())
        if self._readout_px is not None:
            with torch.no_grad():
                features = self._generator.features(w_plus, self._readout_px)
                self._readout = LocalReadout(features, rendering)
                self._correction = value - float(self._loss(self._readout(features)))
        return loss, value, rendering

    def _estimate(self, w_plus: Tensor) -> tuple[Tensor, float, Tensor]:
        """As `_measure`, from the features below."""
        assert self._readout is not None
        assert self._readout_px is not None
        picture = self._readout(self._generator.features(w_plus, self._readout_px))
        loss = self._loss(picture)
        return loss, float(loss.detach()) + self._correction, picture
