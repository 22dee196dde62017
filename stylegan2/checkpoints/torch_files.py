"""The two containers of torch.save, read with the pickle machine: the ZIP archive and the older plain file.

Nothing is unpacked: the members of such archives are stored uncompressed, so a storage is a slice of the file.
"""

from __future__ import annotations

import io
import struct
import zipfile

import torch

from stylegan2.checkpoints.inert import Budget, Storage, shown
from stylegan2.checkpoints.pickle_machine import PickleMachine, Reader
from stylegan2.checkpoints.pickle_names import Names
from stylegan2.errors import CheckpointError, UnsafeCheckpoint, UnsupportedCheckpoint

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little") + b"."
LEGACY_VERSION = 1001
MAX_DIRECTORY_BYTES = 4 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def read_pickle(data: memoryview, budget: Budget) -> object:
    """Read a plain pickle; its tensors each carry a small file of torch.save with them."""
    names = Names(budget, read_storage=lambda inner: _read_storage(inner, budget))
    return PickleMachine(Reader(data), names, budget).run()


def read_legacy(data: memoryview, budget: Budget) -> object:
    """Read a file of torch.save from before PyTorch 1.6, which pickled tensors still consist of.

    Five pickles (magic number, version, machine, object, keys of the storages), then each storage's length and bytes.
    """
    storages: dict[str, Storage] = {}

    def find(dtype: torch.dtype, key: str, length: int) -> Storage:
        storage = storages.setdefault(key, Storage(dtype, length))
        _check_same(storage, dtype, length)
        return storage

    reader = Reader(data)
    names = Names(budget, find_storage=find)

    def next_pickle() -> object:
        return PickleMachine(reader, names, budget).run()

    if next_pickle() != LEGACY_MAGIC or next_pickle() != LEGACY_VERSION:
        raise CheckpointError("a part of it is no file of torch.save")
    machine, result, keys = next_pickle(), next_pickle(), next_pickle()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnsupportedCheckpoint("it was written on a big-endian machine")
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise CheckpointError("the storages in it are not those that it lists")
    for key in keys:
        storage, length = storages[str(key)], reader.number("<q")
        if length != storage.length:
            raise CheckpointError(f"a storage of {storage.length:,} elements comes with {length:,}")
        storage.data = reader.take(length * storage.dtype.itemsize)
    return result


def read_zip(data: memoryview, budget: Budget) -> object:
    """Read a file of torch.save since PyTorch 1.6: `data.pkl` and one member for each storage."""
    members = _members(data, budget)
    roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise UnsupportedCheckpoint("it is a ZIP archive, but not one of torch.save")
    root = roots[0]
    code = next((name for name in members if name.startswith(f"{root}code/") or name == f"{root}constants.pkl"), None)
    if code is not None:
        raise UnsafeCheckpoint(f"it is a TorchScript archive, with code in {shown(code)}")
    if bytes(members.get(f"{root}byteorder", b"little")) != b"little":
        raise UnsupportedCheckpoint("it was written on a big-endian machine")
    storages: dict[str, Storage] = {}

    def find(dtype: torch.dtype, key: str, length: int) -> Storage:
        if key not in storages:
            member = members.get(f"{root}data/{key}")
            if member is None or len(member) != length * dtype.itemsize:
                raise CheckpointError(f"the storage {shown(key)} of {length:,} elements is missing or of another size")
            storages[key] = Storage(dtype, length, member)
        _check_same(storages[key], dtype, length)
        return storages[key]

    return PickleMachine(Reader(members[f"{root}data.pkl"]), Names(budget, find_storage=find), budget).run()


def _read_storage(data: memoryview, budget: Budget) -> Storage:
    storage = read_legacy(data, budget)
    if not isinstance(storage, Storage):
        raise UnsafeCheckpoint("the data of a tensor in it hold something else")
    return storage


def _check_same(storage: Storage, dtype: torch.dtype, length: int) -> None:
    if (storage.dtype, storage.length) != (dtype, length):
        raise CheckpointError("a storage in it is described in two ways")


def _members(data: memoryview, budget: Budget) -> dict[str, memoryview]:
    """The members of an archive as slices of it."""
    try:
        with zipfile.ZipFile(_Slices(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise CheckpointError(f"its ZIP directory is damaged ({error})") from error
    if len(entries) > budget.limits.tensors:
        raise CheckpointError(f"it has more than {budget.limits.tensors:,} members")
    members: dict[str, memoryview] = {}
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.filename in members:
            raise UnsafeCheckpoint(f"its member {shown(entry.filename)} is compressed, encrypted or double")
        members[entry.filename] = _content(data, entry)
    return members


def _content(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    header = data[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
    if len(header) == _LOCAL_HEADER.size:
        magic, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        content = data[start : start + entry.file_size]
        if magic == ZIP_MAGIC and len(content) == entry.file_size:
            return content
    raise CheckpointError(f"its member {shown(entry.filename)} is cut off")


class _Slices(io.RawIOBase):
    """A file object over the bytes, for `zipfile` to read the directory with; large reads are refused."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._position = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._position, len(self._data))[whence]
        if start + offset < 0:
            raise ValueError("a position before its beginning")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._data) if size is None or size < 0 else self._position + size
        part = self._data[self._position : end]
        if len(part) > MAX_DIRECTORY_BYTES:
            raise ValueError("it is too large")
        self._position += len(part)
        return bytes(part)
