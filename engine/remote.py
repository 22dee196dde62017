"""An engine in another process, for commands that wait for its answers."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from krita_drag.client import Client, State, StateChanged
from krita_drag.connection import Connection, parse_address, read_connection
from krita_drag.keys import load_or_create
from krita_drag.places import client_key_path, engine_dir
from krita_drag.wire.errors import ConnectionLost, HandshakeTimeout, NotRunning
from krita_drag.wire.messages import Error, Message, Preview, Request, is_terminal

from engine import __version__

LOCAL = "local"
_FIRST_ANSWER_S = 15.0
_GONE_S = 60.0  # an engine that was there may be restarting, and then goes on with the work
_LOOK_S = 0.1  # how often a wait looks whether it is still wanted

OnEvent = Callable[[Any], None]


def finder(server: str) -> Callable[[], Connection]:
    """Return what says where an engine is.

    Args:
        server: "local", or an address drag://HOST:PORT/KEY.

    Raises:
        BadOption: the address has another form.
    """
    if server == LOCAL:
        return lambda: read_connection(engine_dir())
    connection, _ = parse_address(server)
    return lambda: connection


class RemoteEngine:
    """A connection whose requests are waited for.

    Args:
        find: says where the engine is.

    Raises:
        UnsafeKeyFile, PermissionDenied, NoDiskSpace: this user's key cannot be used.
    """

    def __init__(self, find: Callable[[], Connection]) -> None:
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._client = Client(
            find, load_or_create(client_key_path()), self._events.put, app="krita-drag", app_version=__version__
        )
        self._was_ready = False
        self._gone_since: float | None = time.monotonic()  # None while there is a connection

    def __enter__(self) -> RemoteEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(
        self, request: Request, on_event: OnEvent = lambda event: None, wanted: Callable[[], bool] = lambda: True
    ) -> Any:
        """Send a request and wait for its end.

        Args:
            request: what to ask for.
            on_event: told what comes before the end, and when the connection changes.
            wanted: looked at while waiting; when it becomes false, the request is cancelled, and ends soon: at once
                where there is no connection.

        Returns:
            Its terminal event, which is no error.

        Raises:
            KritaDragError: it failed, or there is no engine to be reached.
            KeyboardInterrupt: it is not wanted any more, and there is no engine that could be told.
        """
        self._client.send(request)
        cancelled = False
        while True:
            if not cancelled and not wanted():
                if self._gone_since is not None:
                    raise KeyboardInterrupt
                self._client.cancel(request.id, getattr(request, "sid", None))
                cancelled = True
            event = self._next()
            if is_terminal(event) and event.re == request.id:
                if isinstance(event, Error):
                    raise event.exception()
                return event
            if event is not None:
                on_event(event)
            if isinstance(event, Preview):
                self._client.shown(event.sid)

    def say(self, message: Message) -> None:
        """Send something that has no answer, or whose answer does not matter."""
        self._client.send(message)

    def _next(self) -> Any:
        """Return the next event, or None when there is none yet.

        Raises:
            KritaDragError: there is no use in waiting.
        """
        try:
            event = self._events.get(timeout=_LOOK_S)
        except queue.Empty:
            event = None
        if isinstance(event, StateChanged):
            self._note(event)
        elif event is None and self._gone_since is not None:
            self._check_patience(time.monotonic() - self._gone_since)
        return event

    def _check_patience(self, gone_s: float) -> None:
        if not self._was_ready and gone_s > _FIRST_ANSWER_S:
            raise HandshakeTimeout(
                "No engine answers at that address.", "Is it running, and does the firewall let the port through?"
            )
        if self._was_ready and gone_s > _GONE_S:
            raise ConnectionLost(
                f"The engine went away and has not come back for {_GONE_S:.0f} s.",
                "Start it again (`krita-drag serve`), then this command.",
            )

    def _note(self, change: StateChanged) -> None:
        if change.state is State.READY:
            self._was_ready, self._gone_since = True, None
        elif self._gone_since is None:
            self._gone_since = time.monotonic()
        reason = change.reason
        if reason is None:
            return
        # an engine that was there may be restarting; one that never was has to be started by somebody
        hopeless = change.state is State.CLOSED or not reason.retryable
        if hopeless or (isinstance(reason, NotRunning) and not self._was_ready):
            raise reason
