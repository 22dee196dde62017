"""A scripted artist: the product's own client, and a book of everything that came back."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import safetensors.numpy
from krita_drag.client import Client
from krita_drag.connection import Connection, read_connection
from krita_drag.keys import KeyPair, load_or_create
from krita_drag.wire.messages import (
    Cancel,
    Drag,
    Frame,
    Invert,
    Open,
    Pong,
    Preview,
    Progress,
    Render,
    Request,
    Save,
    is_terminal,
    new_id,
)
from numpy.typing import NDArray

from benchmarks.service.running_engine import PATIENCE_S, wait_for
from benchmarks.service.tiny_home import NAME

PAIR = ((40.0, 40.0, 60.0, 52.0),)
SOLVER = "draggan"  # slow enough to be disturbed: about a hundred steps
NEAR_PX = 2.5  # where that solver stops


class Artist:
    """Uses an engine as Krita's plugin does.

    Args:
        home: data folder of engine and client.
        port: of a proxy to go through; None for the engine's own.
        keys: of this client; None for the local user's.

    Attributes:
        events: what came, by request.
        strays: events of sessions that are not this artist's.
        round_trips_s: of pings.
    """

    def __init__(self, home: Any, port: int | None = None, keys: KeyPair | None = None) -> None:
        self._home, self._port = home, port
        self.events: dict[str, list[Any]] = {}
        self.strays: list[Any] = []
        self.sids: set[str] = set()
        self.round_trips_s: list[float] = []
        self._dropped: set[str] = set()
        self._ended: dict[str, threading.Event] = {}
        keys = keys or load_or_create(home / "keys" / "client.key")
        self.client = Client(self._find, keys, self._on_event, app="artist")

    def _find(self) -> Connection:
        found = read_connection(self._home / "engine")
        return found if self._port is None else Connection(f"tcp://127.0.0.1:{self._port}", found.server_key)

    def _on_event(self, event: Any) -> None:
        if isinstance(event, Pong):
            self.round_trips_s.append(time.monotonic() - event.time)
        request = getattr(event, "re", None)
        if request is None:
            return
        if request in self._dropped:
            return
        if request not in self.events or getattr(event, "sid", None) not in {None, *self.sids}:
            self.strays.append(event)
            return
        self.events[request].append(event)
        if isinstance(event, Preview):
            self.client.shown(event.sid)
        if is_terminal(event):
            self._ended[request].set()

    def say(self, request: Request) -> str:
        """Send a request; returns its id."""
        if request.id not in self.events:
            self.events[request.id], self._ended[request.id] = [], threading.Event()
        if getattr(request, "sid", None) is not None:
            self.sids.add(request.sid)  # type: ignore[attr-defined]
        self.client.send(request)
        return request.id

    def drop(self, request: str) -> None:
        """Forget a request, and what still comes of it."""
        self._dropped.add(request)
        self.events.pop(request, None)

    def has_ended(self, request: str) -> bool:
        """Whether the terminal event has come."""
        return self._ended[request].is_set()

    def end_of(self, request: str, wait_s: float = PATIENCE_S) -> Any:
        """Return the terminal event; None when it does not come in time."""
        self._ended[request].wait(wait_s)
        return self.terminals(request)[0] if self.terminals(request) else None

    def terminals(self, request: str) -> list[Any]:
        """All terminal events of a request: there must be one."""
        return [event for event in self.events[request] if is_terminal(event)]

    def steps(self, request: str) -> list[int]:
        """Numbers of the steps that were told, in order."""
        return [event.step for event in self.told(request)]

    def ask(self, request: Request, wait_s: float = PATIENCE_S) -> Any:
        """Send a request and wait for its end."""
        return self.end_of(self.say(request), wait_s)

    def open(self, seed: int, model: str = NAME) -> str:
        """Open a generated picture; returns the session."""
        sid = new_id()
        done = self.ask(Open(id=new_id(), sid=sid, model=model, seed=seed))
        assert done is not None and done.type == "done", done
        return sid

    def begin_drag(self, sid: str, preview_px: int = 0) -> str:
        """Begin a drag that ends by itself; returns the request."""
        return self.say(Drag(id=new_id(), sid=sid, points=PAIR, solver=SOLVER, preview_px=preview_px))

    def open_photo(self, seed: int, side_px: int = 96) -> str:
        """Open a picture that no model has made; returns the session."""
        sid, pixels = new_id(), np.random.default_rng(seed).integers(0, 255, (side_px, side_px, 4), np.uint8)
        pixels[..., 3] = 255
        image = Frame("u1", pixels.shape, pixels.tobytes())
        done = self.ask(Open(id=new_id(), sid=sid, model=NAME, image=image))
        assert done is not None and done.type == "done", done
        return sid

    def begin_search(self, sid: str, steps: int) -> str:
        """Begin to look for a photo, with all stages; returns the request."""
        return self.say(Invert(id=new_id(), sid=sid, preset="best", steps=steps))

    def told(self, request: str) -> list[Progress]:
        """Progress of a drag or a search, in order."""
        phases = {"projecting", "tuning", "dragging"}
        return [event for event in self.events[request] if isinstance(event, Progress) and event.phase in phases]

    def found(self, sid: str) -> dict[str, Any]:
        """What a search has found: latent and offsets of weights, by name."""
        saved = self.ask(Save(id=new_id(), sid=sid))
        assert saved is not None and saved.type == "done", saved
        tensors = safetensors.numpy.load(bytes(saved.session.data))
        return {name: tensor for name, tensor in tensors.items() if name == "state.0" or name.startswith("delta.")}

    def cancel(self, request: str, sid: str) -> None:
        """Stop a request."""
        self.client.send(Cancel(re=request, sid=sid))

    def drag_under_way(self, sid: str, preview_px: int = 0) -> str:
        """Begin a drag and wait until it moves; returns the request."""
        request = self.begin_drag(sid, preview_px)
        wait_for(lambda: max(self.steps(request), default=0) >= 1 or self.has_ended(request), "the drag to move")
        return request

    def picture(self, sid: str) -> NDArray[np.uint8] | None:
        """What the session shows, (h, w, 4)."""
        shown = self.ask(Render(id=new_id(), sid=sid))
        return None if shown is None or shown.type != "done" else pixels(shown.patch)

    def close(self) -> None:
        """Leave."""
        self.client.close()


def pixels(frame: Any) -> NDArray[np.uint8]:
    """Return the pixels of a frame."""
    return np.frombuffer(frame.data, np.uint8).reshape(frame.shape)


def same(found: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two searches have found the same, to the bit."""
    return found.keys() == other.keys() and all(np.array_equal(one, other[name]) for name, one in found.items())


