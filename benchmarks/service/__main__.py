"""Measure the engine as a service; each measurement starts an engine of its own, on a home of its own.

    python -m benchmarks.service round-trip [--count 300]       pings, and previews of 512 x 512 RGBA
    python -m benchmarks.service cancel     [--count 100]       from `cancel` to `cancelled`
    python -m benchmarks.service flood      [--count 10000]     mutated messages and raw bytes on the port
    python -m benchmarks.service kills      [--count 100] [--minutes M]  SIGKILL of all parts
    python -m benchmarks.service reconnects [--count 1000]      connections cut, descriptors counted
    python -m benchmarks.service soak       [--minutes 20]      four artists, and now and then a fault

All take --json FILE and --seed N.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.service import tiny_home

_MEASUREMENTS = {
    "round-trip": "round_trip",
    "cancel": "cancel",
    "flood": "flood",
    "kills": "kills",
    "reconnects": "reconnects",
    "soak": "soak",
}


def main() -> None:
    """Measure one thing and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=sorted(_MEASUREMENTS))
    parser.add_argument("--count", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    module = importlib.import_module(f"benchmarks.service.{_MEASUREMENTS[options.what]}")
    with tempfile.TemporaryDirectory(prefix="krita-drag-") as folder:
        home = Path(folder)
        tiny_home.install(home)
        began = time.monotonic()
        figures: dict[str, Any] = module.measure(home, options)
    figures["took s"] = round(time.monotonic() - began, 1)
    for name, value in figures.items():
        print(f"{name:<34} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
