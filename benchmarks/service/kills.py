"""Kill points: SIGKILL of the worker, the gateway, both or the client at random moments while artists work.

Every request must end exactly once, with the right picture, done once; no process may be left behind; and no drag may
lose more than half a second of its work.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from krita_drag.wire.messages import Close, Drag, Render, new_id

from benchmarks.service.artist import PAIR, SOLVER, Artist, Truth
from benchmarks.service.running_engine import Engine, alive
from benchmarks.service.statistics import percentiles

SEEDS = range(1, 4)
LATEST_S = 2.0  # between one kill and the next
WORKER_ALONE_EVERY = 5
BURST, CLIENT_SHARE = 10, 0.5

_CLIENT = """
import sys, time
from pathlib import Path
from benchmarks.service.artist import Artist
artist = Artist(Path(sys.argv[1]))
sid = artist.open(int(sys.argv[2]))
print(sid, artist.begin_drag(sid), flush=True)
time.sleep(600)
"""


class Killer:
    """An engine, an artist for each seed, and what was seen.

    Args:
        home: data folder.
        seed: of the moments and targets.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self._home, self._random = home, random.Random(seed)
        self._engine = Engine(home).working()
        self._artists = {one: Artist(home) for one in SEEDS}
        self._truth = Truth(self._artists[1], SEEDS)
        self._pids: set[int] = set()
        self.faults: collections.Counter[str] = collections.Counter()
        self.kills: collections.Counter[str] = collections.Counter()
        self.recovery_s: list[float] = []
        self.lost_s: list[float] = []
        self.hit = 0

    def point(self) -> None:
        """Let artists drag, kill, and see what comes of it."""
        if self._random.random() < CLIENT_SHARE:
            self.kills["client"] += 1
            self._client_point()
            return
        sids = {seed: artist.open(seed) for seed, artist in self._artists.items()}
        requests = {seed: artist.begin_drag(sids[seed]) for seed, artist in self._artists.items()}
        killed = 0.0
        for target in self._burst():
            time.sleep(self._random.uniform(0, LATEST_S))
            self.hit += sum(not self._artists[seed].has_ended(request) for seed, request in requests.items())
            killed = time.monotonic()
            self.kills[target] += 1
            self._kill(target)
        for seed, request in requests.items():
            self._judge(seed, self._artists[seed], request)
            self._artists[seed].say(Close(id=new_id(), sid=sids[seed]))
        self.recovery_s.append(time.monotonic() - killed)

    def _burst(self) -> list[str]:
        """Targets of the kills that follow each other before anybody recovers.

        The worker alone is never killed twice in a row: a request that takes three workers with it is given up, as it
        should.
        """
        targets = [self._random.choice(("gateway", "both")) for _ in range(BURST)]
        for start in range(0, BURST, WORKER_ALONE_EVERY):
            targets[start + self._random.randrange(1, WORKER_ALONE_EVERY)] = "worker"
        return targets

    def _client_point(self) -> None:
        """Kill a client that drags, and let another one with the same key take its request up."""
        seed, artist = 1, self._artists[1]
        command = [sys.executable, "-c", _CLIENT, str(self._home), str(seed)]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert client.stdout is not None
        sid, request = client.stdout.readline().split()
        time.sleep(self._random.uniform(0, LATEST_S))
        client.kill()
        client.communicate()
        self.hit += 1
        artist.say(Drag(id=request, sid=sid, points=PAIR, solver=SOLVER))
        if artist.end_of(request, 10) is None:  # it had arrived and been acknowledged before the kill
            shown = artist.ask(Render(id=new_id(), sid=sid))
            if shown.type != "done" or shown.undos != 1:
                self.faults["lost"] += 1
        else:
            self._judge(seed, artist, request)
        artist.say(Close(id=new_id(), sid=sid))

    def _judge(self, seed: int, artist: Artist, request: str) -> None:
        fault = self._truth.fault(seed, artist.end_of(request), undos=1)
        if fault:
            self.faults[fault] += 1
        self.faults["doubled"] += len(artist.terminals(request)) > 1
        self.faults["mixed"] += bool(artist.strays)
        self._count_lost(artist, request)
        artist.drop(request)
        artist.strays.clear()

    def orphans(self) -> int:
        """End the engine; returns how many of all its processes are still there."""
        for artist in self._artists.values():
            artist.close()
        self._note_pids()
        self._engine.stop()
        time.sleep(2)
        return sum(alive(pid) for pid in self._pids)

    def _kill(self, target: str) -> None:
        self._note_pids()
        if target in ("worker", "both"):
            os.kill(self._engine.worker_pid(), signal.SIGKILL)
        if target in ("gateway", "both"):
            self._engine.kill()
            self._engine = Engine(self._home).ready()

    def _note_pids(self) -> None:
        self._pids.add(self._engine.pid)
        self._pids.update(line["worker"] for line in self._engine.events("worker started"))

    def _count_lost(self, artist: Artist, request: str) -> None:
        """Work that was done twice: the time of the steps by which the numbers went back."""
        told = [event for event in artist.events[request] if event.type == "progress" and event.phase == "dragging"]
        for number, (before, after) in enumerate(itertools.pairwise(told)):
            if after.step <= before.step:
                again = [one.step_ms or 0 for one in told[: number + 1] if one.step > after.step]
                self.lost_s.append(sum(again) / 1e3)


def measure(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    killer = Killer(home, options.seed)
    until = time.monotonic() + (options.minutes or 1e9) * 60
    while sum(killer.kills.values()) < (options.count or 100) and time.monotonic() < until:
        killer.point()
    orphans = killer.orphans()
    return {
        "kill points": f"{sum(killer.kills.values())}: {dict(killer.kills)}",
        "requests under way when killed": killer.hit,
        "lost, doubled, wrong or mixed": {name: n for name, n in killer.faults.items() if n} or 0,
        "orphan processes": orphans,
        "work done twice s": percentiles(killer.lost_s, 1, 2),
        "kill to last answer s": percentiles(killer.recovery_s, 1, 2),
    }
