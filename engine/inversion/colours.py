"""Fit a generator's last layer to one photo in closed form.

The last layer of a generator turns features into colours by a 1x1 convolution, so the offset of its weights that brings
a rendering closest to a photo is a least-squares solution: no step and no pass. It reaches what no latent does, the
light and the camera of a photo, and what is left to the other weights is shape.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.inversion.ridge import fit_linear
from stylegan2 import Generator

RIDGE = 1e-2  # relative to the mean energy of a feature


class ColourFit:
    """The last layer, fitted to a photo.

    Args:
        generator: whose layer is offset; not changed.
        target: the photo as the model sees it, (1, 3, R, R).
        weight: how much each pixel counts, (1, 1, R, R), not negative, not all 0.
    """

    def __init__(self, generator: Generator, target: Tensor, weight: Tensor) -> None:
        self._generator, self._target, self._weight = generator, target, generator.trim(weight)
        names, parameters = generator.colour_parameters, dict(generator.named_parameters())
        self._before = [parameters[name].detach() for name in names]
        self.weights = {name: nn.Parameter(parameters[name].detach().clone(), requires_grad=False) for name in names}

    @torch.no_grad()
    def fit(self, features: Tensor, below: Tensor | None) -> None:
        """Set `weights`, the layer's by their names, in place.

        Args:
            features, below: what `Generator.uncoloured` returns, of a generator with any other weights.
        """
        missing = self._target - self._generator.coloured(features, below)
        wanted = self._generator.colour_channels(missing)
        height, width = features.shape[-2:]
        share = F.adaptive_avg_pool2d(self._weight, (height, width)).flatten()
        offsets = fit_linear(features, wanted, RIDGE, share / share.sum())
        for weight, before, offset in zip(self.weights.values(), self._before, offsets, strict=True):
            weight.copy_(before + offset.reshape(before.shape))
