"""Where to compute, and what to say when its memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from krita_drag.wire.errors import BadOption, OutOfMemory

from engine.machine import is_out_of_memory

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick(name: str = "auto") -> torch.device:
    """Choose the device to compute on.

    Args:
        name: "auto" takes CUDA, else Apple's MPS, else the CPU; or one of these by name.

    Raises:
        BadOption: the device that was asked for is not here.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    if name not in available:
        raise BadOption(f"There is no device called “{name}”.", f"Choose one of {', '.join(DEVICES)}.")
    if not available[name]:
        raise BadOption(f"PyTorch finds no {name} device on this machine.", "Use --device cpu, or --device auto.")
    return torch.device(name)


@contextmanager
def memory_guard(device: torch.device) -> Iterator[None]:
    """Turn a failed allocation inside the block into a sentence.

    Raises:
        OutOfMemory: the device's memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"The memory of the {device.type} device does not hold this job.",
            "Close other programs, or use --device cpu." if device.type != "cpu" else "Close other programs.",
        ) from error
