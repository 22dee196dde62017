"""Percentiles, open files and memory of a process: what several measurements need."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path


def percentiles(values: Sequence[float], unit: float = 1e3, digits: int = 1) -> str:
    """Return "p50 … p99 … max …" of times in seconds, in milliseconds by default."""
    if not values:
        return "none"
    ordered = sorted(values)
    picked = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in picked.items()}
    return "  ".join(f"{name} {value * unit:.{digits}f}" for name, value in at.items()) + f"  (n {len(ordered)})"


def open_files(pid: int) -> int:
    """Return how many descriptors a process has open (Linux)."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def jitter(seconds: float = 1.0) -> str:
    """Return how late this machine lets a process wake that slept 1 ms: the noise of all other figures."""
    late, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        before = time.monotonic()
        time.sleep(0.001)
        late.append(time.monotonic() - before - 0.001)
    return percentiles(late)
