"""Learn a `ChangeMetric` from a model's own samples.

Changes of features are taken less what a translation of each neighbourhood explains of them: a picture that only moves
has not changed. Of nine samples in ten, random projections of the change by all directions of the latent; their
principal directions are the metric's. Of the others, what these directions change in each cell of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.drag.change_metric import CELLS, METRIC_FILE, ChangeMetric
from engine.latent import Whitening
from engine.tensor_files import save_tensors
from stylegan2 import Generator

DEFAULT_SAMPLES = 300
CLOSELY = 10  # every tenth sample is looked at closely: it tells as much as hundreds of projections, and takes as long
SAVE_EVERY = 50  # of the other samples: what an interruption can cost
FIRST_SEED = 8_000_000  # of the samples; none that a benchmark shows
PSI = 0.7  # as pictures are drawn
SCALE_SAMPLES = 12  # that tell the spread of each channel
FEATURE_SIZE = 64
PROJECTIONS = 2  # of each sample
WINDOW = 5  # positions over which one translation may explain a change
DIRECTIONS = 192  # that are kept; those beyond are weaker than the prior's share
STEP = 0.05  # of the whitened latent, for differences
BATCH = 16  # directions that are seen at a time
MIXTURES = 128  # of channels, with random signs: more than these are not needed to measure a change


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
    first = samples - -(-samples // CLOSELY)  # sample that is looked at closely
    glances = max(first, 1)  # samples that are projected only
    slopes, cells, looks = _kept(kept, generator)
    if len(slopes) != glances * PROJECTIONS:
        slopes, looks = slopes[: glances * PROJECTIONS], 0
    yield len(slopes) // PROJECTIONS + looks
    study = _Study(generator)
    for number in range(len(slopes) // PROJECTIONS, glances):
        slopes = torch.cat([slopes, study.slopes(number)])
        if (number + 1) % SAVE_EVERY == 0:
            save_tensors({"slopes": slopes}, kept)
        yield number + 1
    changes = torch.linalg.svd(slopes, full_matrices=False)[2][:DIRECTIONS]
    for number in range(first + looks, samples):
        seen = study.cells(number, changes)
        cells, looks = (cells + seen if looks else seen), looks + 1
        save_tensors({"slopes": slopes, "cells": cells, "looks": torch.tensor(looks)}, kept)
        yield number + 1
    ChangeMetric(changes, cells / looks).save(weights.with_name(METRIC_FILE))
    kept.unlink(missing_ok=True)


class _Study:
    """Looks at samples of a model."""

    def __init__(self, generator: Generator) -> None:
        self._generator, self._factor = generator, Whitening(generator).factor
        self._size = min(FEATURE_SIZE, generator.feature_resolutions[-1])
        self._spread: Tensor | float = 1.0
        with torch.no_grad():
            features = [self._features(*self._sample(number)) for number in range(-SCALE_SAMPLES, 0)]
        self._spread = torch.cat(features).std((0, 2, 3))[:, None, None] + 1e-6  # of every channel

    @torch.enable_grad()
    def slopes(self, number: int) -> Tensor:
        """Random projections of the derivative of a sample's features by the whitened latent, (PROJECTIONS, D)."""
        random = torch.Generator().manual_seed(FIRST_SEED + number)
        w, rest = self._sample(number)
        w.requires_grad_(True)
        features = self._features(w, rest)
        unexplained = Unexplained(features.detach())
        found = []
        for _ in range(PROJECTIONS):
            signs = torch.randint(0, 2, features.shape, generator=random).to(features) * 2 - 1
            value = (features * unexplained(signs)).sum() / self._size
            found.append(torch.autograd.grad(value, w, retain_graph=True)[0][0])
        return (torch.stack(found) @ self._factor).flatten(1)

    @torch.no_grad()
    def cells(self, number: int, changes: Tensor) -> Tensor:
        """Squared change of a sample's features in each cell by pairs of directions, (k, D) -> (n * n, k, k)."""
        random = torch.Generator().manual_seed(FIRST_SEED + number)
        w, rest = self._sample(number)
        before = self._features(w, rest)
        unexplained, channels = Unexplained(before), before.shape[1]
        mixtures = torch.randint(0, 2, (MIXTURES, channels), generator=random).to(before) * 2 - 1
        mixtures = mixtures / MIXTURES**0.5 if channels > MIXTURES else torch.eye(channels).to(before)
        seen = []
        for ways in (changes.unflatten(1, (w.shape[1], -1)) @ self._factor.T).split(BATCH):
            change = (self._features(w + STEP * ways, rest) - before) / STEP
            seen.append(torch.einsum("mc,kcyx->kmyx", mixtures, unexplained(change)) / self._size)
        side = min(CELLS, self._size)
        parts = torch.cat(seen).unflatten(3, (side, -1)).unflatten(2, (side, -1))  # (k, m, n, r, n, r)
        parts = parts.permute(2, 4, 0, 1, 3, 5).flatten(0, 1).flatten(2)  # (n * n, k, m * r * r)
        return parts @ parts.mT

    def _features(self, w: Tensor, rest: Tensor) -> Tensor:
        """Features of moving rows (N, rows, w_dim) and the others, (1, others, w_dim), over their spread."""
        rows = (*w.unbind(1), *rest.expand(len(w), -1, -1).unbind(1))
        return self._generator.features(rows, self._size) / self._spread

    def _sample(self, number: int) -> tuple[Tensor, Tensor]:
        """The latent of one sample, rows that a drag moves and others; of conditional models the classes in turn."""
        w_plus = self._generator.sample_w_plus(FIRST_SEED + number, PSI, number % max(self._generator.c_dim, 1))
        return w_plus[:, : self._generator.coarse_ws].clone(), w_plus[:, self._generator.coarse_ws :]


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


def _kept(path: Path, generator: Generator) -> tuple[Tensor, Tensor, int]:
    """What an interrupted run has found: slopes (m, D), the sum of the looks at cells, and their number."""
    nothing = generator.w_mean.new_zeros(0, generator.coarse_ws * generator.w_dim)
    try:
        tensors = {name: tensor.to(nothing) for name, tensor in load_file(path).items()}
        slopes = tensors["slopes"]
    except (OSError, SafetensorError, KeyError):
        return nothing, nothing, 0
    if slopes.shape[1:] != nothing.shape[1:] or not slopes.isfinite().all():
        return nothing, nothing, 0
    cells, count = tensors.get("cells", nothing), min(DIRECTIONS, *slopes.shape)
    fits = cells.shape[1:] == (count, count) and bool(cells.isfinite().all())
    return slopes, cells, int(tensors["looks"]) if fits and "looks" in tensors else 0
