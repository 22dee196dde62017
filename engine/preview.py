"""Small pictures of latents, fast: read off the features below instead of computing the top of the generator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.inversion.readout import LocalReadout
from stylegan2 import Generator

FEATURE_SIZE = 128
ENLARGEMENT = 2
PREVIEW_PX = FEATURE_SIZE * ENLARGEMENT
KEPT_CHANGE = 0.3  # change of the features, in their variance, over which the details of the start fade out


class Preview:
    """Estimates renderings of latents near one whose rendering is known; exact there.

    Colours come from a linear reading of the features. What that misses at the known latent is added back where the
    features are still the same, and fades out where things have moved.

    Args:
        generator: larger than `PREVIEW_PX`.
        w_plus: the known latent, (1, num_ws, w_dim).
        rendering: its picture, (1, 3, R, R).
    """

    def __init__(self, generator: Generator, w_plus: Tensor, rendering: Tensor) -> None:
        with torch.no_grad():
            self._generator, self._features = generator, generator.features(w_plus, FEATURE_SIZE)
            self._readout = LocalReadout(self._features, rendering, ENLARGEMENT)

    @torch.no_grad()
    def __call__(self, w_plus: Tensor) -> Tensor:
        """Estimate the picture of a latent, (1, 3, PREVIEW_PX, PREVIEW_PX)."""
        features = self._generator.features(w_plus, FEATURE_SIZE)
        change = (features - self._features).square().mean(1, keepdim=True) / self._features.var()
        return self._readout(features, remainder_share=(-change / KEPT_CHANGE).exp())


def can_preview(generator: Generator) -> bool:
    """Whether a generator is large enough for the short way to pay."""
    return generator.resolution > PREVIEW_PX and FEATURE_SIZE in generator.feature_resolutions


def shrink(rendering: Tensor) -> Tensor:
    """(1, 3, R, R) -> (1, 3, PREVIEW_PX, PREVIEW_PX)."""
    return F.adaptive_avg_pool2d(rendering, PREVIEW_PX)
