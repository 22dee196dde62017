"""SOAP: Adam in the eigenbasis of the gradients' covariance (Vyas et al. 2024, arXiv 2409.11321).

The gradients of a convolution's weight mix its channels. Turned into the directions in which they vary independently,
each of Adam's steps goes further: a tuning to one photo needs half as many.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM, VARIANCE, COVARIANCE = 0.9, 0.98, 0.9  # what remains of each mean after a step
TURN_EVERY = 5  # steps for which a basis is kept
LARGEST = 512  # sides with more channels are not turned: their eigenvectors cost more time and memory than they save
FLOOR = 0.003  # of a weight's mean gradient: directions with less are noise, which is not to be blown up


class Soap(torch.optim.Optimizer):
    """The optimiser; its state is tensors only, so that `engine.inversion.snapshot` can keep it.

    Args:
        weights: moved in place; a tensor (n, ...) is taken as a matrix of n rows, a number as one of one.
    """

    def __init__(self, weights: Iterable[nn.Parameter]) -> None:
        super().__init__(list(weights), {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move all weights that have a gradient, by about the group's `lr` each."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group["lr"])

    def _move(self, weight: Tensor, rate: float) -> None:
        assert weight.grad is not None
        gradient = weight.grad.reshape(weight.shape[0] if weight.ndim else 1, -1)  # (n, m)
        state = self.state[weight]
        if not state:
            state |= {"step": torch.tensor(0.0), "mean": torch.zeros_like(gradient)}
            state["variance"] = torch.zeros_like(gradient)
        state["step"] += 1
        number = float(state["step"])
        for side, matrix in (("rows", gradient), ("columns", gradient.T)):
            if 1 < len(matrix) <= LARGEST:
                _follow(state, side, matrix @ matrix.T, number)
        state["mean"].lerp_(gradient, 1 - MOMENTUM)
        turned = _turn(gradient, state)
        state["variance"].lerp_(turned.square(), 1 - VARIANCE)
        mean = _turn(state["mean"], state) / (1 - MOMENTUM**number)
        variance = state["variance"] / (1 - VARIANCE**number)
        scale = variance.sqrt() + FLOOR * variance.mean().sqrt() + 1e-30
        weight.sub_(_turn_back(mean / scale, state).reshape(weight.shape), alpha=rate)


def _follow(state: dict[str, Tensor], side: str, covariance: Tensor, number: float) -> None:
    """Update the covariance of one side, (n, n), and from time to time its eigenvectors, as columns."""
    if side not in state:
        state[side] = covariance
    else:
        state[side].lerp_(covariance, 1 - COVARIANCE)
    if (number == 1 or number % TURN_EVERY == 0) and bool(torch.isfinite(state[side]).all()):
        there = "cpu" if covariance.device.type == "mps" else covariance.device  # Metal has no eigenvectors
        state[f"{side}_basis"] = torch.linalg.eigh(state[side].to(there)).eigenvectors.to(covariance).contiguous()


def _turn(matrix: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "rows_basis" in state:
        matrix = state["rows_basis"].T @ matrix
    return matrix @ state["columns_basis"] if "columns_basis" in state else matrix


def _turn_back(matrix: Tensor, state: dict[str, Tensor]) -> Tensor:
    if "rows_basis" in state:
        matrix = state["rows_basis"] @ matrix
    return matrix @ state["columns_basis"].T if "columns_basis" in state else matrix
