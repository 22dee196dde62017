"""Whitened latents: coordinates of W in which the model's own samples are standard normal.

Optimised in these, a step of one size means the same in every direction, which conditions the search well; an
offset of length one in any of them stays plausible.
"""

from __future__ import annotations

from torch import Tensor

from stylegan2 import Generator


class Whitening:
    """w = w_mean + L v, with L L^T the covariance of w.

    Args:
        generator: the model whose W is meant.

    Attributes:
        factor: L, (w_dim, w_dim).
        inverse: of L.
    """

    def __init__(self, generator: Generator) -> None:
        self._mean, self.factor = generator.w_mean, generator.w_covariance_factor
        self.inverse = (self.factor / self.factor.square().sum(0)).T  # its columns are orthogonal

    def to_w(self, v: Tensor) -> Tensor:
        """(..., w_dim) whitened -> (..., w_dim)."""
        return self._mean + v @ self.factor.T

    def to_v(self, w: Tensor) -> Tensor:
        """(..., w_dim) -> (..., w_dim) whitened."""
        return (w - self._mean) @ self.inverse.T
