"""The optimiser of the tuning: quick where channels are mixed, indifferent to damage, and all state in tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

from engine.inversion.soap import LARGEST, Soap


def mixed_fit(make: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer], steps: int) -> float:
    """Fit a matrix through inputs that are mixed and of very different sizes; the loss at the end over that before."""
    random = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(24, 24, generator=random)).Q
    inputs = torch.randn(200, 24, generator=random) * torch.logspace(0, -2, 24) @ basis
    wanted = inputs @ torch.randn(24, 8, generator=random)
    weight = nn.Parameter(torch.zeros(8, 24, 1, 1))
    optimiser = make([weight])
    losses: list[Tensor] = []
    for step in range(steps):
        optimiser.zero_grad()
        losses.append((inputs @ weight[..., 0, 0].T - wanted).square().mean())
        losses[-1].backward()
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
        optimiser.step()
    return float((losses[-1] / losses[0]).detach())


def test_it_gets_further_than_adam_where_channels_are_mixed() -> None:
    assert mixed_fit(Soap, 200) < 0.1 * mixed_fit(torch.optim.Adam, 200)


@pytest.mark.parametrize("shape", [(), (5,), (1, 3), (4, 1, 3, 3), (LARGEST + 1, 2)])
def test_weights_of_all_shapes_move_and_their_state_is_tensors(shape: tuple[int, ...]) -> None:
    weight = nn.Parameter(torch.zeros(shape))
    optimiser = Soap([weight])
    optimiser.param_groups[0]["lr"] = 0.01
    for _ in range(3):
        optimiser.zero_grad()
        (weight - 1).square().sum().backward()
        optimiser.step()
    assert ((weight > 0) & (weight < 0.2)).all()
    state = optimiser.state[weight]
    assert all(isinstance(value, Tensor) and value.is_contiguous() for value in state.values())
    assert ("rows" in state) == (bool(shape) and 1 < shape[0] <= LARGEST)


def test_what_is_no_number_raises_nothing() -> None:
    weight, still = nn.Parameter(torch.zeros(3, 3)), nn.Parameter(torch.ones(2))
    optimiser = Soap([weight, still])
    (weight * torch.nan).sum().backward()
    optimiser.step()
    assert weight.isnan().any()
    assert torch.equal(still.detach(), torch.ones(2))
