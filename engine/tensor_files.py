"""Write tensors into files that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file, all or nothing: it takes the place of an older one when it is complete.

    Args:
        tensors: by name, on any device.
        path: the file; beside it lies `NAME.part` meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(to_safetensors(tensors))
    temporary.replace(path)


def to_safetensors(tensors: Mapping[str, Tensor], header: dict[str, str] | None = None) -> bytes:
    """The content of a safetensors file: its own `save_file` fails with no OSError where a disk is full."""
    return safetensors.torch.save({name: one.detach().cpu().contiguous() for name, one in tensors.items()}, header)
