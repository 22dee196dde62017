"""What a drag costs: passes through the generator, seconds, memory.

Unit of cost: one forward pass of one latent through the trunk up to the feature block (or of the whole synthesis, if
a solver renders), however little of the map its windows compute. By the usual convention a backward pass (one
vector-Jacobian product, also each one of a batch) counts 2, one Jacobian-vector product of forward mode 1 on top
of the forward pass that carries it. The rows of the judges keep the three counts apart, so other weights can be had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from benchmarks.timing import PeakMemory, synchronise
from engine.allocator import release_memory
from stylegan2 import Generator

FORWARD_COST = 1
PRODUCT_COST = 2  # vector-Jacobian product
TANGENT_COST = 1  # Jacobian-vector product


class PassCounter:
    """Context manager that counts the passes through a generator; nests and batches are understood.

    Args:
        generator: watched while inside; its `features` and `synthesis` are wrapped.

    Attributes:
        forwards: latents that went through.
        products: vector-Jacobian products.
        tangents: Jacobian-vector products.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.forwards = self.products = self.tangents = 0
        self._inside = False  # synthesis calls features

    @property
    def forward_equivalents(self) -> int:
        """Cost in forward passes, as this module's docstring defines it."""
        return FORWARD_COST * self.forwards + PRODUCT_COST * self.products + TANGENT_COST * self.tangents

    def __enter__(self) -> PassCounter:
        for name in ("features", "synthesis"):
            setattr(self.generator, name, partial(self._counted, getattr(self.generator, name)))
        return self

    def __exit__(self, *error: object) -> None:
        for name in ("features", "synthesis"):
            delattr(self.generator, name)  # uncovers the method of the class

    def _counted(
        self, original: Callable[..., Tensor], latents: Tensor | Sequence[Tensor], *more: Any, **named: Any
    ) -> Tensor:
        if self._inside:
            return original(latents, *more, **named)
        self._inside = True
        try:
            output = original(latents, *more, **named)
        finally:
            self._inside = False
        rows = [latents] if isinstance(latents, Tensor) else list(latents)
        count = len(rows[0])
        self.forwards += count * max(map(vmapped, rows))
        tangents = [tangent for row in rows if (tangent := forward_ad.unpack_dual(row).tangent) is not None]
        if tangents:
            self.tangents += count * max(map(vmapped, tangents))
        if output.requires_grad:
            output.register_hook(partial(self._backward, count))
        return output

    def _backward(self, count: int, gradient: Tensor) -> None:
        self.products += count * vmapped(gradient)


def vmapped(x: Tensor) -> int:
    """How many tensors a tensor stands for inside `vmap` and inside `autograd.grad(is_grads_batched=True)`."""
    functorch = torch._C._functorch
    count = 1
    while functorch.is_functorch_wrapped_tensor(x):
        axis = functorch.maybe_get_bdim(x)
        x = functorch.get_unwrapped(x)
        count *= x.shape[axis] if axis >= 0 else 1
    # batched gradients still go through the older vmap, which names its only level 1
    return count * int(torch._remove_batch_dim(x, 1, 1, 0).shape[0])


class Meter:
    """Context manager around one drag: passes, seconds and added peak memory; read them after the block.

    Attributes:
        passes: see `PassCounter`.
        seconds: spent inside.
        peak_mb: most memory that was added inside, of the process or of the GPU; None where it cannot be known.
    """

    def __init__(self, generator: Generator) -> None:
        self.passes = PassCounter(generator)
        self.seconds = 0.0
        self.peak_mb: float | None = None
        self._on_gpu = generator.w_mean.is_cuda
        self._memory = None if self._on_gpu or not Path("/proc/self/statm").exists() else PeakMemory()

    def __enter__(self) -> Meter:
        release_memory()  # so that a peak belongs to the drag in which it happens
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._base_bytes = torch.cuda.memory_allocated()
        if self._memory:
            self._memory.__enter__()
        self.passes.__enter__()
        synchronise()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        synchronise()
        self.seconds = time.perf_counter() - self._start
        self.passes.__exit__()
        if self._on_gpu:
            self.peak_mb = (torch.cuda.max_memory_allocated() - self._base_bytes) / 1e6
        if self._memory:
            self._memory.__exit__()
            self.peak_mb = self._memory.mb

    def row(self) -> dict[str, float | int | None]:
        """Return the columns that every judge shares."""
        passes = self.passes
        return {
            "forward_equivalents": passes.forward_equivalents,
            "forwards": passes.forwards,
            "products": passes.products,
            "tangents": passes.tangents,
            "seconds": round(self.seconds, 3),
            "peak_mb": None if self.peak_mb is None else round(self.peak_mb, 1),
        }
