"""Four artists for a long time, and now and then a fault: cut, stalled or slow lines, and killed workers."""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from krita_drag.wire.messages import Close, Undo, new_id

from benchmarks.service.artist import Artist, Truth
from benchmarks.service.netfault import Proxy
from benchmarks.service.running_engine import Engine, running
from benchmarks.service.statistics import open_files, resident_mb

SEEDS = range(1, 5)
FAULT_EVERY_S = (20.0, 60.0)
SLOW_S, LOST_S = 120.0, 600.0  # a busy machine takes its time; what has not come after that never will
PAUSE_S = (0.5, 4.0)  # an artist looks at a result before going on


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    seen: collections.Counter[str] = collections.Counter()
    with running(home) as engine:
        proxy = Proxy(int(engine.connection["endpoint"].rpartition(":")[2]))
        calm = Artist(home)
        truth = Truth(calm, SEEDS)
        calm.close()
        until = time.monotonic() + (options.minutes or 20) * 60
        threads = [threading.Thread(target=_paint, args=(home, proxy, seed, until, truth, seen)) for seed in SEEDS]
        threads.append(threading.Thread(target=_harm, args=(engine, proxy, until, random.Random(options.seed), seen)))
        for thread in threads:
            thread.start()
        samples = _sample(engine, until)
        for thread in threads:
            thread.join()
        proxy.close()
    tenth = max(1, len(samples) // 10)
    return {
        "minutes": options.minutes or 20,
        "requests and faults": dict(seen),
        "gateway MB, first tenth -> last": f"{_mean(samples[:tenth], 0)} -> {_mean(samples[-tenth:], 0)}",
        "descriptors, first -> last": f"{samples[0][1]} -> {samples[-1][1]}",
        "worker MB, first tenth -> last": f"{_mean(samples[:tenth], 2)} -> {_mean(samples[-tenth:], 2)}",
        "gateway alive": engine.process.returncode == 0,
    }


def _paint(home: Path, proxy: Proxy, seed: int, until: float, truth: Truth, seen: collections.Counter[str]) -> None:
    rng, artist = random.Random(seed), Artist(home, proxy.port)
    while time.monotonic() < until:
        sid = artist.open(seed)
        for _ in range(rng.randrange(1, 5)):
            request = artist.begin_drag(sid, preview_px=rng.choice((0, 64)))
            if rng.random() < 0.3:
                time.sleep(rng.uniform(0, 0.5))
                artist.cancel(request, sid)
            done = artist.end_of(request, SLOW_S)
            seen["(slower than two minutes)"] += done is None
            done = done or artist.end_of(request, LOST_S)
            seen["LOST" if done is None else done.type] += 1
            seen["DOUBLED"] += len(artist.terminals(request)) > 1
            if done is not None and done.type == "done":
                seen["WRONG"] += truth.fault(seed, done, done.undos) != ""
            seen["undo " + getattr(artist.ask(Undo(id=new_id(), sid=sid)), "type", "LOST")] += 1
            time.sleep(rng.uniform(*PAUSE_S))
        artist.ask(Close(id=new_id(), sid=sid))
        for request in list(artist.events):
            artist.drop(request)
    seen["MIXED"] += len(artist.strays)
    artist.close()


def _harm(engine: Engine, proxy: Proxy, until: float, rng: random.Random, seen: collections.Counter[str]) -> None:
    while time.monotonic() < until:
        time.sleep(min(rng.uniform(*FAULT_EVERY_S), max(0.0, until - time.monotonic())))
        fault = rng.choice(("cut", "stall", "slow", "worker killed"))
        seen[f"({fault})"] += 1
        if fault == "cut":
            proxy.cut(reset=rng.random() < 0.5)
        elif fault == "stall":
            proxy.stalled = True
            time.sleep(rng.uniform(0.2, 4))
            proxy.stalled = False
        elif fault == "slow":
            proxy.bytes_per_s = 300_000
            time.sleep(2)
            proxy.bytes_per_s = 0
        else:
            os.kill(engine.worker_pid(), signal.SIGKILL)


def _sample(engine: Engine, until: float) -> list[tuple[float, int, float]]:
    samples = []
    while time.monotonic() < until:
        time.sleep(5)
        try:
            worker = resident_mb(engine.worker_pid())
        except (OSError, AssertionError):
            continue
        samples.append((resident_mb(engine.pid), open_files(engine.pid), worker))
    return samples


def _mean(samples: list[tuple[float, int, float]], column: int) -> float:
    return round(sum(sample[column] for sample in samples) / len(samples), 1)
