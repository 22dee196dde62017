"""Linear maps between feature maps, by least squares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_linear(features: Tensor, wanted: Tensor, ridge: float, share: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fit the 1x1 convolution that turns features into channels, by ridge regression.

    Args:
        features: (1, C, r, r).
        wanted: channels, (1, K, r, r).
        ridge: relative to the mean energy of a feature.
        share: how much each position counts, (r * r,), 1 in sum; None for all alike.

    Returns:
        Weight (K, C) and bias (K,).
    """
    a = F.pad(features[0].flatten(1), (0, 0, 0, 1), value=1.0)  # (C + 1, r * r), a constant feature last
    weighed = a if share is None else a * share
    gram = weighed @ a.T
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    solution = torch.linalg.solve(gram, weighed @ wanted[0].flatten(1).T).T  # (K, C + 1)
    return solution[:, :-1].contiguous(), solution[:, -1].contiguous()
