"""Open any model file that people have, told by its content and never by its name."""

from __future__ import annotations

import mmap
from pathlib import Path

from stylegan2.checkpoints import nvidia, nvidia_tf, rosinality
from stylegan2.checkpoints.contents import Checkpoint
from stylegan2.checkpoints.inert import Budget, Limits
from stylegan2.checkpoints.torch_files import LEGACY_START, ZIP_MAGIC, read_legacy, read_pickle, read_zip
from stylegan2.errors import CheckpointError, UnsupportedCheckpoint

_PICKLE_START = 0x80  # the instruction PROTO, which every pickle since protocol 2 begins with
_OTHERS = (
    (b"version https://git-lfs", "it is a Git LFS pointer, not the model itself"),
    (b"<", "it is a web page, not a model"),
    (b"{", "it is a text, not a model"),
    (b"\x1f\x8b", "it is packed with gzip: unpack it first"),
    (b"\x89HDF", "it is a Keras or HDF5 file, not a PyTorch or TensorFlow pickle"),
)


def open_checkpoint(path: Path, limits: Limits | None = None) -> Checkpoint:
    """Read what a model file of NVIDIA's or rosinality's kind holds; no code in it runs.

    Args:
        path: the file; it stays mapped into memory for as long as the result lives.
        limits: how much it may ask for.

    Raises:
        CheckpointError: it is damaged, contradicts itself or asks for too much.
        UnsafeCheckpoint: it names or does what no model needs.
        UnsupportedCheckpoint: it is something else.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            raise UnsupportedCheckpoint("it is empty")
        # copy-on-write: torch insists on memory that could be written
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return read_checkpoint(data, limits)


def read_checkpoint(data: memoryview, limits: Limits | None = None) -> Checkpoint:
    """As `open_checkpoint`, for the bytes of a file; there must be some, and they must not be read-only."""
    budget = Budget(len(data), limits)
    try:
        return _interpret(_content(data, budget), budget)
    except (RecursionError, OverflowError) as error:
        raise CheckpointError("its parts are nested too deeply or beyond measure") from error


def _content(data: memoryview, budget: Budget) -> object:
    start = bytes(data[:64])
    if start.startswith(ZIP_MAGIC):
        return read_zip(data, budget)
    if start.startswith(LEGACY_START):
        return read_legacy(data, budget)
    if start[0] == _PICKLE_START:
        return read_pickle(data, budget)
    for beginning, what in _OTHERS:
        if start.lstrip().startswith(beginning):
            raise UnsupportedCheckpoint(what)
    raise UnsupportedCheckpoint("it is in no format that is known here")


def _interpret(root: object, budget: Budget) -> Checkpoint:
    if nvidia.matches(root):
        assert isinstance(root, dict)
        return nvidia.read(root, budget)
    if nvidia_tf.matches(root):
        assert isinstance(root, tuple)
        return nvidia_tf.read(root, budget)
    if rosinality.matches(root):
        assert isinstance(root, dict)
        return rosinality.read(root, budget)
    raise UnsupportedCheckpoint("it can be read, but holds no StyleGAN2 network")
