"""Live mode on the built-in model: how many previews a second follow a moving pointer, and how closely.

    python -m benchmarks.live [--seconds 8] [--size 256] [--threads 0] [--json FILE]

A pointer pulls the corner of the mouth of seed 7 along a circle, at 60 positions a second of the clock. The session
does one step towards the newest position and draws one preview, over and over; the second row renders in full instead.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import machine, print_table, write_json
from engine.device import pick
from engine.models import ModelStore
from engine.session import Session

SEED, PRESS, RADIUS_PX, LAP_S = 7, (600.0, 760.0), 30.0, 4.0
POINTER_HZ = 60.0


def pointer(seconds: float) -> tuple[float, float]:
    """Where the pointer is, document pixels: on a circle through where it was pressed."""
    angle = 2 * math.pi * round(seconds * POINTER_HZ) / POINTER_HZ / LAP_S
    return PRESS[0] + RADIUS_PX * math.sin(angle), PRESS[1] + RADIUS_PX * (math.cos(angle) - 1)


def follow(session: Session, seconds: float, draw: Callable[[], object]) -> dict[str, float]:
    """Drag live for a while; rates, time of the parts and distance to where the pointer was when a step began."""
    live = session.live([(PRESS, PRESS)])
    steps, drawings, distances = [], [], []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        live.move([pointer(now - began)])
        event = live.step()
        stepped = time.perf_counter()
        draw()
        drawings.append(time.perf_counter() - stepped)
        if event is not None:
            steps.append(stepped - now)
            distances.append(event.mean_distance)
    *_, last = live.release()
    return {
        "previews/s": len(drawings) / (time.perf_counter() - began),
        "step ms": 1000 * statistics.median(steps),
        "preview ms": 1000 * statistics.median(drawings),
        "behind px": float(np.mean(distances)),
        "after release px": last.mean_distance,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--size", type=int, default=256, help="longest side of a preview")
    parser.add_argument("--threads", type=int, default=0, help="threads of PyTorch; 0 for its own choice")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(machine())
    session = Session.from_seed(ModelStore().load("faces", pick()), SEED)
    session.patch(options.size)  # fits the preview
    rows = {
        f"preview of {options.size} px": follow(session, options.seconds, lambda: session.patch(options.size)),
        "full rendering": follow(session, options.seconds, session.patch),
    }
    header = ["", *next(iter(rows.values()))]
    print_table(header, [[name, *(f"{value:.3g}" for value in row.values())] for name, row in rows.items()])
    write_json(options.json, rows)


if __name__ == "__main__":
    main()
