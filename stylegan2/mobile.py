"""MobileStyleGAN (Belousov 2021, arXiv 2104.04767): StyleGAN2 distilled into wavelets and separable convolutions.

Its W space is that of the StyleGAN2 it was distilled from. Demodulation is folded into the pointwise weights, the
noise is a stored constant, and RGB exists only at the top, as the four bands of a Haar transform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2 import windows as win
from stylegan2.generator import Generator, latent_rows
from stylegan2.ops import leaky_relu, normalize_2nd_moment
from stylegan2.synthesis import NoiseMode
from stylegan2.windows import Windows

ROWS_PER_BLOCK = 3  # up and first convolution share a row, second convolution, RGB


def inverse_haar(x: Tensor) -> Tensor:
    """Double the resolution by an inverse Haar wavelet transform.

    Args:
        x: bands, (N, 4C, H, W): C low-pass maps, then for each of the C its three detail bands.

    Returns:
        (N, C, 2H, 2W).
    """
    n, bands, height, width = x.shape
    channels = bands // 4
    low, details = x[:, :channels] * 0.5, x[:, channels:].view(n, channels, 3, height, width) * 0.5
    vertical, horizontal, diagonal = details.unbind(2)
    top, bottom = low + vertical, low - vertical
    top_detail, bottom_detail = horizontal + diagonal, horizontal - diagonal
    corners = (top + top_detail, top - top_detail, bottom + bottom_detail, bottom - bottom_detail)
    quads = torch.stack(corners, 2).view(n, channels * 4, height, width)
    return F.pixel_shuffle(quads, 2)


def haar(x: Tensor) -> Tensor:
    """Undo `inverse_haar`. (N, C, 2H, 2W) -> (N, 4C, H, W)."""
    corners = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4))  # (N, C, 4, H, W)
    a, b, c, d = (corners * 0.5).unbind(2)
    details = torch.stack((a + b - c - d, a - b + c - d, a - b - c + d), 2)
    return torch.cat((a + b + c + d, details.flatten(1, 2)), 1)


class StyleAffine(nn.Module):
    """Row of w_plus -> one scale per channel; the weights are stored scaled."""

    def __init__(self, w_dim: int, channels: int, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, w_dim))
        self.bias = nn.Parameter(torch.ones(channels))
        self.gain = gain

    def forward(self, w: Tensor) -> Tensor:
        """(N, w_dim) -> (N, channels, 1, 1)."""
        return (F.linear(w, self.weight, self.bias) * self.gain)[:, :, None, None]


class DenseLayer(nn.Module):
    """The first layer: a full 3x3 convolution of the learned constant."""

    def __init__(self, w_dim: int, in_channels: int, out_channels: int, resolution: int) -> None:
        super().__init__()
        self.affine = StyleAffine(w_dim, in_channels, 1 / math.sqrt(in_channels * 9))
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise: Tensor
        self.register_buffer("noise", torch.zeros(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in, R, R) -> (N, out, R, R)."""
        x = F.conv2d(x * self.affine(w), self.weight, self.bias, padding=1)
        return F.leaky_relu(x + self.noise, 0.2)


