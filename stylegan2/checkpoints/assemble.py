"""Put tensors into a network without initialising it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from stylegan2.errors import CheckpointError

Network = TypeVar("Network", bound=nn.Module)


def assemble(build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """Build a network around tensors, which become its parameters and buffers without being copied.

    Args:
        build: makes the network; called where tensors have a shape but no memory.
        tensors: exactly the network's state, by name.

    Raises:
        CheckpointError: a tensor is missing, superfluous or of another shape.
    """
    with torch.device("meta"):  # initial values would take longer than mapping the file
        network = build()
    needed = network.state_dict()
    for name in needed:
        if name not in tensors:
            raise CheckpointError(f"there is no tensor {name}")
        have, want = tuple(tensors[name].shape), tuple(needed[name].shape)
        if have != want:
            raise CheckpointError(f"{name} has shape {have}, not {want}")
    superfluous = sorted(set(tensors) - set(needed))
    if superfluous:
        raise CheckpointError(f"the tensor {superfluous[0]} has no place in this network")
    network.load_state_dict(dict(tensors), assign=True)
    return network
