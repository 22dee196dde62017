"""What this computer has: memory, or too little of it, processors, and paths without the user's name."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

# how torch's allocators, oneDNN, C++ and the systems say it, beside MemoryError
_WANT_OF_MEMORY = (
    *("out of memory", "not enough memory", "allocate memory", "bad_alloc"),
    *("create a primitive", "create a memory object"),
)


def memory_bytes() -> int | None:
    """Return the memory that this process may use, bytes: the machine's, or a container's limit; None if unknown."""
    physical = _windows_memory() if sys.platform == "win32" else _unix_memory()
    limit = _container_limit()
    known = [amount for amount in (physical, limit) if amount]
    return min(known) if known else None


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds, MB; 0 where the system does not tell (Linux does)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def is_out_of_memory(error: BaseException) -> bool:
    """Tell want of memory, which libraries raise under several names, from other failures."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _WANT_OF_MEMORY)


def _unix_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # a name that this system does not have
        return None


def _container_limit() -> int | None:
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total_physical", ctypes.c_ulonglong),
        ("available_physical", ctypes.c_ulonglong),
        ("total_page_file", ctypes.c_ulonglong),
        ("available_page_file", ctypes.c_ulonglong),
        ("total_virtual", ctypes.c_ulonglong),
        ("available_virtual", ctypes.c_ulonglong),
        ("available_extended_virtual", ctypes.c_ulonglong),
    )


def _windows_memory() -> int | None:
    if sys.platform != "win32":
        return None
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.total_physical)


def redact(text: str) -> str:
    """Write the home folder as ~ and the user's name in any other path as USER, so that text can be shown around."""
    home = Path.home()
    if len(home.parts) > 1:
        text = text.replace(str(home), "~").replace(home.as_posix(), "~")
    name = os.environ.get("USERNAME" if os.name == "nt" else "USER") or home.name
    if not name:
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(name)}(?=[/\\]|$)", "USER", text, flags=re.MULTILINE)
