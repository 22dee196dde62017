"""What every benchmark needs: interleaved medians, peak memory, a table, a line about the machine."""

from __future__ import annotations

import json
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch


def interleaved_medians(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time variants in turn, so that what else the machine does hits all alike.

    Args:
        variants: name -> call to time.
        rounds: timed calls of each, after one that warms up.

    Returns:
        name -> median seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    for round_number in range(rounds + 1):
        for name, call in variants.items():
            synchronise()
            start = time.perf_counter()
            call()
            synchronise()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class PeakMemory:
    """Context manager that samples the resident memory of this process; `mb` is what was added at the peak."""

    def __enter__(self) -> PeakMemory:
        self._base = self._peak = resident_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self.mb = self._peak - self._base

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self._peak = max(self._peak, resident_mb())


def resident_mb() -> float:
    """Resident memory of this process, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def machine() -> str:
    """One line about where the figures were measured."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {gpu}, torch {torch.__version__}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def write_json(path: Path | None, content: object) -> None:
    """Write the figures for machines, where a path is given."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1))
