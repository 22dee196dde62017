"""Tune a generator's weights to one photo around a fixed latent (pivotal tuning, Roich et al. 2021).

The published recipe renders and differentiates the whole picture in every step. Here a step ends at the features of a
block, read off by a linear map that is fitted anew every few steps (`engine.inversion.readout`), and only the layers up
to that block move. Every so often the tuned features at another latent are held to those of the untouched generator
(the locality term), so that what a drag finds on its way stays what the model knows. Whenever the picture is rendered,
the last layer is fitted to the photo in closed form (`engine.inversion.colours`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from engine.inversion.colours import ColourFit
from engine.inversion.losses import PyramidLoss
from engine.inversion.readout import LocalReadout
from engine.inversion.schedule import late_decay
from engine.inversion.snapshot import Tensors, optimiser_state, prefixed, set_optimiser_state, under
from engine.inversion.soap import Soap
from engine.inversion.steps import InversionStep, preview
from engine.inversion.tuned import tunable, with_weights
from engine.latent import Whitening
from stylegan2 import Generator

EXACT_EVERY = 15
ENLARGEMENT = 2  # pixels read off each position of a block: its channels hold more than one colour
FINEST_COUNTS = 10.0  # times in the loss: the latent has seen to what is coarse
LEARNING_RATE = 8e-4  # of all weights alike
WARM_UP_STEPS = 2
LOCALITY_EVERY = 5
LOCALITY_WEIGHT = 0.5
LOCALITY_SHARE = 0.5  # of the way from the pivot to another latent
LOCALITY_PX = 128  # side of the features that are held: those that steer shapes
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
        self._colours = ColourFit(generator, loss.target, loss.weight)
        self._weights: dict[str, nn.Parameter] = {}
        self._optimiser: Soap | None = None
        self._readout: LocalReadout | None = None
        self._random = torch.Generator().manual_seed(LOCALITY_SEED)
        self._kept: Mapping[str, Tensor] = {}  # of another process

    def run(self, px: int, numbers: range, total: int, made: int = 0) -> Iterator[InversionStep]:
        """Yield the states from the untuned one on; the first, every 15th and the last are exact.

        Args:
            px: side of the features that are read; what the generator has below it where it has no such block.
            numbers: of the steps.
            total: steps of the whole inversion.
            made: how many of them were made already, by the process whose state was loaded.
        """
        if made >= len(numbers):
            return
        block_px = max((size for size in self._base.feature_resolutions if size <= px), default=px)
        for name, weight in tunable(self._base, block_px).items():
            if name not in self._weights:
                self._weights[name] = nn.Parameter(weight.detach().clone())
        tuned = with_weights(self._base, self._weights | self._colours.weights)
        self._begin(resumed=made > 0)
        for i in range(made, len(numbers)):
            exact = i % EXACT_EVERY == 0 or i == len(numbers) - 1
            yield self._step(tuned, block_px, (i, len(numbers)), (numbers[i], total), exact)

    def state(self) -> Tensors:
        """Return what `load_state` goes on from; only between two steps."""
        assert self._optimiser is not None
        state = prefixed("weight/", {name: weight.detach() for name, weight in self._weights.items()})
        state |= prefixed("colour/", self._colours.weights)
        state |= prefixed("optimiser/", optimiser_state(self._optimiser, self._weights))
        if self._readout is not None:
            state |= prefixed("readout/", self._readout.state())
        return state | {"random": self._random.get_state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another process was; tell `run` how many of its steps were made."""
        weights = under("weight/", state)
        self._weights = {name: nn.Parameter(weight.to(self._w_plus)) for name, weight in weights.items()}
        for name, weight in under("colour/", state).items():
            self._colours.weights[name].copy_(weight)
        self._random.set_state(state["random"])
        self._kept = state

    def _begin(self, *, resumed: bool) -> None:
        self._optimiser, self._readout = Soap(self._weights.values()), None
        if resumed:
            set_optimiser_state(self._optimiser, self._weights, under("optimiser/", self._kept))
            readout = {name: tensor.to(self._w_plus) for name, tensor in under("readout/", self._kept).items()}
            self._readout = LocalReadout.from_state(readout) if readout else None
        self._kept = {}

    def _step(
        self, tuned: Generator, px: int, place: tuple[int, int], number_of: tuple[int, int], exact: bool
    ) -> InversionStep:
        """Move the weights by one step; returns the state before."""
        (i, steps), optimiser = place, self._optimiser
        assert optimiser is not None
        shown = self._coloured(tuned) if exact else None
        if px < self._base.resolution:
            features = tuned.features(self._w_plus, px)
            if shown is not None:
                self._readout = LocalReadout(features, shown, ENLARGEMENT)
            assert self._readout is not None
            picture = self._readout(features)
        else:
            exact, picture, shown = True, tuned.synthesis(self._w_plus), None
        levels = self._loss.levels(picture)
        loss = levels.mean() + (FINEST_COUNTS - 1) * levels[0] / len(levels)
        value = float(levels.detach().mean() if shown is None else self._loss(shown))
        event = self._event(number_of, value, exact, picture if shown is None else shown)
        if i % LOCALITY_EVERY == 0:
            loss = loss + LOCALITY_WEIGHT * self._locality(tuned, min(px, LOCALITY_PX))
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, (i + 1) / WARM_UP_STEPS) * late_decay(i / steps)
        optimiser.step()
        return event

    @torch.no_grad()
    def _coloured(self, tuned: Generator) -> Tensor:
        """Fit the last layer, and render."""
        uncoloured = tuned.uncoloured(self._w_plus)
        self._colours.fit(*uncoloured)
        return tuned.coloured(*uncoloured)

    def _event(self, number_of: tuple[int, int], loss: float, exact: bool, picture: Tensor) -> InversionStep:
        deltas: dict[str, Tensor] = {}
        if exact:
            base = dict(self._base.named_parameters())
            weights = self._weights | self._colours.weights
            deltas = {name: weight.detach() - base[name].detach() for name, weight in weights.items()}
        return InversionStep("tuning", *number_of, loss, exact, self._w_plus, deltas, preview(picture))

    def _locality(self, tuned: Generator, px: int) -> Tensor:
        """Mean squared change of the features at a random latent, relative to their variance; a scalar."""
        with torch.no_grad():
            v = torch.randn(1, 1, self._base.w_dim, generator=self._random).to(self._w_plus)
            w_plus = self._w_plus.lerp(self._whitening.to_w(v), LOCALITY_SHARE)
            before = self._base.features(w_plus, px)
        return (tuned.features(w_plus, px) - before).square().mean() / before.var()
