"""How this process gets memory from the system and gives it back.

The C library of Linux takes every block above 32 MB afresh from the system and returns it at once, so each layer of
a 1024-px picture waits for tens of thousands of pages to be cleared: three quarters of the time of a rendering.
Memory that was freed is therefore kept for the next layer, and given back when there is nothing to do.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of mallopt(3)
_KEPT_BYTES = (1 << 31) - 1  # the most that mallopt can say
_PAD_BYTES = 64 << 20


def keep_freed_memory() -> None:
    """From now on, keep freed memory for reuse; without effect where the C library is not glibc.

    Nor where this process has a limit: what is kept would be missing for what others map themselves, such as oneDNN
    its code.
    """
    library = _glibc()
    if library is not None and not _is_limited():
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_TOP_PAD, _PAD_BYTES)


def release_memory() -> None:
    """Give what nothing refers to any more back to the device and the system."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _is_limited() -> bool:
    import resource  # not on every system

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
