"""The synthesis network w_plus -> picture (Karras et al. 2020, section 2 and 4), read from top to bottom.

Parameter names are those of the published stylegan2-ada-pytorch checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2 import windows as win
from stylegan2.ops import (
    SQRT2,
    Conv2dLayer,
    FrozenCache,
    FullyConnectedLayer,
    fir_kernel,
    squared_norms,
    transposed,
    upsample,
)
from stylegan2.windows import Windows

NoiseMode = Literal["const", "random", "none"]
Architecture = Literal["orig", "skip", "resnet"]


@dataclass(frozen=True)
class SynthesisConfig:
    """Sizes of a synthesis network.

    Attributes:
        channels: resolution -> channels of the block's output.
        architecture: "skip" adds up RGB of all blocks, "resnet" has residual blocks, "orig" neither.
        conv_clamp: bound on the activations of fp16 blocks, None for unbounded.
        fp16_resolution: lowest resolution that was trained in fp16; 0 where no block was.
        base_width: columns of the 4-high constant: 4, or 2 for pictures half as wide as high (StyleGAN-Human).
    """

    w_dim: int
    resolution: int
    channels: dict[int, int]
    architecture: Architecture = "skip"
    conv_clamp: float | None = None
    fp16_resolution: int = 0
    base_width: int = 4


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution with demodulation, noise, bias and activation, optionally upsampling first."""

    def __init__(
        self, in_channels: int, out_channels: int, w_dim: int, resolution: int, up: bool, base_width: int = 4
    ) -> None:
        super().__init__()
        self.resolution, self.width, self.up = resolution, resolution * base_width // 4, up
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.noise_const: Tensor
        self.register_buffer("noise_const", torch.randn(self.resolution, self.width))
        self.conv_clamp: float | None = None
        self._squared_norms, self._transposed = FrozenCache(squared_norms), FrozenCache(transposed)

    @property
    def macs_per_position(self) -> int:
        """Multiply-accumulates per output position; the FIR filter counts, the transposed one is a quarter."""
        out_channels, in_channels = self.weight.shape[:2]
        return out_channels * (in_channels * 9 // (4 if self.up else 1) + 16 * self.up)

    def forward(self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const", gain: float = 1.0) -> Tensor:
        """(N, in, R', R') and w (N, w_dim) -> (N, out, R, R), R' = R / 2 when upsampling."""
        styles, demodulation = self._modulation(w)
        x = x * styles
        if self.up:
            x = F.conv_transpose2d(x, self._transposed(self.weight), stride=2)  # (N, out, R + 1, R + 1)
            x = F.conv2d(x, fir_kernel(x.shape[1], 4.0, x), padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, self.weight, padding=1)
        return self._activate(x, demodulation, self._noise(x, noise_mode), gain)

    def window_input(self, out: Windows) -> Windows:
        """The input windows that the output windows need."""
        if not self.up:
            return out.grown(1)
        return Windows(tuple(((x - 2) // 2, (y - 2) // 2) for x, y in out.origins_xy), (out.size + 6) // 2)

    def forward_windows(self, x: Tensor, w: Tensor, given: Windows, out: Windows, gain: float = 1.0) -> Tensor:
        """As `forward` with constant noise, on the windows `given` of the input, which must equal window_input(out)."""
        styles, demodulation = self._modulation(w)
        x = x * styles
        if self.up:
            x = F.conv_transpose2d(x, self._transposed(self.weight), stride=2)
            offsets = [
                (ox - 1 - 2 * ix, oy - 1 - 2 * iy)
                for (ox, oy), (ix, iy) in zip(out.origins_xy, given.origins_xy, strict=True)
            ]
            x = win.trim(x, offsets, out.size + 3)
            x = F.conv2d(x, fir_kernel(x.shape[1], 4.0, x), groups=x.shape[1])
        else:
            x = F.conv2d(x, self.weight)
        noise = win.crop(self.noise_const[None, None], out) * self.noise_strength  # (K, 1, size, size)
        return win.clear_outside(self._activate(x, demodulation, noise, gain), out, self.resolution, self.width)

    def _modulation(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Scales before and after the convolution, (N, in, 1, 1) and (N, out, 1, 1), equal to modulated weights."""
        styles = self.affine(w)
        norms = self._squared_norms(self.weight)  # (out, in)
        demodulation = (styles.square() @ norms.t() + 1e-8).rsqrt()
        return styles[:, :, None, None], demodulation[:, :, None, None]

    def _noise(self, like: Tensor, mode: NoiseMode) -> Tensor | None:
        if mode == "none":
            return None
        if mode == "random":
            shape = (like.shape[0], 1, *self.noise_const.shape)
            return torch.randn(shape, dtype=like.dtype, device=like.device) * self.noise_strength
        return self.noise_const * self.noise_strength

    def _activate(self, x: Tensor, demodulation: Tensor, noise: Tensor | None, gain: float) -> Tensor:
        scale = SQRT2 * gain  # leaky ReLU is homogeneous: scaling before it saves one pass over the map
        x = x * (demodulation * scale) + (self.bias * scale)[:, None, None]
        if noise is not None:
            x = x + noise * scale
        x = F.leaky_relu(x, 0.2)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)


class ToRGBLayer(nn.Module):
    """Modulated 1x1 convolution to RGB, without demodulation."""

    def __init__(self, in_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1.0 / math.sqrt(in_channels)
        self.conv_clamp: float | None = None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """(N, in, R, R) and w (N, w_dim) -> (N, 3, R, R)."""
        return self.coloured(self.modulated(x, w))

    def modulated(self, x: Tensor, w: Tensor) -> Tensor:
        """Scale the channels. (N, in, R, R) and w (N, w_dim) -> (N, in, R, R)."""
        styles = self.affine(w) * self.weight_gain
        return x * styles[:, :, None, None]

    def coloured(self, x: Tensor) -> Tensor:
        """Convolve scaled channels. (N, in, R, R) -> (N, 3, R, R)."""
        x = F.conv2d(x, self.weight, self.bias)
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)


class SynthesisBlock(nn.Module):
    """All layers of one resolution: upsampling convolution, convolution, and what the architecture adds."""

    def __init__(self, resolution: int, in_channels: int, out_channels: int, config: SynthesisConfig) -> None:
        super().__init__()
        self.resolution: int = resolution
        self.width: int = resolution * config.base_width // 4
        self.architecture = config.architecture
        self.first = resolution == 4
        w_dim, base_width = config.w_dim, config.base_width
        if self.first:
            self.const = nn.Parameter(torch.randn(out_channels, 4, base_width))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, True, base_width)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, False, base_width)
        self.has_rgb = config.architecture == "skip" or resolution == config.resolution
        if self.has_rgb:
            self.torgb = ToRGBLayer(out_channels, w_dim)
        self.residual = config.architecture == "resnet" and not self.first
        if self.residual:
            self.skip = Conv2dLayer(in_channels, out_channels, 1, bias=False)
        if config.fp16_resolution and resolution >= config.fp16_resolution:
            for layer in self.children():
                if isinstance(layer, SynthesisLayer | ToRGBLayer):
                    layer.conv_clamp = config.conv_clamp

    @property
    def num_convs(self) -> int:
        """Rows of w_plus that the convolutions read; the RGB layer reads the row after them."""
        return 1 if self.first else 2

    @property
    def macs_per_position(self) -> int:
        """Cost of the convolutions per output position."""
        return self.conv1.macs_per_position + (0 if self.first else self.conv0.macs_per_position)

    def forward(self, x: Tensor | None, rows: Sequence[Tensor], noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the block's feature map.

        Args:
            x: map of the block below, (N, in, R/2, R/2); None for the first block.
            rows: one w of (N, w_dim) per convolution.
            noise_mode: see `Generator.synthesis`.

        Returns:
            (N, out, R, R).
        """
        if self.first:
            return self.conv1(self.const.expand(len(rows[0]), -1, -1, -1), rows[0], noise_mode)
        assert x is not None
        gain = math.sqrt(0.5) if self.residual else 1.0
        y = self.conv1(self.conv0(x, rows[0], noise_mode), rows[1], noise_mode, gain)
        if self.residual:
            y = y + upsample(self.skip(x, gain=gain))
        return y

    def window_input(self, windows: Windows) -> Windows:
        """The windows of the block below that `windows` of this one need."""
        return self.conv0.window_input(self.conv1.window_input(windows))

    def forward_windows(self, x: Tensor, rows: Sequence[Tensor], out: Windows) -> Tensor:
        """As `forward` with constant noise, for windows: x (K, in, m, m) as window_input says -> (K, out, n, n)."""
        middle = self.conv1.window_input(out)
        given = self.conv0.window_input(middle)
        gain = math.sqrt(0.5) if self.residual else 1.0
        y = self.conv0.forward_windows(x, rows[0], given, middle)
        y = self.conv1.forward_windows(y, rows[1], middle, out, gain)
        if self.residual:
            skip = self.skip(x, gain=gain)
            channels = skip.shape[1]
            skip = F.conv_transpose2d(skip, fir_kernel(channels, 4.0, skip), stride=2, groups=channels)
            offsets = [
                (ox + 1 - 2 * ix, oy + 1 - 2 * iy)
                for (ox, oy), (ix, iy) in zip(out.origins_xy, given.origins_xy, strict=True)
            ]
            y = y + win.clear_outside(win.trim(skip, offsets, out.size), out, self.resolution, self.width)
        return y


class SynthesisNetwork(nn.Module):
    """Blocks from 4x4 up to the picture's resolution."""

    def __init__(self, config: SynthesisConfig) -> None:
        super().__init__()
        self.config = config
        self.block_resolutions = [4 << i for i in range(int(math.log2(config.resolution)) - 1)]
        for resolution in self.block_resolutions:
            in_channels = config.channels.get(resolution // 2, 0)
            block = SynthesisBlock(resolution, in_channels, config.channels[resolution], config)
            setattr(self, f"b{resolution}", block)

    @property
    def blocks(self) -> list[SynthesisBlock]:
        """The blocks, lowest resolution first."""
        return [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]

    @property
    def layer_resolutions(self) -> tuple[int, ...]:
        """Resolution of the layer behind each row of w_plus; the last row steers the last RGB layer."""
        rows = [block.resolution for block in self.blocks for _ in range(block.num_convs)]
        return (*rows, self.config.resolution)

    def forward(self, w_plus: Tensor, noise_mode: NoiseMode = "const") -> tuple[Tensor, Tensor | None]:
        """(N, num_ws, w_dim) -> input of the last RGB layer, (N, C, R, R), and the picture it adds to, or None."""
        rows = w_plus.unbind(1)
        x, image, k = None, None, 0
        for block in self.blocks:
            x = block(x, rows[k : k + block.num_convs], noise_mode)
            k += block.num_convs
            if image is not None:
                image = upsample(image)
            if block.has_rgb and block is not self.blocks[-1]:
                rgb = block.torgb(x, rows[k])
                image = rgb if image is None else image + rgb
        assert x is not None
        return self.blocks[-1].torgb.modulated(x, rows[-1]), image

    def features(self, rows: Sequence[Tensor], resolution: int, windows: Windows | None = None) -> Tensor:
        """Feature map of one block, or windows of it; see `Generator.features`."""
        blocks = [block for block in self.blocks if block.resolution <= resolution]
        if not blocks or blocks[-1].resolution != resolution:
            raise ValueError(f"no block at {resolution} px; there are {self.block_resolutions}")
        if windows is not None and len(rows[0]) not in (1, len(windows)):
            raise ValueError(f"{len(windows)} windows need one latent, or one each, not {len(rows[0])}")
        dense, needed = (len(blocks), []) if windows is None else win.plan(blocks, windows)
        x, k = None, 0
        for block in blocks[:dense]:
            x = block(x, rows[k : k + block.num_convs])
            k += block.num_convs
        assert x is not None
        if windows is None:
            return x
        x = win.crop(x, needed[0])
        for block, out in zip(blocks[dense:], needed[1:], strict=True):
            x = block.forward_windows(x, rows[k : k + block.num_convs], out)
            k += block.num_convs
        return x
