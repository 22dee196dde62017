"""The published recipe, plainly: StyleGAN2's projector (Karras et al. 2020), then PTI (Roich et al. 2021).

Steps and rates are those of the PTI program (450 steps on w, 350 on all weights of the synthesis); the losses are
ours, for LPIPS weights are not at hand, and noise maps are not optimised. Every step renders and differentiates the
whole picture. A budget of passes shortens both stages in proportion, schedules included.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from engine.inversion.losses import PyramidLoss
from engine.inversion.tuned import with_weights
from stylegan2 import Generator

PROJECTOR_STEPS, PTI_STEPS = 450, 350
PASSES_PER_STEP = 3  # forward 1, backward 2
_PROJECTOR_RATE, _RAMP_UP, _RAMP_DOWN = 0.1, 0.05, 0.25
_NOISE, _NOISE_SHARE = 0.05, 0.75  # of the latent's standard deviation; of the steps
_PTI_RATE = 3e-4


@torch.enable_grad()
def project(generator: Generator, loss: PyramidLoss, steps: int) -> Tensor:
    """StyleGAN2's projector into W. -> w_plus, (1, num_ws, w_dim)."""
    random = torch.Generator().manual_seed(0)
    deviation = float(generator.w_covariance.diagonal().sum().sqrt())
    w = generator.w_mean.clone()[None].requires_grad_()
    optimiser = torch.optim.Adam([w], betas=(0.9, 0.999))
    for step in range(steps):
        t = step / steps
        noise = deviation * _NOISE * max(0.0, 1 - t / _NOISE_SHARE) ** 2
        ramp = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / _RAMP_DOWN))
        optimiser.param_groups[0]["lr"] = _PROJECTOR_RATE * ramp * min(1.0, t / _RAMP_UP)
        noisy = w + noise * torch.randn(w.shape, generator=random).to(w)
        optimiser.zero_grad()
        loss(generator.synthesis(_rows(generator, noisy))).backward()
        optimiser.step()
    return _rows(generator, w.detach())


@torch.enable_grad()
def tune(generator: Generator, w_plus: Tensor, loss: PyramidLoss, steps: int) -> Generator:
    """PTI's tuning of all weights of the synthesis, around a fixed latent."""
    names = [name for name, _ in generator.named_parameters() if not name.startswith("mapping_network")]
    parameters = dict(generator.named_parameters())
    weights = {name: nn.Parameter(parameters[name].detach().clone()) for name in names}
    tuned = with_weights(generator, weights)
    optimiser = torch.optim.Adam(weights.values(), lr=_PTI_RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(tuned.synthesis(w_plus)).backward()
        optimiser.step()
    return tuned.requires_grad_(False)


def shares(budget: int) -> tuple[int, int]:
    """Share a budget of passes out over both stages."""
    steps = min(budget // PASSES_PER_STEP, PROJECTOR_STEPS + PTI_STEPS)
    first = round(steps * PROJECTOR_STEPS / (PROJECTOR_STEPS + PTI_STEPS))
    return first, steps - first


def _rows(generator: Generator, w: Tensor) -> Tensor:
    return w[:, None].expand(-1, generator.num_ws, -1)
