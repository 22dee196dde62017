"""Put tensors into a network without initialising it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stylegan2.checkpoints.inert import shown
from stylegan2.errors import CheckpointError

Network = TypeVar("Network", bound=nn.Module)
_SCALINGS = (Tensor.div, Tensor.__truediv__)


class _NoInitialValues(TorchFunctionMode):
    """Leaves memory as it is where a network asks for random numbers and scales them, which takes longer than loading.

    Building on the device "meta" would do as well, but its first use makes torch import modules for over a second.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _SCALINGS:
            return args[0]
        return (torch.empty if func is torch.randn else func)(*args, **(kwargs or {}))


def assemble(build: Callable[[], Network], tensors: Mapping[str, Tensor]) -> Network:
    """Build a network around tensors, which become its parameters and buffers without being copied.

    Args:
        build: makes the network; called where random initial values cost nothing.
        tensors: exactly the network's state, by name.

    Raises:
        CheckpointError: a tensor is missing, superfluous or of another shape.
    """
    with _NoInitialValues():
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
        raise CheckpointError(f"the tensor {shown(superfluous[0])} has no place in this network")
    network.load_state_dict(dict(tensors), assign=True)
    return network
