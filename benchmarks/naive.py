"""The drag step as the released DragGAN program spends its time: the baseline of the benchmarks, the oracle of tests.

Same numbers as `engine.drag.draggan` with the official constants, obtained the long way: the whole picture is
synthesised, the feature map is resized to the picture, every point is treated on its own, and the weights gather
gradients that nobody reads. Written from the paper and the observed behaviour of the program.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.drag.descent import FEATURE_SIZE, REFERENCE_RESOLUTION
from engine.drag.draggan import OFFICIAL, DragganSettings, disc
from engine.drag.state import DragPoints
from stylegan2 import Generator
from stylegan2.mobile import MobileBlock
from stylegan2.ops import SQRT2, fir_kernel, leaky_relu
from stylegan2.synthesis import NoiseMode, SynthesisBlock, SynthesisLayer


def per_sample_weights(
    layer: SynthesisLayer, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const", gain: float = 1.0
) -> Tensor:
    """The same layer with weights modulated for each sample and one grouped convolution over the batch."""
    n, channels, height, width = x.shape
    weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]  # (N, out, in, k, k)
    weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, n * channels, height, width)
    if layer.up:
        weight = weight.transpose(1, 2).flatten(0, 1)  # (N * in, out, k, k)
        x = F.conv_transpose2d(x, weight, stride=2, groups=n)
        x = F.conv2d(x, fir_kernel(x.shape[1], 4.0, x), padding=1, groups=x.shape[1])
    else:
        x = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=n)
    x = x.reshape(n, -1, *x.shape[2:]) + layer.noise_const * layer.noise_strength
    return leaky_relu(x + layer.bias[:, None, None], SQRT2 * gain)


class NaiveDraggan:
    """One drag; call `step` as often as wanted.

    Args:
        generator: any generator; its parameters get gradients, as in the released program.
        w_plus: latent, (1, num_ws, w_dim).
        points: handles and targets, model pixels, at pixel centres.
        mask: region that may move, (resolution, resolution), or None.
        settings: constants.
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        settings: DragganSettings = OFFICIAL,
    ) -> None:
        self.generator, self.settings = generator.requires_grad_(True), settings
        for module in generator.modules():
            if isinstance(module, SynthesisLayer):
                module.forward = partial(per_sample_weights, module)  # type: ignore[method-assign]
        self.size = generator.resolution
        unit = self.size / REFERENCE_RESOLUTION
        self.patch_radius = round(settings.patch_radius * unit) or 1
        self.search_radius = round(settings.search_radius * unit) or 1
        self.handles = [tuple(p) for p in np.floor(points.handles).astype(int).tolist()]  # pixel indices, x first
        self.targets = [tuple(p) for p in np.floor(points.targets).astype(int).tolist()]
        self.w = w_plus[:, : generator.coarse_ws].detach().clone().requires_grad_(True)
        self.rest = w_plus[:, generator.coarse_ws :].detach()
        self.optimizer = torch.optim.Adam([self.w], lr=settings.learning_rate)
        self.held = None if mask is None else 1 - torch.from_numpy(mask)[None, None].to(w_plus)
        self.templates: list[Tensor] | None = None
        self.before: Tensor | None = None

    def step(self) -> float:
        """Synthesise, track, pull once; return the mean distance of the tracked handles, pixels."""
        features = self._resized_features()
        if self.templates is None:
            self.before = features.detach()
            self.templates = [self.before[0, :, y, x] for x, y in self.handles]
        else:
            self.handles = [
                self._track(features.detach(), *pair) for pair in zip(self.handles, self.templates, strict=True)
            ]
        loss = features.new_zeros(())
        distances = []
        for handle, target in zip(self.handles, self.targets, strict=True):
            distances.append(float(np.hypot(target[0] - handle[0], target[1] - handle[1])))
            if distances[-1] > self.settings.rest_px:
                loss = loss + self._pull(features, handle, target)
        if self.held is not None:
            assert self.before is not None
            loss = loss + self.settings.mask_weight * F.l1_loss(features * self.held, self.before * self.held)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(np.mean(distances))

    def _resized_features(self) -> Tensor:
        """Feature map at the size of the picture, from a full synthesis."""
        resolution = min(FEATURE_SIZE, self.generator.feature_resolutions[-1])
        captured: list[Tensor] = []
        block = next(
            module
            for module in self.generator.modules()
            if isinstance(module, SynthesisBlock | MobileBlock) and module.resolution == resolution
        )
        hook = block.register_forward_hook(lambda module, inputs, output: captured.append(output))
        try:
            self.generator.synthesis(torch.cat([self.w, self.rest], 1))
        finally:
            hook.remove()
        return F.interpolate(captured[0], (self.size, self.size), mode="bilinear")

    def _track(self, features: Tensor, handle: tuple[int, int], template: Tensor) -> tuple[int, int]:
        """Nearest neighbour in a square around the handle."""
        x, y = handle
        left, right = max(x - self.search_radius, 0), min(x + self.search_radius + 1, self.size)
        top, bottom = max(y - self.search_radius, 0), min(y + self.search_radius + 1, self.size)
        patch = features[0, :, top:bottom, left:right]
        best = int((patch - template[:, None, None]).norm(dim=0).argmin())
        return left + best % (right - left), top + best // (right - left)

    def _pull(self, features: Tensor, handle: tuple[int, int], target: tuple[int, int]) -> Tensor:
        """Motion supervision of one point."""
        here = torch.tensor(handle, dtype=features.dtype)
        direction = torch.tensor(target, dtype=features.dtype) - here
        direction = direction / (direction.norm() + 1e-7)
        source = here + disc(self.patch_radius).to(features)  # (P, 2), pixel indices
        wanted = features.detach()[0, :, source[:, 1].long(), source[:, 0].long()]  # (C, P)
        grid = (source + direction) / (self.size - 1) * 2 - 1
        moved = F.grid_sample(features, grid[None, None], align_corners=True)[0, :, 0]  # (C, P)
        return F.l1_loss(wanted, moved)