class SeparableLayer(nn.Module):
    """Modulated depthwise 3x3 and pointwise convolution, noise, bias, leaky ReLU."""

    def __init__(self, w_dim: int, in_channels: int, out_channels: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.affine = StyleAffine(w_dim, in_channels, 1 / math.sqrt(in_channels * 9))
        self.depthwise = nn.Parameter(torch.randn(in_channels, 1, 3, 3))
        self.pointwise = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise: Tensor
        self.register_buffer("noise", torch.zeros(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in, R, R) -> (N, out, R, R)."""
        return F.leaky_relu(self._convolve(x, w, padding=1) + self.noise, 0.2)

    def forward_windows(self, x: Tensor, w: Tensor, out: Windows) -> Tensor:
        """Windows grown by one -> windows: (K, in, n + 2, n + 2) -> (K, out, n, n)."""
        noise = win.crop(self.noise[None, None], out)
        x = F.leaky_relu(self._convolve(x, w, padding=0) + noise, 0.2)
        return win.clear_outside(x, out, self.resolution, self.resolution)

    def _convolve(self, x: Tensor, w: Tensor, padding: int) -> Tensor:
        x = F.conv2d(x * self.affine(w), self.depthwise, padding=padding, groups=x.shape[1])
        return F.conv2d(x, self.pointwise, self.bias)


class MobileBlock(nn.Module):
    """Modulated inverse Haar upsampling and two separable layers."""

    def __init__(self, w_dim: int, in_channels: int, out_channels: int, resolution: int) -> None:
        super().__init__()
        self.resolution = self.width = resolution
        self.up = StyleAffine(w_dim, in_channels, 1.0)
        self.conv1 = SeparableLayer(w_dim, in_channels // 4, out_channels, resolution)
        self.conv2 = SeparableLayer(w_dim, out_channels, out_channels, resolution)

    @property
    def macs_per_position(self) -> int:
        """Multiply-accumulates per output position."""
        out_channels, in_channels = self.conv1.pointwise.shape[:2]
        return (in_channels + out_channels) * (9 + out_channels)

    def forward(self, x: Tensor, rows: Sequence[Tensor]) -> Tensor:
        """(N, in, R/2, R/2) and rows [up and first layer, second layer] -> (N, out, R, R)."""
        x = inverse_haar(x * self.up(rows[0]))
        return self.conv2(self.conv1(x, rows[0]), rows[1])

    def window_input(self, windows: Windows) -> Windows:
        """The windows of the block below that `windows` of this one need."""
        wide = windows.grown(2)
        return Windows(tuple((x // 2, y // 2) for x, y in wide.origins_xy), wide.size // 2 + 1)

    def forward_windows(self, x: Tensor, rows: Sequence[Tensor], out: Windows) -> Tensor:
        """As `forward`, for windows: x (K, in, m, m) as window_input says -> (K, out, n, n)."""
        wide = out.grown(2)
        x = inverse_haar(x * self.up(rows[0]))
        x = win.trim(x, [(ox % 2, oy % 2) for ox, oy in wide.origins_xy], wide.size)
        return self.conv2.forward_windows(self.conv1.forward_windows(x, rows[0], out.grown(1)), rows[1], out)


@dataclass(frozen=True)
class MobileConfig:
    """Sizes of a MobileStyleGAN, all readable off the tensors.

    Attributes:
        channels: output channels of the first layer (4 px) and of every block, lowest first.
    """

    z_dim: int
    w_dim: int
    channels: tuple[int, ...]
    mapping_layers: int = 8


class MobileMapping(nn.Module):
    """StyleGAN2's mapping network with weights stored scaled."""

    def __init__(self, z_dim: int, w_dim: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(z_dim if i == 0 else w_dim, w_dim) for i in range(num_layers))

    def forward(self, z: Tensor) -> Tensor:
        """(N, z_dim) -> (N, w_dim)."""
        x = normalize_2nd_moment(z)
        for layer in self.layers:
            x = leaky_relu(layer(x))
        return x


class MobileStyleGAN(Generator):
    """The generator; the picture is twice as large as the last block's map."""

    kind = "mobilestylegan"
    colour_parameters = "rgb_weight", "rgb_bias"

    def __init__(self, config: MobileConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping_network = MobileMapping(config.z_dim, config.w_dim, config.mapping_layers)
        self.const = nn.Parameter(torch.randn(config.channels[0], 4, 4))
        self.first = DenseLayer(config.w_dim, config.channels[0], config.channels[0], 4)
        self.blocks = nn.ModuleList(
            MobileBlock(config.w_dim, config.channels[i], config.channels[i + 1], 8 << i)
            for i in range(len(config.channels) - 1)
        )
        top = config.channels[-1]
        self.rgb_affine = StyleAffine(config.w_dim, top, 1 / math.sqrt(top))
        self.rgb_weight = nn.Parameter(torch.randn(12, top, 1, 1))
        self.rgb_bias = nn.Parameter(torch.zeros(12))

        self.z_dim, self.w_dim, self.c_dim = config.z_dim, config.w_dim, 0
        self.resolution = 8 << len(self.blocks)
        self.num_ws = 2 + ROWS_PER_BLOCK * len(self.blocks)
        rows = [8 << i for i in range(len(self.blocks)) for _ in range(ROWS_PER_BLOCK)]
        self.layer_resolutions = (4, *rows, self.resolution)
        self.coarse_ws = sum(resolution <= 32 for resolution in self.layer_resolutions) - 1  # without RGB at 32 px

    @property
    def feature_resolutions(self) -> tuple[int, ...]:
        return tuple(8 << i for i in range(len(self.blocks)))

    def w(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        w: Tensor = self.mapping_network(z)
        return w

    def uncoloured(self, w_plus: Tensor, noise_mode: NoiseMode = "const") -> tuple[Tensor, Tensor | None]:
        """See `Generator.uncoloured`; the noise is part of the weights here, so every noise mode is "const"."""
        top = 4 << len(self.blocks)
        row = w_plus[:, ROWS_PER_BLOCK * len(self.blocks)]
        return self.features(w_plus, top) * self.rgb_affine(row), None

    def coloured(self, features: Tensor, below: Tensor | None) -> Tensor:
        return inverse_haar(F.conv2d(features, self.rgb_weight, self.rgb_bias))

    def colour_channels(self, picture: Tensor) -> Tensor:
        return haar(picture)

    def features(self, w_plus: Tensor | Sequence[Tensor], resolution: int, windows: Windows | None = None) -> Tensor:
        rows = latent_rows(w_plus)
        blocks = [block for block in self._blocks if block.resolution <= resolution]
        if not blocks or blocks[-1].resolution != resolution:
            raise ValueError(f"no block at {resolution} px; there are {self.feature_resolutions}")
        if windows is not None and len(rows[0]) not in (1, len(windows)):
            raise ValueError(f"{len(windows)} windows need one latent, or one each, not {len(rows[0])}")
        dense, needed = (len(blocks), []) if windows is None else win.plan(blocks, windows)
        x = self.first(self.const.expand(len(rows[0]), -1, -1, -1), rows[0])
        for i, block in enumerate(blocks[:dense]):
            x = block(x, self._block_rows(rows, i))
        if windows is None:
            return x
        x = win.crop(x, needed[0])
        for i, (block, out) in enumerate(zip(blocks[dense:], needed[1:], strict=True), dense):
            x = block.forward_windows(x, self._block_rows(rows, i), out)
        return x

    @property
    def _blocks(self) -> list[MobileBlock]:
        return [block for block in self.blocks if isinstance(block, MobileBlock)]

    @staticmethod
    def _block_rows(rows: Sequence[Tensor], i: int) -> Sequence[Tensor]:
        return rows[ROWS_PER_BLOCK * i + 1], rows[ROWS_PER_BLOCK * i + 2]
