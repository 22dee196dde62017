"""The way to an engine: one thread, one socket, and nothing that makes the caller wait.

    client = Client(lambda: read_connection(engine_dir()), load_or_create(client_key_path()), on_event, app="krita")
    client.send(Open(new_id(), sid, "faces", image=…))
    client.close()

`on_event` is called on the client's thread with events of the engine (`krita_drag.wire.messages`) and `StateChanged`.
For each request that was sent exactly one terminal event comes, whatever happens to the connection or the engine in
between; only `close` ends that. After a `Preview` was shown, `shown` asks for the next.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from typing import Any, Callable

import zmq
from zmq.utils.monitor import recv_monitor_message

from .connection import Connection
from .conversation import Conversation, State, StateChanged
from .keys import KeyPair
from .liveness import Liveness
from .wire.codec import MAX_SEALED, decode, encode
from .wire.errors import (
    ConnectionLost,
    HandshakeTimeout,
    KritaDragError,
    NotPaired,
    ProtocolError,
    TooLarge,
    VersionMismatch,
)
from .wire.messages import Cancel, Message

__all__ = ["Client", "State", "StateChanged"]

_log = logging.getLogger("krita_drag")
_TICK_MS = 100
_LOOK_S = 0.25  # how often to look whether the engine has another address now
_REFUSED_S = 5.0  # after the engine has refused our key
_LAST_WORDS_MS = 200
_SENT_AT_ONCE = 64
_READ_AT_ONCE = 64
_MONITORED = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


class Client:
    """A connection that looks after itself until it is closed.

    Args:
        find: says where the engine is; asked again whenever there is no connection, on the client's thread.
            What it raises is told as the reason why there is none.
        keys: of this user.
        on_event: called on the client's thread; must return soon.
        app, app_version: what the engine is told about us.
    """

    def __init__(
        self,
        find: Callable[[], Connection],
        keys: KeyPair,
        on_event: Callable[[Any], None],
        *,
        app: str,
        app_version: str = "",
    ) -> None:
        self._find, self._keys, self._on_event = find, keys, on_event
        self._conversation = Conversation(app, app_version)
        self._liveness = Liveness()
        self._asked: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._closing = False
        self._dealer: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._where: Connection | None = None
        self._next_look = 0.0
        self._thread = threading.Thread(target=self._run, name="krita-drag client", daemon=True)
        self._thread.start()

    # ---- for the caller's thread: none of these waits

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._conversation.state

    def send(self, message: Message) -> None:
        """Say something to the engine; a request is repeated until it is answered."""
        self._ask(lambda now: self._conversation.submit(message, now))

    def cancel(self, request: str, sid: str | None = None) -> None:
        """Stop a request; it still ends in one terminal event."""
        self.send(Cancel(request, sid))

    def shown(self, sid: str) -> None:
        """Say that a preview of the session has been shown, so that the next may come."""
        self._ask(lambda now: self._conversation.shown(sid))

    def close(self, wait_s: float = 2.0) -> None:
        """Leave; nothing is told after that.

        Args:
            wait_s: how long to wait for the thread, seconds; it leaves within a tenth of one.
        """
        self._closing = True
        self._ask(lambda now: None)
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def _ask(self, task: Callable[[float], None]) -> None:
        self._asked.put(task)
        with contextlib.suppress(OSError):  # full: it is awake anyway; closed: too late
            self._waker.send(b"!")

    # ---- on the client's thread

    def _run(self) -> None:
        context = zmq.Context()
        try:
            self._loop(context)
        except VersionMismatch as error:
            self._refuse(error)
        except Exception as error:
            _log.exception("the client stopped")
            self._refuse(KritaDragError(f"The connection to the engine failed ({error})."))
        finally:
            self._drop()
            self._waker.close()
            self._woken.close()
            context.destroy(linger=0)

    def _loop(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        looked = time.monotonic()
        while not self._closing:
            if self._dealer is None:
                self._look(context)
            self._poll()
            now = time.monotonic()
            if now - looked > 2 * _TICK_MS / 1000 + 1:
                self._liveness.heard(now)  # the computer slept, so silence means nothing
            looked = now
            self._work(context, now)
            self._tell()
        self._leave()

    def _refuse(self, reason: KritaDragError) -> None:
        """Answer what is asked, and what will be, with the reason why there is no connection any more."""
        self._drop()
        self._conversation.closed(reason)
        self._tell()
        while not self._closing:
            self._poll()
            self._take_tasks(time.monotonic())
            self._tell()

    def _leave(self) -> None:
        """Say what was still to be said, if that is possible at once."""
        if self._dealer is not None and self._conversation.state is State.READY:
            self._take_tasks(time.monotonic())
            self._write()
            self._drop(_LAST_WORDS_MS)

    def _take_tasks(self, now: float) -> None:
        while not self._asked.empty():
            self._asked.get()(now)

    def _work(self, context: zmq.Context[zmq.Socket[bytes]], now: float) -> None:
        self._take_tasks(now)
        self._watch(now)
        self._read(now)
        if self._dealer is None:
            return
        if self._liveness.is_overdue(now, self._conversation.moving_bytes):
            self._lose(self._silence(), now)
            return
        if self._conversation.state is not State.READY and now >= self._next_look:
            self._look(context)
        self._conversation.tick(now, self._liveness.take_ping(now))
        self._write()

    def _poll(self) -> None:
        """Wait for something to do."""
        poller = zmq.Poller()
        poller.register(self._woken, zmq.POLLIN)
        if self._dealer is not None and self._monitor is not None:
            blocked = bool(self._conversation.outgoing)
            poller.register(self._dealer, zmq.POLLIN | (zmq.POLLOUT if blocked else 0))
            poller.register(self._monitor, zmq.POLLIN)
        poller.poll(_TICK_MS)
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _look(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Find the engine, and connect unless that is where we are trying already."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        try:
            where = self._find()
        except KritaDragError as error:
            self._drop()
            self._conversation.lost(error)
            return
        if self._dealer is None or where != self._where:
            self._drop()
            self._open(context, where)
            self._liveness.opened(now)
            self._conversation.opened()

    def _open(self, context: zmq.Context[zmq.Socket[bytes]], where: Connection) -> None:
        """Connect. No heartbeats of ZeroMQ's own and no limit of what waits for reading: docs/protocol.md says why."""
        dealer = context.socket(zmq.DEALER)
        dealer.linger, dealer.rcvhwm, dealer.sndhwm = 0, 0, 64
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_SEALED)
        dealer.setsockopt(zmq.RECONNECT_IVL, 100)
        dealer.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        dealer.setsockopt(zmq.IPV6, int("[" in where.endpoint))
        dealer.curve_publickey = self._keys.public.encode("ascii")
        dealer.curve_secretkey = self._keys.secret.encode("ascii")
        dealer.curve_serverkey = where.server_key.encode("ascii")
        self._monitor = dealer.get_monitor_socket(_MONITORED)
        dealer.connect(where.endpoint)
        self._dealer, self._where = dealer, where

    def _drop(self, linger_ms: int = 0) -> None:
        if self._dealer is not None:
            self._dealer.disable_monitor()
            self._dealer.close(linger_ms)
        if self._monitor is not None:
            self._monitor.close(0)
        self._dealer = self._monitor = None

    def _lose(self, reason: KritaDragError, now: float, wait_s: float = 0.0) -> None:
        self._drop()
        self._conversation.lost(reason)
        self._next_look = now + wait_s

    def _silence(self) -> KritaDragError:
        if self._conversation.state is State.READY:
            return ConnectionLost("The engine does not respond.", "The connection is tried again by itself.")
        return HandshakeTimeout("The engine does not answer.", "It may still be starting; it is tried again by itself.")

    def _watch(self, now: float) -> None:
        """See what became of the connection below the messages."""
        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_DISCONNECTED:
                self._read(now)  # what came before the end
                wait_s = 0.0 if self._conversation.state is State.READY else _LOOK_S
                self._lose(
                    ConnectionLost("The connection to the engine broke.", "It is tried again by itself."), now, wait_s
                )
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._lose(
                    NotPaired("The engine does not know this computer.", "Run `krita-drag pair` beside the engine."),
                    now,
                    _REFUSED_S,
                )
            elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._lose(HandshakeTimeout("What answers there is not this engine.", "Pair again."), now, _REFUSED_S)

    def _read(self, now: float) -> None:
        for _ in range(_READ_AT_ONCE):
            if self._dealer is None:
                return
            try:
                parts = self._dealer.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = decode(parts)
            except ProtocolError as error:
                _log.warning("a message of the engine was dropped: %s", error)
                continue
            self._liveness.heard(now)
            was_ready = self._conversation.state is State.READY
            if not self._conversation.received(message, now):
                self._lose(ConnectionLost("The engine was restarted.", "The work goes on by itself."), now)
            elif not was_ready and self._conversation.state is State.READY:
                self._liveness.greeted(now)

    def _write(self) -> None:
        outgoing = self._conversation.outgoing
        for _ in range(_SENT_AT_ONCE):
            if self._dealer is None or not outgoing:
                return
            try:
                self._dealer.send_multipart(encode(outgoing[0]), zmq.NOBLOCK)
            except zmq.Again:
                return
            except TooLarge as error:
                self._conversation.unsendable(outgoing[0], error)
            outgoing.popleft()

    def _tell(self) -> None:
        """Hand events on; what the application does wrong with them must not end the connection."""
        events = self._conversation.events
        while events and not self._closing:
            event = events.popleft()
            try:
                self._on_event(event)
            except Exception:
                _log.exception("an event was not handled")
