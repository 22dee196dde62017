"""Learn a `ChangeMetric` from a model's own samples.

Of every sample, random projections of the change of its features, less what a translation of each neighbourhood
explains of it: a picture that only moves has not changed. Their principal directions are the metric's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.drag.change_metric import METRIC_FILE, ChangeMetric
from engine.latent import Whitening
from engine.tensor_files import save_tensors
from stylegan2 import Generator

DEFAULT_SAMPLES = 300
SAVE_EVERY = 50  # samples: what an interruption can cost
FIRST_SEED = 8_000_000  # of the samples; none that a benchmark shows
PSI = 0.7  # as pictures are drawn
SCALE_SAMPLES = 12  # that tell the spread of each channel
FEATURE_SIZE = 64
PROJECTIONS = 2  # of each sample
WINDOW = 5  # positions over which one translation may explain a change
DIRECTIONS = 192  # that are kept; those beyond are weaker than the prior's share


def learn_metric(weights: Path, generator: Generator, samples: int = DEFAULT_SAMPLES) -> Iterator[int]:
    """Learn and keep a `ChangeMetric`; stopped at any time, the next call goes on where this one was.

    Args:
        weights: the model's file; the results lie beside it.
        generator: the model, parameters frozen.
        samples: pictures to learn from; more are better.

    Yields:
        Number of samples seen so far.

    Raises:
        OSError: the folder cannot be written.
    """
    kept = weights.with_name(f"samples-{METRIC_FILE}")
    slopes = _kept_slopes(kept, generator)[: samples * PROJECTIONS]
    yield len(slopes) // PROJECTIONS
    study = _Study(generator)
    for number in range(len(slopes) // PROJECTIONS, samples):
        slopes = torch.cat([slopes, study.slopes(number)])
        if (number + 1) % SAVE_EVERY == 0:
            save_tensors({"slopes": slopes}, kept)
        yield number + 1
    _, lengths, directions = torch.linalg.svd(slopes / len(slopes) ** 0.5, full_matrices=False)
    ChangeMetric(directions[:DIRECTIONS], lengths[:DIRECTIONS].square()).save(weights.with_name(METRIC_FILE))
    kept.unlink(missing_ok=True)


class _Study:
    """Looks at samples of a model."""

    def __init__(self, generator: Generator) -> None:
        self._generator, self._factor = generator, Whitening(generator).factor
        self._size = min(FEATURE_SIZE, generator.feature_resolutions[-1])
        with torch.no_grad():
            features = [generator.features(self._sample(number), self._size) for number in range(-SCALE_SAMPLES, 0)]
        self._spread = torch.cat(features).std((0, 2, 3))[:, None, None] + 1e-6  # of every channel

    @torch.enable_grad()
    def slopes(self, number: int) -> Tensor:
        """Random projections of the derivative of a sample's features by the whitened latent, (PROJECTIONS, D)."""
        random = torch.Generator().manual_seed(FIRST_SEED + number)
        w_plus, rows = self._sample(number), self._generator.coarse_ws
        w = w_plus[:, :rows].clone().requires_grad_(True)
        features = self._generator.features((*w.unbind(1), *w_plus[:, rows:].unbind(1)), self._size) / self._spread
        unexplained = Unexplained(features.detach())
        found = []
        for _ in range(PROJECTIONS):
            signs = torch.randint(0, 2, features.shape, generator=random).to(features) * 2 - 1
            value = (features * unexplained(signs)).sum() / self._size
            found.append(torch.autograd.grad(value, w, retain_graph=True)[0][0])
        return (torch.stack(found) @ self._factor).flatten(1)

    def _sample(self, number: int) -> Tensor:
        """The latent of one sample, (1, num_ws, w_dim); of conditional models the classes in turn."""
        return self._generator.sample_w_plus(FIRST_SEED + number, PSI, number % max(self._generator.c_dim, 1))


class Unexplained:
    """Takes out of a change of features what a translation of each neighbourhood explains.

    Args:
        features: (1, C, R, R).
    """

    def __init__(self, features: Tensor) -> None:
        padded = F.pad(features, (1, 1, 1, 1), mode="replicate")
        self._dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        self._dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        xx, self._xy, yy = (_near(a * b) for a, b in ((self._dx, self._dx), (self._dx, self._dy), (self._dy, self._dy)))
        ridge = (xx + yy) * 0.005 + 1e-6
        self._xx, self._yy = xx + ridge, yy + ridge
        self._determinant = self._xx * self._yy - self._xy**2

    def __call__(self, change: Tensor) -> Tensor:
        """(1, C, R, R) -> the same less the best translations."""
        x, y = _near(self._dx * change), _near(self._dy * change)
        moved_x = (self._yy * x - self._xy * y) / self._determinant
        moved_y = (self._xx * y - self._xy * x) / self._determinant
        return change - self._dx * moved_x - self._dy * moved_y


def _near(products: Tensor) -> Tensor:
    """Sum over channels, mean over the neighbourhood, (1, C, R, R) -> (1, 1, R, R)."""
    return F.avg_pool2d(products.sum(1, keepdim=True), WINDOW, 1, WINDOW // 2)


def _kept_slopes(path: Path, generator: Generator) -> Tensor:
    """What an interrupted run has found, (n, D); nothing if the file is no such thing."""
    nothing = generator.w_mean.new_zeros(0, generator.coarse_ws * generator.w_dim)
    try:
        slopes = load_file(path)["slopes"].to(nothing)
    except (OSError, SafetensorError, KeyError):
        return nothing
    return slopes if slopes.shape[1:] == nothing.shape[1:] and slopes.isfinite().all() else nothing
