"""The derivative of the handles: what is computed, what is corrected, what is left alone."""

from __future__ import annotations

import pytest
import torch

from engine.drag.derivative import HandleDerivative

HANDLES, SIZE = 3, 7
EVERY = torch.ones(HANDLES, dtype=torch.bool)
PULLS = torch.tensor([[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]])


class World:
    """Handles whose true derivative is known; counts what is asked for."""

    def __init__(self) -> None:
        self.true = torch.randn(HANDLES, 2, SIZE, generator=torch.Generator().manual_seed(0))
        self.asked: list[tuple[list[int], int]] = []

    def slopes(self, which: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
        self.asked.append((which.nonzero()[:, 0].tolist(), along.shape[1]))
        return along @ self.true[which]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def derivative(world: World) -> HandleDerivative:
    found = HandleDerivative(world.slopes, torch.zeros(HANDLES, 2), SIZE)
    assert found.travelled_px.tolist() == [torch.inf] * HANDLES  # nothing is known
    found.renew(EVERY, PULLS)
    return found


def test_the_first_time_both_coordinates_are_computed(world: World, derivative: HandleDerivative) -> None:
    assert world.asked == [([0, 1, 2], 2)]
    assert torch.equal(derivative.rows, world.true.flatten(0, 1))
    assert derivative.travelled_px.tolist() == [0.0] * HANDLES


def test_later_the_rows_change_along_the_pull_only(world: World, derivative: HandleDerivative) -> None:
    before = world.true.clone()
    world.true += 1.0
    derivative.renew(torch.tensor([True, False, True]), PULLS)
    assert world.asked[1:] == [([0, 2], 1)]
    rows = derivative.rows.view(HANDLES, 2, SIZE)
    along, across = torch.tensor([[0.6, 0.8], [0.8, -0.6]])
    assert torch.allclose(along @ rows[0], along @ world.true[0], atol=1e-6)
    assert torch.allclose(across @ rows[0], across @ before[0], atol=1e-6)
    assert torch.equal(rows[1], before[1])  # not asked for
    assert torch.equal(rows[2], before[2])  # pulled nowhere


def test_a_correction_explains_the_step_and_changes_nothing_across_it(derivative: HandleDerivative) -> None:
    random = torch.Generator().manual_seed(1)
    step, other = torch.randn(2, SIZE, generator=random)
    other -= step * (other @ step) / step.square().sum()
    moved, unmoved = torch.randn(HANDLES, 2, generator=random), derivative.predict(other)
    derivative.correct(step, moved, torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(derivative.predict(step), moved, atol=1e-5)
    assert torch.allclose(derivative.predict(other), unmoved, atol=1e-5)
    assert derivative.travelled_px.tolist() == [1.0, 2.0, 3.0]


def test_a_handle_that_is_distrusted_is_due(derivative: HandleDerivative) -> None:
    derivative.distrust(torch.tensor([False, True, False]))
    assert derivative.travelled_px.tolist() == [0.0, torch.inf, 0.0]


def test_dozens_of_handles_are_computed_together(world: World) -> None:
    derivative = HandleDerivative(world.slopes, torch.zeros(HANDLES, 2), SIZE, together=True)
    first = torch.tensor([True, False, False])
    for _ in range(2):
        derivative.renew(first, PULLS)
    assert world.asked == [([0, 1, 2], 2)] * 2
    derivative.correct(torch.ones(SIZE), torch.zeros(HANDLES, 2), torch.tensor([1.0, 2.0, 3.0]))
    assert derivative.travelled_px.tolist() == [3.0] * HANDLES
