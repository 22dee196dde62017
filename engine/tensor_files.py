"""Write tensors into files that are whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
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
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary)
    temporary.replace(path)
