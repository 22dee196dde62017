"""The search for a photo as a job of the engine: killed, suspended and cancelled, it loses next to nothing."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from krita_drag.wire.codec import decode
from krita_drag.wire.messages import Cancelled, Drag, Frame, Invert, Open, Progress, new_id

from benchmarks.service.artist import PAIR, Artist, same
from benchmarks.service.running_engine import Engine, running, wait_for
from benchmarks.service.tiny_home import NAME
from engine.models import ModelStore
from engine.service.hosted import HostedSession
from engine.service.memory import MemoryLadder
from engine.service.model_cache import ModelCache
from engine.service.records import Ownership
from engine.service.runner import Runner

STEPS, FIRST_OF_TUNING = 200, 129
SEARCH = "search.sealed"


@pytest.fixture
def artist(home: Path) -> Iterator[Artist]:
    one = Artist(home)
    yield one
    one.close()


def under_way(artist: Artist, engine: Engine, sid: str, request: str, step: int) -> None:
    """Wait until a search has come to a step, and is on the disk."""
    reached = lambda: max(artist.steps(request), default=0) >= step  # noqa: E731
    wait_for(lambda: reached() or artist.has_ended(request), f"step {step}")
    wait_for(lambda: (engine.folder / "sessions" / sid / SEARCH).exists(), "its checkpoint")
    assert not artist.has_ended(request)


@pytest.mark.parametrize("target", ["worker", "both"])
def test_a_search_goes_on_after_deaths_and_finds_the_same(home: Path, artist: Artist, target: str) -> None:
    engine = Engine(home).working()
    sid, undisturbed = artist.open_photo(1), artist.open_photo(1)
    request = artist.begin_search(sid, STEPS)
    for step in (20, FIRST_OF_TUNING + 5):  # while the latent moves, and while weights are tuned
        under_way(artist, engine, sid, request, step)
        os.kill(engine.worker_pid(), signal.SIGKILL)
        if target == "both":
            engine.kill()
            engine = Engine(home).ready()
    assert artist.end_of(request).type == "done"
    assert len(artist.terminals(request)) == 1
    steps = artist.steps(request)
    redone = [before - after + 1 for before, after in itertools.pairwise(steps) if after <= before]
    assert max(redone, default=0) < 20, "no kill sent it back to its beginning"
    assert not (engine.folder / "sessions" / sid / SEARCH).exists(), "what is found needs no checkpoint"
    assert artist.end_of(artist.begin_search(undisturbed, STEPS)).type == "done"
    found = artist.found(sid)
    assert same(found, artist.found(undisturbed))
    assert len(found) > 1, "weights were tuned"
    engine.stop()


@pytest.mark.parametrize("step", [1, FIRST_OF_TUNING + 20])
def test_cancelling_a_search_keeps_the_best_so_far(home: Path, artist: Artist, step: int) -> None:
    with running(home) as engine:
        sid = artist.open_photo(2)
        request = artist.begin_search(sid, STEPS)
        wait_for(lambda: max(artist.steps(request), default=0) >= step, "the search")
        artist.cancel(request, sid)
        end = artist.end_of(request)
        assert end.type == "cancelled" and end.step < STEPS
        assert len(end.corners) == 4 and "roughly" in end.notes[-1]
        os.kill(engine.worker_pid(), signal.SIGKILL)  # what was found is on the disk too
        drag = artist.say(Drag(id=new_id(), sid=sid, points=PAIR, max_steps=2))
        assert artist.end_of(drag).undos == 1
        assert {event.phase for event in artist.told(drag)} == {"dragging"}, "it was not looked for again"


def test_a_drag_that_has_to_search_first_can_be_cancelled_and_repeated(home: Path, artist: Artist) -> None:
    with running(home):
        sid = artist.open_photo(3)
        first = artist.say(Drag(id=new_id(), sid=sid, points=PAIR, max_steps=2))
        wait_for(lambda: artist.told(first), "its search")
        artist.cancel(first, sid)
        end = artist.end_of(first)
        assert end.type == "cancelled" and len(end.corners) == 4 and end.undos is None
        second = artist.say(Drag(id=new_id(), sid=sid, points=PAIR, max_steps=2))
        assert artist.end_of(second).undos == 1
        assert {event.phase for event in artist.told(second)} == {"dragging"}


def test_the_time_left_is_told(home: Path, artist: Artist) -> None:
    with running(home):
        sid = artist.open_photo(4)
        request = artist.begin_search(sid, 40)
        assert artist.end_of(request).type == "done"
        told = artist.told(request)
        assert all(event.left_s is not None for event in told)
        assert told[-1].left_s < told[0].left_s
        drag = artist.say(Drag(id=new_id(), sid=sid, points=PAIR, max_steps=2))
        artist.end_of(drag)
        assert {event.left_s for event in artist.told(drag)} == {None}


class Bench:
    """A worker's parts without its process: sessions that live as long as a test wants."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.models = ModelCache(ModelStore(home), torch.device("cpu"))
        self.sid = new_id()
        self.folder = folder / self.sid
        Ownership("key").write(self.folder)
        self.told: list[Any] = []
        self.begin_life()
        pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 4), np.uint8)
        pixels[..., 3] = 255
        self.do(Open(id=new_id(), sid=self.sid, model=NAME, image=Frame("u1", (96, 96, 4), pixels.tobytes())))

    def begin_life(self) -> None:
        """Forget all that is not on the disk, as a new process does."""
        self.session = HostedSession(self.sid, self.folder, self.models)
        self.ladder = MemoryLadder(self.models, {self.sid: self.session})
        self.runner = Runner(lambda envelope, frames: self.told.append(decode(frames)), self.ladder.make_room)

    def do(self, request: Any, until: int | None = None) -> Any:
        """Do a request to its end, or until its search has made so many steps."""
        self.session.add(request)
        while self.session.runnable:
            self.runner.turn(self.session)
            if until is not None and self.session.job is not None and self.session.job.report.step >= until:
                return None
        return self.told[-1]

    def searched(self, request: str) -> list[int]:
        """Steps that a search has told."""
        phases = ("projecting", "tuning")
        told = [one for one in self.told if isinstance(one, Progress) and one.re == request]
        return [one.step for one in told if one.phase in phases]