class Truth:
    """What uninterrupted drags of some seeds come to, and whether another result is as good.

    Args:
        artist: of an engine that nobody disturbs.
        seeds: to be dragged.
    """

    def __init__(self, artist: Artist, seeds: range) -> None:
        self.results: dict[int, NDArray[np.uint8]] = {}
        for seed in seeds:
            done = artist.end_of(artist.begin_drag(artist.open(seed)))
            self.results[seed] = pixels(done.patch)

    def fault(self, seed: int, done: Any, undos: int) -> str:
        """Return what is wrong with a result; empty when nothing is.

        A drag that was cut short goes on from its checkpoint, so it may arrive by another way: right means that the
        handle is at the target, that the picture is nearer to that of its own seed than to any other's, and that it
        was done once.
        """
        if done is None:
            return "lost"
        if done.type != "done":
            return f"{done.type} {getattr(done, 'code', '')}"
        if done.undos != undos:
            return f"done {done.undos} times instead of {undos}"
        if done.distance_px > NEAR_PX:
            return f"{done.distance_px:.1f} px away"
        shown = pixels(done.patch).astype(int)
        away = {other: float(np.abs(shown - result).mean()) for other, result in self.results.items()}
        nearest = min(away, key=lambda other: away[other])
        return "" if nearest == seed else f"shows seed {nearest} instead of {seed}"
