"""Tune a generator's weights to one photo around a fixed latent (pivotal tuning, Roich et al. 2021).

The published recipe renders and differentiates the whole picture in every step. Here a step ends at the features of a
block, read off by a linear map that is fitted anew every few steps (`engine.inversion.readout`), and only the layers up
to that block move. Every so often the tuned features at another latent are held to those of the untouched generator
(the locality term), so that what a drag finds on its way stays what the model knows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engine.inversion.losses import PyramidLoss
from engine.inversion.readout import LocalReadout
from engine.inversion.schedule import decay
from engine.inversion.steps import InversionStep, preview
from engine.inversion.tuned import tunable, with_weights
from engine.latent import Whitening
from stylegan2 import Generator

EXACT_EVERY = 15
LEARNING_RATE = 0.006  # of a weight's root mean square
WARM_UP_STEPS = 5
LOCALITY_EVERY = 5
LOCALITY_WEIGHT = 0.1
LOCALITY_SHARE = 0.5  # of the way from the pivot to another latent
LOCALITY_SEED = 0


class PivotalTuning:
    """The tuning of one photo; iterate `run` for its steps, as often as wanted.

    Args:
        generator: in evaluation mode; not changed.
        w_plus: the pivot, (1, num_ws, w_dim).
        loss: distance of a rendering to the photo.
    """

    def __init__(self, generator: Generator, w_plus: Tensor, loss: PyramidLoss) -> None:
        self._base, self._w_plus, self._loss = generator, w_plus, loss
        self._whitening = Whitening(generator)
        self._weights: dict[str, nn.Parameter] = {}
        self._random = torch.Generator().manual_seed(LOCALITY_SEED)

    def run(self, px: int, numbers: range, total: int) -> Iterator[InversionStep]:
        """Yield the states from the untuned one on; the first, every 15th and the last are exact.

        Args:
            px: side of the features that are read; what the generator has below it where it has no such block.
            numbers: of the steps.
            total: steps of the whole inversion.
        """
        if not len(numbers):
            return
        block_px = max((size for size in self._base.feature_resolutions if size <= px), default=px)
        cheap = block_px < self._base.resolution
        base = tunable(self._base, block_px)
        for name in base.keys() - self._weights.keys():
            self._weights[name] = nn.Parameter(base[name].detach().clone())
        tuned = with_weights(self._base, self._weights)
        optimiser = _optimiser(self._weights)
        rates = [group["lr"] for group in optimiser.param_groups]
        readout: LocalReadout | None = None
        for i, number in enumerate(numbers):
            exact = not cheap or i % EXACT_EVERY == 0 or i == len(numbers) - 1
            if cheap and exact:
                with torch.no_grad():
                    rendering, features = tuned.synthesis(self._w_plus), tuned.features(self._w_plus, block_px)
                    readout = LocalReadout(features, rendering)
                yield self._step(number, total, float(self._loss(rendering)), exact, rendering)
            if readout is None:
                picture = tuned.synthesis(self._w_plus)
            else:
                picture = readout(tuned.features(self._w_plus, block_px))
            loss = self._loss(picture)
            if not (cheap and exact):
                yield self._step(number, total, float(loss.detach()), exact, picture)
            if i % LOCALITY_EVERY == 0:
                loss = loss + LOCALITY_WEIGHT * self._locality(tuned, block_px)
            optimiser.zero_grad()
            loss.backward()
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, (i + 1) / WARM_UP_STEPS) * decay(i / len(numbers))
            optimiser.step()

    def _step(self, number: int, total: int, loss: float, exact: bool, picture: Tensor) -> InversionStep:
        deltas: dict[str, Tensor] = {}
        if exact:
            base = dict(self._base.named_parameters())
            deltas = {name: weight.detach() - base[name].detach() for name, weight in self._weights.items()}
        return InversionStep("tuning", number, total, loss, exact, self._w_plus, deltas, preview(picture))

    def _locality(self, tuned: Generator, px: int) -> Tensor:
        """Mean squared change of the features at a random latent, relative to their variance; a scalar."""
        with torch.no_grad():
            v = torch.randn(1, 1, self._base.w_dim, generator=self._random).to(self._w_plus)
            w_plus = self._w_plus.lerp(self._whitening.to_w(v), LOCALITY_SHARE)
            before = self._base.features(w_plus, px)
        return (tuned.features(w_plus, px) - before).square().mean() / before.var()


def _optimiser(weights: dict[str, nn.Parameter]) -> torch.optim.Adam:
    """Adam with steps relative to the size of every tensor: kernels of one network differ a hundredfold."""
    groups = [
        {"params": [weight], "lr": LEARNING_RATE * max(float(weight.detach().square().mean().sqrt()), 1e-6)}
        for weight in weights.values()
    ]
    return torch.optim.Adam(groups, betas=(0.9, 0.99))