@pytest.fixture
def bench(tmp_path: Path, model_home: Path) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(tmp_path, model_home)
    torch.set_num_threads(threads)


def test_a_suspended_search_goes_on_where_it_was(bench: Bench) -> None:
    search = Invert(id=new_id(), sid=bench.sid, steps=12)
    bench.do(search, until=5)
    bench.session.suspend()
    assert bench.do(search).type == "done"
    assert bench.searched(search.id) == list(range(1, 13))
    numbers = [one.seq for one in bench.told if isinstance(one, Progress) and one.re == search.id]
    assert numbers == sorted(set(numbers)), "its events count up in the second life too"


def test_a_drag_takes_up_a_search_that_another_request_left(bench: Bench) -> None:
    """Its client has called that off while no worker was there to keep what was found."""
    bench.do(Invert(id=new_id(), sid=bench.sid, steps=12), until=7)
    bench.session.suspend()
    bench.begin_life()
    drag = Drag(id=new_id(), sid=bench.sid, points=PAIR, max_steps=1)
    assert bench.do(drag).undos == 1
    assert bench.searched(drag.id) == list(range(8, 13))


def test_another_search_begins_anew(bench: Bench) -> None:
    bench.do(Invert(id=new_id(), sid=bench.sid, steps=12), until=7)
    bench.session.suspend()
    other = Invert(id=new_id(), sid=bench.sid, steps=6)
    assert bench.do(other).type == "done"
    assert bench.searched(other.id) == list(range(1, 7))


def test_a_damaged_checkpoint_means_a_new_search(bench: Bench) -> None:
    search = Invert(id=new_id(), sid=bench.sid, steps=6)
    bench.do(search, until=4)
    bench.session.suspend()
    path = bench.folder / SEARCH
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert bench.do(search).type == "done"
    assert bench.searched(search.id) == [*range(1, 5), *range(1, 7)]


def test_cancelling_before_anything_was_found_says_so(bench: Bench) -> None:
    search = Invert(id=new_id(), sid=bench.sid, steps=6)
    bench.session.add(search)
    for _ in range(2):  # the model is loaded, the square is found
        bench.runner.turn(bench.session)
    bench.runner.cancel(bench.session, search.id)
    end = bench.told[-1]
    assert isinstance(end, Cancelled) and end.corners == () and end.step == 0
    assert bench.session.present is None
