"""Where krita-drag keeps its files, and what the operating system says when it cannot."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from krita_drag.places import HOME_VARIABLE, data_dir
from krita_drag.wire.errors import NoDiskSpace, PermissionDenied

__all__ = ["HOME_VARIABLE", "data_dir", "require_space", "storage_errors"]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # EFBIG: past a limit on file size


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn operating system errors about files at `path` into sentences.

    Raises:
        NoDiskSpace: the disk or the user's share of it is full.
        PermissionDenied: anything else that keeps the file from being read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoDiskSpace(
                f"The disk is full at {path}.", f"Free some space, or set {HOME_VARIABLE} to a folder on another disk."
            ) from error
        raise PermissionDenied(
            f"{path} cannot be used ({error.strerror or error}).",
            f"Allow your user to write there, or set {HOME_VARIABLE} to another folder.",
        ) from error


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to begin what cannot end.

    Args:
        folder: where the bytes will go; must exist.
        needed_bytes: how many.

    Raises:
        NoDiskSpace: the disk has less than that left.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise NoDiskSpace(
            f"{folder} needs {needed_bytes / 1e6:.0f} MB, and {free_bytes / 1e6:.0f} MB are free.",
            f"Free some space, or set {HOME_VARIABLE} to a folder on a larger disk.",
        )
