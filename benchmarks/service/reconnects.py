"""A thousand connections that are cut while an artist works: nothing lost, and no descriptor left behind."""

from __future__ import annotations

import argparse
import random
import threading
from pathlib import Path
from typing import Any

from benchmarks.service.artist import Artist, Truth
from benchmarks.service.netfault import Proxy
from benchmarks.service.running_engine import running, wait_for
from benchmarks.service.statistics import open_files, resident_mb

SEEDS = range(1, 3)


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    count = options.count or 1000
    with running(home) as engine:
        proxy = Proxy(int(engine.connection["endpoint"].rpartition(":")[2]))
        calm = Artist(home)
        truth = Truth(calm, SEEDS)
        calm.close()
        artist = Artist(home, proxy.port)
        sid = artist.open(1)
        before = open_files(engine.pid), resident_mb(engine.pid)
        stop = threading.Event()
        cutter = threading.Thread(target=_cut, args=(proxy, stop, random.Random(options.seed)))
        cutter.start()
        requests, faults = 0, []
        while proxy.accepted < count:
            done = artist.end_of(artist.begin_drag(sid))
            requests += 1
            fault = truth.fault(1, done, undos=requests)
            if fault:
                faults.append(fault)
        stop.set()
        cutter.join()
        artist.close()
        proxy.close()
        wait_for(lambda: open_files(engine.pid) <= before[0] + 2, "descriptors to be given back", 10)
        after = open_files(engine.pid), resident_mb(engine.pid)
    return {
        "connections": proxy.accepted,
        "requests": requests,
        "faults": faults or 0,
        "gateway descriptors, MB": f"{before} -> {after}",
    }


def _cut(proxy: Proxy, stop: threading.Event, rng: random.Random) -> None:
    while not stop.wait(rng.uniform(0.02, 0.2)):
        proxy.cut(reset=rng.random() < 0.5)
