"""Whitened latents: coordinates of W in which the model's own samples are standard normal.

Optimised in these, a step of one size means the same in every direction, which conditions the search well; an
offset of length one in any of them stays plausible.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator

SMALLEST_VARIANCE = 1e-6  # relative to the largest: directions in which samples do not vary stay closed


class Whitening:
    """w = w_mean + L v, with L L^T the covariance of w.

    Args:
        generator: the model whose W is meant.

    Attributes:
        factor: L, (w_dim, w_dim).
    """

    def __init__(self, generator: Generator) -> None:
        self._mean = generator.w_mean
        variances, directions = torch.linalg.eigh(generator.w_covariance.double().cpu())
        variances = variances.clamp(min=SMALLEST_VARIANCE * variances.max())
        self.factor = (directions * variances.sqrt()).to(self._mean)

    def to_w(self, v: Tensor) -> Tensor:
        """(..., w_dim) whitened -> (..., w_dim)."""
        return self._mean + v @ self.factor.T
