"""An engine of one thread behind a real ROUTER with CURVE, which answers as a test tells it to."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq
from krita_drag.client import Client, State, StateChanged
from krita_drag.connection import Connection
from krita_drag.keys import KeyPair, load_or_create
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.messages import Hello, Message, Ping, Pong, Welcome, new_id
from zmq.auth.thread import ThreadAuthenticator

PATIENCE_S = 30.0  # of the tests, which wait for things to happen and measure nothing
Script = Callable[["SmallEngine", bytes, Message], None]


def nothing(engine: SmallEngine, route: bytes, message: Message) -> None:
    """Say nothing."""


class SmallEngine:
    """Greets and answers pings by itself; everything else goes to `script`.

    Attributes:
        said: all messages of clients, in order.
        script: what to do with a message.
        epoch: as in `welcome`.
    """

    def __init__(self, keys: KeyPair, allowed: list[str], script: Script = nothing, port: int = 0) -> None:
        self.said: list[Message] = []
        self.script, self.epoch = script, new_id()
        self._deaf, self._is_deaf = False, threading.Event()
        self.proto = 1
        self._stopping = False
        self._context = zmq.Context()
        self._authenticator = ThreadAuthenticator(self._context)
        self._authenticator.start()
        self._allowed = allowed
        self._authenticator.configure_curve_callback(domain="engine", credentials_provider=self)
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger, self._router.rcvhwm = 0, 0
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.curve_server = True
        self._router.curve_secretkey = keys.secret.encode()
        self._router.zap_domain = b"engine"
        self._router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self.port = self._bind(port)
        self.connection = Connection(f"tcp://127.0.0.1:{self.port}", keys.public)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def callback(self, domain: str, key: bytes) -> bool:
        """Tell the authenticator who may come in."""
        return key.decode() in self._allowed

    def say(self, route: bytes, message: Message) -> None:
        """Send a message to a client; one that is gone gets nothing."""
        with contextlib.suppress(zmq.ZMQError):
            self._router.send_multipart([route, *encode(message)])

    def of_type(self, kind: type[Message]) -> list[Any]:
        """Return what clients have said of one type."""
        return [message for message in self.said if isinstance(message, kind)]

    def go_deaf(self) -> None:
        """Neither read nor answer from here on."""
        self._deaf = True
        self._is_deaf.wait(PATIENCE_S)

    def hear_again(self) -> None:
        """Read and answer again, what came in the meantime first."""
        self._deaf = False

    def stop(self) -> None:
        """Vanish, as a killed engine does."""
        self._stopping = True
        self._thread.join()
        self._router.close(0)
        self._authenticator.stop()
        self._context.destroy(0)

    def _bind(self, port: int) -> int:
        if port == 0:
            return self._router.bind_to_random_port("tcp://127.0.0.1")
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._router.bind(f"tcp://127.0.0.1:{port}")
                return port
            except zmq.ZMQError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _run(self) -> None:
        while not self._stopping:
            if self._deaf:
                self._is_deaf.set()
                time.sleep(0.02)
                continue
            if not self._router.poll(20):
                continue
            route, *parts = self._router.recv_multipart()
            message = decode(parts)
            self.said.append(message)
            if isinstance(message, Hello):
                self.say(route, Welcome(self.epoch, "test", self.proto))
            elif isinstance(message, Ping):
                self.say(route, Pong(message.time, self.epoch))
            self.script(self, route, message)


class Listener:
    """Collects what a client tells."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._new: queue.Queue[Any] = queue.Queue()

    def __call__(self, event: Any) -> None:
        self.heard.append(event)
        self._new.put(event)

    def wait(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the next event of which this is true."""
        until = time.monotonic() + PATIENCE_S
        while True:
            event = self._new.get(timeout=max(0.01, until - time.monotonic()))
            if wanted(event):
                return event

    def wait_state(self, state: State) -> StateChanged:
        """Return the next change to this state."""
        change: StateChanged = self.wait(lambda event: isinstance(event, StateChanged) and event.state is state)
        return change


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def client_of(connection: Connection, folder: Path, listener: Listener) -> Iterator[Client]:
    """A client with the key of a folder."""
    client = Client(lambda: connection, load_or_create(folder / "client.key"), listener, app="test")
    try:
        yield client
    finally:
        client.close()
