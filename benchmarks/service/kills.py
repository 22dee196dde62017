"""Kill points: SIGKILL of the worker, the gateway, both or the client at random moments while artists work.

Every request must end exactly once, with the right picture, done once; no process may be left behind; and no drag or
search for a photo may lose more than half a second of its work. A search must find what it finds when nobody dies.
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
from functools import partial
from pathlib import Path
from typing import Any

from krita_drag.wire.messages import Close, Drag, Render, new_id

from benchmarks.service.artist import PAIR, SOLVER, Artist, Truth, same
from benchmarks.service.running_engine import Engine, alive, wait_for
from benchmarks.service.statistics import percentiles

SEEDS = range(1, 4)
LATEST_S = 2.0  # between one kill and the next
WORKER_ALONE_EVERY = 5
BURST, CLIENT_SHARE, SEARCH_SHARE = 10, 0.4, 0.3
PHOTO, SEARCH_STEPS = 1, 400

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
        self._photographer = Artist(home)
        sid, request = self._begin_search()
        self._photographer.end_of(request)
        self._found = self._photographer.found(sid)
        self._pids: set[int] = set()
        self.faults: collections.Counter[str] = collections.Counter()
        self.kills: collections.Counter[str] = collections.Counter()
        self.recovery_s: list[float] = []
        self.lost_s: dict[str, list[float]] = {"drags": [], "searches": []}
        self.hit = self.hit_searches = 0

    def point(self) -> None:
        """Let artists drag, kill, and see what comes of it."""
        kind = self._random.random()
        if kind < CLIENT_SHARE:
            self.kills["client"] += 1
            self._client_point()
            return
        if kind < CLIENT_SHARE + SEARCH_SHARE:
            self._search_points()
            return
        sids = {seed: artist.open(seed) for seed, artist in self._artists.items()}
        requests = {seed: artist.begin_drag(sids[seed]) for seed, artist in self._artists.items()}
        photo, search = self._begin_search()
        killed = 0.0
        for target in self._burst():
            time.sleep(self._random.uniform(0, LATEST_S))
            self.hit += sum(not self._artists[seed].has_ended(request) for seed, request in requests.items())
            self.hit_searches += not self._photographer.has_ended(search)
            killed = time.monotonic()
            self.kills[target] += 1
            self._kill(target)
        for seed, request in requests.items():
            self._judge(seed, self._artists[seed], request)
            self._artists[seed].say(Close(id=new_id(), sid=sids[seed]))
        self.recovery_s.append(time.monotonic() - killed)
        self._judge_search(photo, search)

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
        self._count_lost(artist, request, "drags")
        artist.drop(request)
        artist.strays.clear()

    def _search_points(self) -> None:
        """Kill what looks for a photo, again and again, each time after it has gone on."""
        artist = self._photographer
        sid, request = self._begin_search()
        for target in itertools.cycle(("worker", "gateway", "both")):
            before = len(artist.told(request))
            wait_for(partial(lambda n: len(artist.told(request)) > n or artist.has_ended(request), before), "progress")
            time.sleep(self._random.uniform(0, LATEST_S))
            if artist.has_ended(request):
                break
            self.hit += 1
            self.hit_searches += 1
            self.kills[target] += 1
            self._kill(target)
        self._judge_search(sid, request)

    def _begin_search(self) -> tuple[str, str]:
        sid = self._photographer.open_photo(PHOTO)
        return sid, self._photographer.begin_search(sid, SEARCH_STEPS)

    def _judge_search(self, sid: str, request: str) -> None:
        artist = self._photographer
        end = artist.end_of(request, 180)
        if end is None or end.type != "done":
            self.faults["search lost" if end is None else f"search {end.type}"] += 1
        else:
            self.faults["search wrong"] += not same(artist.found(sid), self._found)
        self.faults["doubled"] += len(artist.terminals(request)) > 1
        self._count_lost(artist, request, "searches")
        artist.drop(request)
        artist.say(Close(id=new_id(), sid=sid))

    def orphans(self) -> int:
        """End the engine; returns how many of all its processes are still there."""
        for artist in (*self._artists.values(), self._photographer):
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

    def _count_lost(self, artist: Artist, request: str, kind: str) -> None:
        """Work that was done twice: the time of the steps by which the numbers went back.

        The first event of a drag that goes on tells the state that was kept; that of a search the step after it.
        """
        kept = 1 if kind == "searches" else 0
        took: dict[int, float] = {}
        for before, after in itertools.pairwise(artist.told(request)):
            took[before.step] = (before.step_ms or 0) / 1e3
            if after.step <= before.step:
                self.lost_s[kind].append(sum(s for step, s in took.items() if after.step - kept < step <= before.step))


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
        "searches under way when killed": killer.hit_searches,
        "work of drags done twice s": percentiles(killer.lost_s["drags"], 1, 2),
        "work of searches done twice s": percentiles(killer.lost_s["searches"], 1, 2),
        "kill to last answer s": percentiles(killer.recovery_s, 1, 2),
    }
