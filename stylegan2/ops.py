"""The operations StyleGAN2 is made of, in plain PyTorch (Karras et al. 2020).

Two choices make them fast without a compiled extension, and equal to the published ones up to rounding:
modulation scales the activations before and after one shared convolution instead of building weights per sample,
and the FIR filters run as depthwise convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)
FIR_TAPS = (1.0, 3.0, 3.0, 1.0)  # the low-pass filter of every published StyleGAN2


def fir_kernel(channels: int, gain: float, like: Tensor) -> Tensor:
    """Build the separable low-pass filter as a depthwise kernel.

    Args:
        channels: number of maps to filter.
        gain: sum of the kernel: 4 after inserting zeros for upsampling, 1 otherwise.
        like: tensor that gives dtype and device.

    Returns:
        (channels, 1, 4, 4).
    """
    taps = torch.tensor(FIR_TAPS, dtype=like.dtype, device=like.device)
    kernel = torch.outer(taps, taps)
    return (kernel * (gain / kernel.sum())).expand(channels, 1, 4, 4)


def upsample(x: Tensor) -> Tensor:
    """Double the resolution: zeros between the samples, then the low-pass filter. (N, C, H, W) -> (N, C, 2H, 2W)."""
    channels = x.shape[1]
    x = F.conv_transpose2d(x, fir_kernel(channels, 4.0, x), stride=2, groups=channels)  # (N, C, 2H + 2, 2W + 2)
    return x[:, :, 1:-1, 1:-1]


def downsample(x: Tensor) -> Tensor:
    """Halve the resolution: low-pass filter, then every second sample. (N, C, H, W) -> (N, C, H/2, W/2)."""
    channels = x.shape[1]
    return F.conv2d(x, fir_kernel(channels, 1.0, x), stride=2, padding=1, groups=channels)


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scale each row of (N, C) to a mean square of one."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def leaky_relu(x: Tensor, gain: float = SQRT2) -> Tensor:
    """Activation of all StyleGAN2 layers, scaled to keep the variance."""
    return F.leaky_relu(x, 0.2) * gain


class FrozenCache:
    """Keeps a tensor derived from a parameter for as long as the parameter is frozen and unchanged.

    Small windows make the arithmetic so cheap that squaring or transposing the weights anew would dominate it.
    """

    def __init__(self, derive: Callable[[Tensor], Tensor]) -> None:
        self._derive = derive
        self._stamp: tuple[int, int] | None = None
        self._value: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> FrozenCache:
        """Start empty-handed: the copy may stand beside another parameter."""
        return FrozenCache(self._derive)

    def __call__(self, parameter: Tensor) -> Tensor:
        """Return the derived tensor, with a gradient where the parameter wants one."""
        if parameter.requires_grad:
            return self._derive(parameter)
        stamp = (parameter.data_ptr(), parameter._version)
        if self._value is None or self._stamp != stamp:
            self._stamp, self._value = stamp, self._derive(parameter)
        return self._value


def squared_norms(weight: Tensor) -> Tensor:
    """Sum of squares of every kernel, (out, in, k, k) -> (out, in)."""
    return weight.square().sum((2, 3))


def transposed(weight: Tensor) -> Tensor:
    """Weights as a transposed convolution wants them, (out, in, k, k) -> (in, out, k, k), contiguous."""
    return weight.transpose(0, 1).contiguous()


class FullyConnectedLayer(nn.Module):
    """Linear layer with equalised learning rate: the weights are stored unscaled (Karras et al. 2018, section 4.1).

    Args:
        in_features, out_features: sizes.
        bias_init: initial bias, before scaling.
        lr_multiplier: learning-rate multiplier, which also scales weights and bias.
    """

    def __init__(self, in_features: int, out_features: int, bias_init: float = 0.0, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) -> (N, out_features)."""
        bias = self.bias if self.bias_gain == 1.0 else self.bias * self.bias_gain
        return torch.addmm(bias, x, self.weight.t(), alpha=self.weight_gain)


class Conv2dLayer(nn.Module):
    """Plain convolution with equalised learning rate, as the discriminator and the residual branches use it.

    Args:
        in_channels, out_channels, kernel_size: sizes; the padding keeps the resolution.
        bias: whether the layer has one.
        activate: leaky ReLU after it.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.activate = activate
        self.conv_clamp: float | None = None

    def forward(self, x: Tensor, down: bool = False, gain: float = 1.0) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W), halved where `down`; `gain` scales the result."""
        weight = self.weight * self.weight_gain
        if down and self.padding:  # low-pass, then a strided convolution
            channels = x.shape[1]
            x = F.conv2d(x, fir_kernel(channels, 1.0, x), padding=2, groups=channels)
            x = F.conv2d(x, weight, self.bias, stride=2)
        else:
            x = F.conv2d(downsample(x) if down else x, weight, self.bias, padding=self.padding)
        x = leaky_relu(x, SQRT2 * gain) if self.activate else x * gain
        return x if self.conv_clamp is None else x.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)
