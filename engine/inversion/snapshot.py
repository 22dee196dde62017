"""An inversion between two of its steps, as numbers and tensors, so that another process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """What `engine.inversion.inverting` goes on from; the result is that of an inversion that was never cut.

    Attributes:
        told: what JSON can hold.
        tensors: by name; many are those that the search itself moves, so write them before its next step.
    """

    told: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Put a prefix before all names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Return what `prefixed` was given."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimiser_state(optimiser: torch.optim.Optimizer, moved: Mapping[str, Tensor]) -> Tensors:
    """Return what an optimiser remembers of tensors, as `NAME/KEY`."""
    return {f"{name}/{key}": value for name, tensor in moved.items() for key, value in optimiser.state[tensor].items()}


def set_optimiser_state(
    optimiser: torch.optim.Optimizer, moved: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> None:
    """Let an optimiser remember what `optimiser_state` returned."""
    for full_name, value in kept.items():
        name, _, key = full_name.rpartition("/")
        tensor = moved[name]
        optimiser.state[tensor][key] = value if key == "step" else value.to(tensor)
