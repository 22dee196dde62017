"""The main job on the built-in model: load it, drag one point, render; time, memory and landing of each solver.

    python -m benchmarks.end_to_end [--rounds 3] [--json FILE]

Each solver runs in a process of its own, so that the peak memory is its own; the drag is the same for all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.timing import PeakMemory, machine, print_table, resident_mb, write_json
from engine.device import pick
from engine.drag import SOLVERS
from engine.models import ModelStore
from engine.session import Session

SEED, PAIR = 7, ((600.0, 760.0), (640.0, 740.0))


def run(solver: str) -> dict[str, float | str]:
    """Do the whole job once in this process."""
    store = ModelStore()
    start = time.perf_counter()
    model = store.load("faces", pick())
    loaded = time.perf_counter()
    session = Session.from_seed(model, SEED)
    opened = time.perf_counter()
    before = resident_mb()
    with PeakMemory() as peak:
        events = list(session.drag([PAIR], solver=solver))
        dragged = time.perf_counter()
    session.result()
    best = session.best()
    assert best is not None
    return {
        "load s": loaded - start,
        "open s": opened - loaded,
        "drag s": dragged - opened,
        "render s": time.perf_counter() - dragged,
        "steps": events[-1].step,
        "reason": events[-1].reason,
        "before px": events[0].mean_distance,
        "after px": best.mean_distance,
        "process MB": before,
        "drag adds MB": peak.mb,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(run(options.once)))
        return
    print(machine())
    results: dict[str, list[dict[str, float | str]]] = {solver: [] for solver in SOLVERS}
    for _ in range(options.rounds):
        for solver, runs in results.items():
            command = [sys.executable, "-m", "benchmarks.end_to_end", "--once", solver]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    rows = []
    for solver, runs in results.items():
        row: list[object] = [solver]
        for key, value in runs[0].items():
            if isinstance(value, str):
                row.append(value)
            else:
                row.append(f"{statistics.median(float(r[key]) for r in runs):.3g}")
        rows.append(row)
    header = ["solver", *next(iter(results.values()))[0]]
    print_table(header, rows)
    write_json(options.json, results)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
