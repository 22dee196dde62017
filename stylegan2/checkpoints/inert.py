"""What an untrusted file turns into: descriptions that cannot do anything, and limits on how much of them.

Nothing here refers to a class, module or function that a file names. A tensor stays a description (which bytes,
which shape) until somebody asks for its values; that it lies inside its bytes was checked when it was made.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylegan2.errors import CheckpointError

MAX_RANK = 8
MAX_SHOWN = 120  # characters of a text in a message
MAX_SETTING = 1000  # characters of a text in settings
STEPS_PER_CHECK = 1024


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for; a 1024-px file with all its networks needs a tenth of it.

    Attributes:
        file_bytes: size of the file.
        steps: pickle instructions in all streams of the file.
        stack: values that wait in one stream.
        text_bytes: one text; protocol 2 writes the bytes of tensors as texts.
        tensors: tensors and arrays described.
        elements: elements of one tensor.
        nodes: parts visited when networks and settings are read, each as often as it is referred to.
        depth: of networks in networks, lists in lists.
        seconds: for reading descriptions.
    """

    file_bytes: int = 8 << 30
    steps: int = 500_000
    stack: int = 200_000
    text_bytes: int = 64 << 20
    tensors: int = 20_000
    elements: int = 1 << 29
    nodes: int = 50_000
    depth: int = 64
    seconds: float = 60.0


class Budget:
    """Counts what one file has used of its limits; every method raises `CheckpointError` past them."""

    def __init__(self, file_bytes: int, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        if file_bytes > self.limits.file_bytes:
            raise CheckpointError(f"it has {file_bytes:,} bytes; the limit is {self.limits.file_bytes:,}")
        self._deadline = time.monotonic() + self.limits.seconds
        self._steps = self._tensors = self._nodes = 0
        # Views of the same bytes must not multiply the file; half-precision files become four bytes an element.
        self._bytes_left = 4 * file_bytes + (1 << 20)

    def take_steps(self, steps: int, stack: int = 0) -> None:
        """Account for pickle instructions, or for as much work, and the height of the stack."""
        self._steps += steps
        if self._steps > self.limits.steps:
            raise CheckpointError(f"it takes more than {self.limits.steps:,} steps to read")
        if stack > self.limits.stack:
            raise CheckpointError(f"more than {self.limits.stack:,} values wait at once")
        if time.monotonic() > self._deadline:
            raise CheckpointError(f"it takes more than {self.limits.seconds:.0f} s to read")

    def take_tensor(self, shape: tuple[int, ...], item_bytes: int) -> None:
        """Account for a tensor that is about to be described."""
        self._tensors += 1
        if self._tensors > self.limits.tensors:
            raise CheckpointError(f"it has more than {self.limits.tensors:,} tensors")
        elements = prod(shape)
        if elements > self.limits.elements:
            raise CheckpointError(f"a tensor of {elements:,} elements is beyond the limit of {self.limits.elements:,}")
        self.take_bytes(elements * item_bytes)

    def take_bytes(self, count: int) -> None:
        """Account for memory that a tensor or text is going to need."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise CheckpointError("its tensors and texts are larger than a file of this size can hold")

    def take_node(self, depth: int) -> None:
        """Account for a part visited at `depth`."""
        self._nodes += 1
        if self._nodes > self.limits.nodes:
            raise CheckpointError("it refers to the same parts too many times")
        if depth > self.limits.depth:
            raise CheckpointError("its parts are nested too deeply")


def shown(value: object) -> str:
    """A value out of a file for a message: short, printable, and without a look into what may be endless."""
    if isinstance(value, str):
        return ascii(value[:MAX_SHOWN])[1:-1]
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return f"a {type(value).__name__}"


@dataclass(frozen=True)
class Global:
    """A name out of a file, module and attribute joined by a dot."""

    name: str


@dataclass
class Instance:
    """An object of a class that is only a name; `state` is what the file wanted to put into it."""

    class_name: str
    state: dict[Any, Any] | None = None


@dataclass
class Storage:
    """A run of numbers; `data` is filled in before a reader hands it out."""

    dtype: torch.dtype
    length: int
    data: memoryview | None = None


@dataclass(frozen=True)
class TensorView:
    """A tensor of a PyTorch file: offset and strides count elements of the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def values(self) -> Tensor:
        """The elements, where they are in the file."""
        if self.storage.data is None:
            raise CheckpointError("a tensor has no data")
        if prod(self.shape) == 0:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        flat = torch.frombuffer(self.storage.data, dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.strides, self.offset)


@dataclass
class NumpyType:
    """A plain number type of numpy, such as "f4", and its byte order."""

    code: str
    order: str = "<"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type itself."""
        return np.dtype(self.order + self.code)


@dataclass
class NumpyArray:
    """An array of a numpy pickle; empty until its state arrives."""

    shape: tuple[int, ...] = ()
    dtype: NumpyType | None = None
    fortran: bool = False
    data: memoryview | bytes = field(default=b"", repr=False)

    def values(self) -> Tensor:
        """The elements, where they are in the file, or a copy in this machine's byte order."""
        if self.dtype is None:
            raise CheckpointError("an array has no data")
        array = np.frombuffer(self.data, self.dtype.dtype).reshape(self.shape, order="F" if self.fortran else "C")
        return torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))


Array = TensorView | NumpyArray


def plain(value: object, budget: Budget, depth: int = 0) -> Any:
    """Copy settings out of a file as JSON values; what is none of those becomes its description in brackets."""
    budget.take_node(depth)
    if isinstance(value, str):
        return value[:MAX_SETTING]
    if value is None or isinstance(value, int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, budget, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(str(plain(item, budget, depth + 1)) for item in value)
    if isinstance(value, Instance):
        return f"<{value.class_name}>"
    return f"<{value.name}>" if isinstance(value, Global) else f"<{type(value).__name__}>"
