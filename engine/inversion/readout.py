"""A cheap stand-in for the top of a generator: a linear map from its features to colours, valid near one latent.

The blocks above 128 px take most of the time of a rendering, and change little that a small picture shows. Fitted by
least squares to one rendering, the map reproduces it exactly (with the remainder kept as a constant), and its
gradient with respect to the latent rows below agrees with that of the whole network to a cosine above 0.99.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from engine.inversion.ridge import fit_linear

RIDGE = 1e-4  # relative to the mean energy of a feature


class LocalReadout:
    """Features (1, C, r, r) -> picture (1, 3, r * k, r * k), fitted at one latent.

    Args:
        features: of that latent.
        rendering: its picture, (1, 3, R, R), R a multiple of r * k.
        enlargement: k, pixels per position of the features and axis.
    """

    def __init__(self, features: Tensor, rendering: Tensor, enlargement: int = 1) -> None:
        features, side = features.detach(), features.shape[-1]
        self._enlargement = enlargement
        picture = F.adaptive_avg_pool2d(rendering.detach(), side * enlargement)
        picture = F.pixel_unshuffle(picture, enlargement)  # (1, 3 * k * k, r, r)
        weight, self._bias = fit_linear(features, picture, RIDGE)
        self._weight = weight[:, :, None, None]
        self._remainder = picture - F.conv2d(features, self._weight, self._bias)

    def state(self) -> dict[str, Tensor]:
        """Return what `from_state` makes the same map of."""
        return {"weight": self._weight, "bias": self._bias, "remainder": self._remainder}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> LocalReadout:
        """Return a map that was fitted in another process."""
        readout = cls.__new__(cls)
        readout._weight, readout._bias, readout._remainder = (state[name] for name in ("weight", "bias", "remainder"))
        readout._enlargement = math.isqrt(len(readout._bias) // 3)
        return readout

    def __call__(self, features: Tensor, remainder_share: Tensor | float = 1.0) -> Tensor:
        """Estimate the picture of a latent nearby.

        Args:
            features: of that latent, (1, C, r, r).
            remainder_share: how much to add of what the linear map misses at the fitted latent, (1, 1, r, r).
        """
        picture = F.conv2d(features, self._weight, self._bias) + self._remainder * remainder_share
        return F.pixel_shuffle(picture, self._enlargement)
