"""The discriminator of StyleGAN2 (Karras et al. 2020): residual, skip or plain, conditional by projection.

Here it shows in tests that a file was read exactly; it is never trained.
Parameter names are those of the published stylegan2-ada-pytorch checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylegan2.mapping import MappingConfig, MappingNetwork
from stylegan2.ops import Conv2dLayer, FullyConnectedLayer, downsample, leaky_relu
from stylegan2.synthesis import Architecture


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a discriminator.

    Attributes:
        channels: resolution -> channels of the block that reads it, down to 4.
        c_dim: length of the label, 0 for unconditional.
        cmap_dim: length of the mapped label (conditional only); by default the channels at 4 px.
        mapping_layers: layers of the label's mapping network (conditional only).
        group_size: pictures per group of the minibatch standard deviation.
        conv_clamp: bound on the activations, None for unbounded.
        base_width: columns of the 4-high last map; 2 for pictures half as wide as high.
    """

    resolution: int
    channels: dict[int, int]
    architecture: Architecture = "resnet"
    c_dim: int = 0
    cmap_dim: int | None = None
    mapping_layers: int = 8
    group_size: int = 4
    conv_clamp: float | None = None
    base_width: int = 4


class DiscriminatorBlock(nn.Module):
    """Two convolutions at one resolution, then half of it."""

    def __init__(self, resolution: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels, below = config.channels[resolution], config.channels[resolution // 2]
        self.architecture = config.architecture
        self.has_rgb = resolution == config.resolution or config.architecture == "skip"
        if self.has_rgb:
            self.fromrgb = Conv2dLayer(3, channels, 1, activate=True)
        self.conv0 = Conv2dLayer(channels, channels, 3, activate=True)
        self.conv1 = Conv2dLayer(channels, below, 3, activate=True)
        for layer in self.children():
            assert isinstance(layer, Conv2dLayer)
            layer.conv_clamp = config.conv_clamp
        if config.architecture == "resnet":
            self.skip = Conv2dLayer(channels, below, 1, bias=False)

    def forward(self, x: Tensor | None, image: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Features and picture at this resolution -> the same at half of it; the picture only if still needed."""
        if self.has_rgb:
            assert image is not None
            rgb = self.fromrgb(image)
            x = rgb if x is None else x + rgb
            image = downsample(image) if self.architecture == "skip" else None
        assert x is not None
        if self.architecture == "resnet":
            y = self.skip(x, down=True, gain=math.sqrt(0.5))
            return y + self.conv1(self.conv0(x), down=True, gain=math.sqrt(0.5)), image
        return self.conv1(self.conv0(x), down=True), image


class MinibatchStdLayer(nn.Module):
    """Append one map with the standard deviation over groups of pictures (Karras et al. 2018, section 3)."""

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + 1, H, W)."""
        n, c, h, w = x.shape
        group = min(self.group_size, n)
        y = x.reshape(group, -1, c, h, w)  # (G, N / G, C, H, W)
        y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))  # (N / G,)
        y = y.reshape(-1, 1, 1, 1).repeat(group, 1, h, w)  # (N, 1, H, W)
        return torch.cat([x, y], 1)


class DiscriminatorEpilogue(nn.Module):
    """From 4x4 features to the logit."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = config.channels[4]
        self.cmap_dim = (config.cmap_dim or channels) if config.c_dim else 0
        self.skip_rgb = config.architecture == "skip"
        if self.skip_rgb:
            self.fromrgb = Conv2dLayer(3, channels, 1, activate=True)
        self.mbstd = MinibatchStdLayer(config.group_size)
        self.conv = Conv2dLayer(channels + 1, channels, 3, activate=True)
        self.conv.conv_clamp = config.conv_clamp
        self.fc = FullyConnectedLayer(channels * 4 * config.base_width, channels)
        self.out = FullyConnectedLayer(channels, self.cmap_dim or 1)

    def forward(self, x: Tensor, image: Tensor | None, mapped_label: Tensor | None) -> Tensor:
        """(N, C, 4, base_width) -> (N, 1)."""
        if self.skip_rgb:
            x = x + self.fromrgb(image)
        x = self.conv(self.mbstd(x))
        x = self.out(leaky_relu(self.fc(x.flatten(1))))
        if mapped_label is not None:
            x = (x * mapped_label).sum(1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x


class Discriminator(nn.Module):
    """Picture -> realness."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.block_resolutions = [4 << i for i in range(int(math.log2(config.resolution)) - 2, 0, -1)]
        for resolution in self.block_resolutions:
            setattr(self, f"b{resolution}", DiscriminatorBlock(resolution, config))
        self.b4 = DiscriminatorEpilogue(config)
        if config.c_dim:
            self.mapping = MappingNetwork(MappingConfig(0, config.c_dim, self.b4.cmap_dim, config.mapping_layers))

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        """Pictures (N, 3, R, R * base_width / 4) in [-1, 1] and labels (N, c_dim) -> logits (N, 1)."""
        if self.config.c_dim and c is None:
            raise ValueError("this discriminator is conditional: it needs a label c")
        x: Tensor | None = None
        rgb: Tensor | None = image
        for resolution in self.block_resolutions:
            x, rgb = getattr(self, f"b{resolution}")(x, rgb)
        label = self.mapping(None, c) if self.config.c_dim else None
        logits: Tensor = self.b4(x, rgb, label)
        return logits
