"""The names that a model file may mention, and what they do here: functions of ours, which make inert values.

A name that is not listed is refused, by that name. Which names genuine files use: `torch.save` and `pickle.dumps` of
tensors, NVIDIA's `torch_utils.persistence` (stylegan2-ada-pytorch, stylegan3), NVIDIA's TensorFlow networks, numpy
arrays, and `argparse.Namespace` in checkpoints of a training run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any

import torch

from stylegan2.checkpoints.inert import (
    MAX_RANK,
    Budget,
    Global,
    Instance,
    NumpyArray,
    NumpyType,
    Storage,
    TensorView,
    shown,
)
from stylegan2.errors import CheckpointError, UnsafeCheckpoint, UnsupportedCheckpoint

PERSISTENCE = "torch_utils.persistence._reconstruct_persistent_obj"
TENSORFLOW_NETWORK = "dnnlib.tflib.network.Network"
PERSISTENCE_VERSION = 6
STORAGE_TYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
_DICTS = {"collections.OrderedDict", "dnnlib.util.EasyDict", "dnnlib.EasyDict"}
_LABELS = {TENSORFLOW_NETWORK, "argparse.Namespace"}
_MODULE_CLASS = re.compile(r"(torch\.nn\.modules|training)\.[a-z0-9_]+\.[A-Za-z0-9_]+")  # only ever a label
_NUMPY_CODE = re.compile(r"[<>|=]?(f2|f4|f8|i1|i2|i4|i8|u1|u2|u4|u8|b1|c8|c16)")
_META_FIELDS = {"type", "version", "module_src", "class_name", "state"}
MAX_KEY = 256  # characters
_KEY_TYPES = (str, int, float, bool, bytes, type(None))


def checked_key(key: object) -> Any:
    """Return a key for a dict or set, which must be of a type that hashes without surprises."""
    if type(key) not in _KEY_TYPES:
        raise UnsafeCheckpoint(f"it uses a {type(key).__name__} as a key")
    if isinstance(key, str | bytes) and len(key) > MAX_KEY:
        raise CheckpointError(f"it uses {len(key):,} characters as a key")
    return key


class Names:
    """What pickled names mean in one file.

    Args:
        budget: what the file may use.
        read_storage: reads the bytes of a tensor that is pickled by itself, a file of torch.save within the file;
            None where such bytes may not stand.
        find_storage: finds the storage behind a persistent id; None where there are no such ids.
    """

    def __init__(
        self,
        budget: Budget,
        read_storage: Callable[[memoryview], Storage] | None = None,
        find_storage: Callable[[torch.dtype, str, int], Storage] | None = None,
    ) -> None:
        self._budget, self._read_storage, self._find_storage = budget, read_storage, find_storage

    def find(self, module: str, name: str) -> Global:
        """Look a name up.

        Raises:
            UnsafeCheckpoint: no model needs it.
        """
        full = f"{module}.{name}"
        if full in _KNOWN or _MODULE_CLASS.fullmatch(full):
            return Global(full)
        raise UnsafeCheckpoint(f"it names {shown(full)}, which no model needs")

    def call(self, function: object, arguments: object) -> object:
        """Answer for a function that the file wants to call."""
        if not isinstance(function, Global) or function.name not in _CALLS:
            raise UnsafeCheckpoint(f"it calls {_name(function)}, which no model needs")
        if not isinstance(arguments, tuple):
            raise CheckpointError(f"the arguments of {function.name} are no tuple")
        return _CALLS[function.name](self, *_exactly(function.name, arguments))

    def instantiate(self, kind: object, arguments: object) -> object:
        """Answer for a class that the file wants an object of, without arguments."""
        name = _name(kind)
        if not isinstance(kind, Global) or not (name in _DICTS | _LABELS or _MODULE_CLASS.fullmatch(name)):
            raise UnsafeCheckpoint(f"it makes an object of {name}, which no model needs")
        if arguments != ():
            raise UnsafeCheckpoint(f"it gives arguments to {name}")
        return {} if name in _DICTS else Instance(name)

    def set_state(self, target: object, state: object) -> None:
        """Give an object the state that the file has for it."""
        if isinstance(target, dict) and isinstance(state, dict):
            return  # attributes of an OrderedDict, such as `_metadata` of state dicts
        if isinstance(target, Instance) and target.state is None and isinstance(state, dict):
            target.state = state
        elif isinstance(target, NumpyType) and isinstance(state, tuple):
            self._set_numpy_type(target, state)
        elif isinstance(target, NumpyArray) and target.dtype is None and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            self._fill_array(target, data, dtype, shape, bool(fortran))
        else:
            raise UnsafeCheckpoint(f"it changes the state of {_name(target)}")

    def persistent(self, identity: object) -> Storage:
        """Find the storage that a persistent id of torch.save stands for."""
        if self._find_storage is None:
            raise UnsafeCheckpoint("it has persistent ids outside a file of torch.save")
        if not (isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage"):
            raise UnsafeCheckpoint("it has a persistent id that is no storage")
        _, kind, key, _, length = identity[:5]
        dtype = STORAGE_TYPES.get(_name(kind))
        if dtype is None or any(part is not None for part in identity[5:]):
            raise UnsupportedCheckpoint(f"it has a storage of the unknown kind {_name(kind)}")
        if not isinstance(key, str) or type(length) is not int or length < 0:
            raise CheckpointError("a storage in it has no key or no length")
        return self._find_storage(dtype, key, length)

    # What the callable names do

    def _dict(self, pairs: object = ()) -> dict[Any, Any]:
        if not isinstance(pairs, list | tuple):
            raise CheckpointError("a dict in it is not made of pairs")
        self._budget.take_steps(len(pairs))
        if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
            raise CheckpointError("a dict in it is not made of pairs")
        return {checked_key(key): value for key, value in pairs}

    def _set(self, items: object = ()) -> set[Any]:
        if not isinstance(items, list | tuple):
            raise CheckpointError("a set in it is not made of a list")
        self._budget.take_steps(len(items))
        return {checked_key(item) for item in items}

    def _encode(self, text: object, encoding: object) -> memoryview:
        """Bytes as protocol 2 writes them, in the same form as those that later protocols write."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise UnsafeCheckpoint("it uses _codecs.encode for something other than bytes")
        self._budget.take_bytes(len(text))
        try:
            return memoryview(bytearray(text.encode("latin1")))
        except UnicodeEncodeError as error:
            raise CheckpointError("bytes in it are garbled") from error

    def _size(self, sides: object = ()) -> tuple[int, ...]:
        return _sizes(tuple(sides[: MAX_RANK + 1]) if isinstance(sides, list) else sides)

    def _persistent_object(self, meta: object) -> Instance:
        """One of NVIDIA's networks; its source code in `module_src` is text that nobody looks at."""
        if not isinstance(meta, dict):
            raise CheckpointError("a persistent object in it is not described by a dict")
        surplus = sorted(str(key) for key in set(meta) - _META_FIELDS)
        if surplus or meta.get("type") != "class":
            raise UnsafeCheckpoint(
                f"a persistent object in it has the unknown field or type {(surplus or ['type'])[0]}"
            )
        version, name, state = meta.get("version"), meta.get("class_name"), meta.get("state")
        if type(version) is not int or not 1 <= version <= PERSISTENCE_VERSION:
            raise UnsupportedCheckpoint(f"its persistent objects have the unknown version {shown(version)}")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w{0,99}", name, re.ASCII):
            raise UnsafeCheckpoint(f"a persistent object in it has the class name {shown(name)}")
        if not isinstance(state, dict) or not isinstance(meta.get("module_src"), str):
            raise CheckpointError("a persistent object in it is not complete")
        return Instance(f"persistent:{name}", state)

    def _tensor(
        self,
        storage: object,
        offset: object,
        shape: object,
        strides: object,
        requires_grad: object = False,
        hooks: object = None,
        metadata: object = None,
    ) -> TensorView:
        if not isinstance(storage, Storage) or hooks or metadata:
            raise UnsafeCheckpoint("a tensor in it has hooks or no storage")
        shape, strides = _sizes(shape), _sizes(strides)
        if type(offset) is not int or offset < 0 or len(shape) != len(strides):
            raise CheckpointError("a tensor in it has a strange shape")
        self._budget.take_tensor(shape, storage.dtype.itemsize)
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if prod(shape) and (last >= storage.length or prod(shape) > storage.length):
            raise CheckpointError("a tensor in it reaches beyond its data")
        return TensorView(storage, offset, shape, strides)

    def _parameter(self, data: object, requires_grad: object, hooks: object, state: object = None) -> TensorView:
        if not isinstance(data, TensorView) or hooks or state:
            raise UnsafeCheckpoint("a parameter in it has hooks or is no tensor")
        return data

    def _storage_from_bytes(self, data: object) -> Storage:
        if not isinstance(data, memoryview | bytes):
            raise CheckpointError("the data of a tensor in it are no bytes")
        if self._read_storage is None:
            raise UnsafeCheckpoint("it calls torch.storage._load_from_bytes inside the data of a tensor")
        return self._read_storage(memoryview(data))

    def _numpy_type(self, code: object, *flags: object) -> NumpyType:
        if not isinstance(code, str) or not _NUMPY_CODE.fullmatch(code):
            raise UnsafeCheckpoint(f"it uses the numpy type {shown(code)}, which no model needs")
        return NumpyType(code.lstrip("<>|="))

    def _set_numpy_type(self, target: NumpyType, state: tuple[object, ...]) -> None:
        if (
            len(state) < 8
            or state[1] not in ("<", ">", "|", "=")
            or any(part not in (None, -1, 0) for part in state[2:8])
        ):
            raise UnsafeCheckpoint("it uses a structured numpy type, which no model needs")
        target.order = str(state[1])

    def _numpy_scalar(self, dtype: object, data: object) -> object:
        array = self._fill_array(NumpyArray(), data, dtype, (), False)
        return array.values().item()

    def _empty_array(self, kind: object, shape: object, code: object) -> NumpyArray:
        if _name(kind) != "numpy.ndarray":
            raise UnsafeCheckpoint(f"it makes an array of {_name(kind)}, which no model needs")
        return NumpyArray()

    def _array_from_buffer(self, data: object, dtype: object, shape: object, order: object) -> NumpyArray:
        return self._fill_array(NumpyArray(), data, dtype, shape, order == "F")

    def _fill_array(self, target: NumpyArray, data: object, dtype: object, shape: object, fortran: bool) -> NumpyArray:
        shape = _sizes(shape)
        if not isinstance(dtype, NumpyType) or not isinstance(data, memoryview | bytes):
            raise CheckpointError("an array in it has no type or no data")
        self._budget.take_tensor(shape, dtype.dtype.itemsize)
        if prod(shape) * dtype.dtype.itemsize != len(data):
            raise CheckpointError("an array in it does not have the bytes that it claims")
        target.shape, target.dtype, target.fortran, target.data = shape, dtype, fortran, data
        return target


