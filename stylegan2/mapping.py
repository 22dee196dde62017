"""The mapping network z -> w (Karras et al. 2019), with the label embedding of conditional models."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylegan2.ops import FullyConnectedLayer, leaky_relu, normalize_2nd_moment


@dataclass(frozen=True)
class MappingConfig:
    """Sizes of a mapping network; `c_dim` is 0 for unconditional ones, `z_dim` 0 for those that see labels only."""

    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int = 8
    lr_multiplier: float = 0.01


class MappingNetwork(nn.Module):
    """Normalised noise and embedded label through a stack of fully connected layers."""

    def __init__(self, config: MappingConfig) -> None:
        super().__init__()
        self.config = config
        if config.c_dim:
            self.embed = FullyConnectedLayer(config.c_dim, config.w_dim)
        features = config.z_dim + (config.w_dim if config.c_dim else 0)
        for i in range(config.num_layers):
            layer = FullyConnectedLayer(features, config.w_dim, lr_multiplier=config.lr_multiplier)
            setattr(self, f"fc{i}", layer)
            features = config.w_dim

    def forward(self, z: Tensor | None, c: Tensor | None = None) -> Tensor:
        """Map noise (N, z_dim) and labels (N, c_dim) to w, (N, w_dim)."""
        parts = []
        if self.config.z_dim:
            if z is None:
                raise ValueError("this mapping network needs z")
            parts.append(normalize_2nd_moment(z))
        if self.config.c_dim:
            if c is None:
                raise ValueError("this model is conditional: it needs a label c")
            parts.append(normalize_2nd_moment(self.embed(c)))
        x = torch.cat(parts, 1)
        for i in range(self.config.num_layers):
            x = leaky_relu(getattr(self, f"fc{i}")(x))
        return x
