"""The client and a live engine whose processes die: every request still ends once, and nothing is left behind."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from krita_drag.client import Client, State, StateChanged
from krita_drag.connection import read_connection
from krita_drag.keys import load_or_create
from krita_drag.wire.messages import Cancelled, Done, Drag, Live, Open, Preview, Progress, Render, is_terminal, new_id

from benchmarks.service.running_engine import PATIENCE_S, Engine, running, wait_for
from benchmarks.service.tiny_home import NAME

FAR = ((5.0, 5.0, 60.0, 60.0),)


class Artist:
    """A client with everything that it was told.

    Args:
        home: data folder of the engine and of the artist.
    """

    def __init__(self, home: Path) -> None:
        self.heard: list[Any] = []
        self._new: queue.Queue[Any] = queue.Queue()
        folder, keys = home / "engine", load_or_create(home / "keys" / "client.key")
        self.client = Client(lambda: read_connection(folder), keys, self._hear, app="test")

    def _hear(self, event: Any) -> None:
        self.heard.append(event)
        self._new.put(event)
        if isinstance(event, Preview):
            self.client.shown(event.sid)

    def wait(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the next event of which this is true."""
        until = time.monotonic() + PATIENCE_S
        while True:
            event = self._new.get(timeout=max(0.01, until - time.monotonic()))
            if wanted(event):
                return event

    def wait_end(self, request: str) -> Any:
        """Return the terminal event of a request."""
        return self.wait(lambda event: is_terminal(event) and event.re == request)

    def wait_progress(self, request: str, beyond: int = 0) -> Progress:
        """Return the next progress of a request beyond a step."""
        progress: Progress = self.wait(
            lambda event: isinstance(event, Progress) and event.re == request and event.step > beyond
        )
        return progress

    def ends(self, request: str) -> int:
        """How often a request has ended."""
        return sum(is_terminal(event) and event.re == request for event in self.heard)

    def open(self) -> str:
        """Open a generated picture; returns the session."""
        opening = Open(new_id(), new_id(), NAME, seed=1)
        self.client.send(opening)
        assert isinstance(self.wait_end(opening.id), Done)
        return opening.sid


@pytest.fixture
def artist(home: Path) -> Iterator[Artist]:
    made = Artist(home)
    yield made
    made.client.close()


def endless(sid: str) -> Drag:
    return Drag(new_id(), sid, FAR, solver="draggan", max_steps=100_000, preview_px=32)


def test_a_drag_goes_on_in_the_gateways_next_life(home: Path, artist: Artist) -> None:
    with running(home) as first:
        drag = endless(artist.open())
        artist.client.send(drag)
        reached = artist.wait_progress(drag.id, 5)
        first.kill()
        lost = artist.wait(lambda event: isinstance(event, StateChanged))
        assert lost.state is State.NOT_RESPONDING
        with running(home):
            artist.wait(lambda event: isinstance(event, StateChanged) and event.state is State.READY)
            # at most half a second was lost: it does not begin at the start again
            assert artist.wait_progress(drag.id).step > 0
            artist.wait_progress(drag.id, reached.step)
            artist.client.cancel(drag.id, drag.sid)
            assert isinstance(artist.wait_end(drag.id), Cancelled)
            shown = Render(new_id(), drag.sid)
            artist.client.send(shown)
            assert artist.wait_end(shown.id).patch is not None
    assert artist.ends(drag.id) == 1


def test_a_dead_worker_costs_the_artist_nothing(home: Path, artist: Artist) -> None:
    with running(home) as engine:
        drag = endless(artist.open())
        artist.client.send(drag)
        reached = artist.wait_progress(drag.id, 3)
        os.kill(engine.worker_pid(), signal.SIGKILL)
        artist.wait_progress(drag.id, reached.step)
        artist.client.cancel(drag.id, drag.sid)
        assert isinstance(artist.wait_end(drag.id), Cancelled)
        assert artist.ends(drag.id) == 1
        changes = [event for event in artist.heard if isinstance(event, StateChanged)]
        assert [change.state for change in changes if change.reason is None] == [State.READY]


def test_a_gesture_is_followed_and_released(home: Path, artist: Artist) -> None:
    with running(home):
        sid, gesture = artist.open(), new_id()
        for seq in range(40):
            place = ((20.0, 20.0, 20.0 + seq / 4, 22.0),)
            artist.client.send(Live(gesture, sid, "move" if seq else "press", seq, place, preview_px=32))
            time.sleep(0.01)
        # not that of the very last place: where a handle is close enough, there is nothing new to show
        artist.wait(lambda event: isinstance(event, Preview) and (event.live_seq or 0) > 0)
        artist.client.send(Live(gesture, sid, "release", 40, place, preview_px=32))
        assert isinstance(artist.wait_end(gesture), Done)
        assert artist.ends(gesture) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_reconnects_leave_no_descriptors(home: Path, artist: Artist) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (counts only)

    def life() -> Engine:
        with running(home) as engine:
            artist.wait(lambda event: isinstance(event, StateChanged) and event.state is State.READY)
        return engine

    life()
    wait_for(lambda: artist.client.state is not State.READY, "the loss")
    before = descriptors()
    for _ in range(5):
        life()
    wait_for(lambda: artist.client.state is not State.READY, "the loss")
    wait_for(lambda: descriptors() <= before, "the descriptors to be given back")