def _sizes(value: object) -> tuple[int, ...]:
    """A shape or strides: a short tuple of counts."""
    if not isinstance(value, tuple) or len(value) > MAX_RANK or any(type(v) is not int or v < 0 for v in value):
        raise CheckpointError("a tensor in it has a strange shape")
    return value


def _exactly(name: str, arguments: tuple[object, ...]) -> tuple[object, ...]:
    least, most = _ARITIES[name]
    if not least <= len(arguments) <= most:
        raise CheckpointError(f"it gives {len(arguments)} arguments to {name}")
    return arguments


def _name(value: object) -> str:
    if isinstance(value, Global):
        return value.name
    return value.class_name if isinstance(value, Instance) else f"a {type(value).__name__}"


# name -> (fewest arguments, most arguments, what it does)
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., object]]] = {
    PERSISTENCE: (1, 1, Names._persistent_object),
    "torch._utils._rebuild_tensor": (4, 4, Names._tensor),
    "torch._utils._rebuild_tensor_v2": (6, 7, Names._tensor),
    "torch._utils._rebuild_parameter": (3, 3, Names._parameter),
    "torch._utils._rebuild_parameter_with_state": (4, 4, Names._parameter),
    "torch.storage._load_from_bytes": (1, 1, Names._storage_from_bytes),
    "torch.Size": (0, 1, Names._size),
    "collections.OrderedDict": (0, 1, Names._dict),
    "builtins.set": (0, 1, Names._set),
    "__builtin__.set": (0, 1, Names._set),
    "_codecs.encode": (2, 2, Names._encode),
    "numpy.dtype": (1, 3, Names._numpy_type),
}
for _numpy in ("numpy.core", "numpy._core"):
    _FUNCTIONS[f"{_numpy}.multiarray.scalar"] = (2, 2, Names._numpy_scalar)
    _FUNCTIONS[f"{_numpy}.multiarray._reconstruct"] = (3, 3, Names._empty_array)
    _FUNCTIONS[f"{_numpy}.numeric._frombuffer"] = (4, 4, Names._array_from_buffer)
_CALLS = {name: function for name, (_, _, function) in _FUNCTIONS.items()}
_ARITIES = {name: (least, most) for name, (least, most, _) in _FUNCTIONS.items()}
_KNOWN = _FUNCTIONS.keys() | STORAGE_TYPES.keys() | _DICTS | _LABELS | {"numpy.ndarray"}
