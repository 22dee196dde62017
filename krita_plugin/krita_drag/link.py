"""The way to the engine as Qt sees it: process, client, their state, and events on the window's thread."""

from __future__ import annotations

import platform
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine_process import EngineProcess, EngineStatus, Phase
from .guard import guarded
from .link_status import LinkState, LinkStatus
from .qt import QtCore, Signal
from .vendoring import provide_zmq
from .wire import messages as wire
from .wire.errors import ConnectionLost, KritaDragError, NotInstalled, NotPaired, NotRunning

if TYPE_CHECKING:
    from .client import Client

PHASES = {
    Phase.STOPPED: LinkState.OFF,
    Phase.NOT_INSTALLED: LinkState.NOT_INSTALLED,
    Phase.STARTING: LinkState.STARTING,
    Phase.RUNNING: LinkState.CONNECTING,
    Phase.FAILED: LinkState.FAILED,
}


class EngineLink(QtCore.QObject):
    """One engine, local or remote.

    Args:
        home: krita-drag's data folder.
        krita_version: release of the program that connects, told to the engine.

    Signals:
        status_changed: `status` is another one.
        event: a message of the engine.
    """

    status_changed = Signal()
    event = Signal(object)
    _process_said = Signal(object)
    _client_said = Signal(int, object)
    _loaded_said = Signal(object)

    def __init__(self, home: Path, krita_version: str = "") -> None:
        super().__init__()
        self.status = LinkStatus(LinkState.OFF)
        self._home, self._krita_version = home, krita_version[:64]
        self._process: EngineProcess | None = None
        self._client: Client | None = None
        self._generation = 0  # of the client: what an older one still says is of no interest
        self._address: str | None = None
        self._wanted = ""
        self._loader: threading.Thread | None = None
        self._loaded = False
        self._process_status = EngineStatus(Phase.STOPPED)
        self._connection: Any = None  # the client's latest StateChanged
        self._failure: KritaDragError | None = None
        self._code = self._pairing = ""
        self._closed = False
        self._unanswered: set[str] = set()  # requests that the present client has
        self._process_said.connect(self._process_changed)
        self._client_said.connect(self._client_changed)
        self._loaded_said.connect(self._loading_done)

    def open(self, address: str) -> None:
        """Use an engine; after a failure: try again. Returns at once.

        Args:
            address: of an engine on another machine, with its code while pairing; empty: the one of this machine,
                started if need be.
        """
        self._wanted, self._failure = address, None
        if not address:
            if self._process is None:
                self._process = EngineProcess(self._home, self._process_said.emit)
            self._process.start()
        if self._loaded:
            self._connect_to_wanted()
        elif self._loader is None:
            self._loader = threading.Thread(target=self._load, name="krita-drag loading", daemon=True)
            self._loader.start()
        self._tell()

    def _load(self) -> None:
        """Load pyzmq and the client: a tenth of a second, and nothing that Krita's start needs."""
        try:
            provide_zmq()
            from . import client, connection, keys, places

            _ = client, connection, keys, places
            self._loaded_said.emit(None)
        except KritaDragError as failure:
            self._loaded_said.emit(failure)
        except ImportError as reason:
            sentence = f"Krita's Python lacks a part that the plugin needs ({reason})."
            self._loaded_said.emit(NotInstalled(sentence, "Run `python3 install.py` again."))

    @guarded
    def _loading_done(self, failure: KritaDragError | None) -> None:
        self._loaded, self._loader, self._failure = failure is None, None, failure
        if self._closed:
            return
        if self._loaded:
            self._connect_to_wanted()
        self._tell()

    def _connect_to_wanted(self) -> None:
        try:
            if self._wanted != self._address or self._client is None or self._is_closed():
                self._connect(self._wanted)
        except KritaDragError as failure:
            self._failure = failure

    def send(self, message: Any) -> None:
        """Hand a message to the engine; returns at once. A request is answered in any case."""
        if self._client is not None:
            if isinstance(message, wire.Request):
                self._unanswered.add(message.id)
            self._client.send(message)
        elif isinstance(message, wire.Request):
            missing = NotRunning("There is no connection to an engine.", "Press the button beside its state.")
            self._client_said.emit(self._generation, wire.Error.of(missing, re=message.id))

    def shown(self, sid: str) -> None:
        """Ask for the next preview of a session."""
        if self._client is not None:
            self._client.shown(sid)

    def close(self) -> None:
        """Leave for good; an engine that is ours ends with us. Waits a little: no thread is to outlive its listener."""
        self._closed = True
        if self._loader is not None:
            self._loader.join(0.5)
        self._disconnect(wait_s=0.5)
        if self._process is not None:
            self._process.close()

    def _connect(self, address: str) -> None:
        """Make the client.

        Raises:
            KritaDragError: the address has another form, or our key cannot be read.
        """
        from . import connection, keys, places
        from .client import Client

        if address:
            where, self._code = connection.parse_address(address)
        else:
            where, self._code = None, ""
        self._disconnect()
        key_pair = keys.load_or_create(places.client_key_path())
        folder = self._home / "engine"
        self._address = address
        generation = self._generation
        self._client = Client(
            (lambda: where) if where is not None else (lambda: connection.read_connection(folder)),
            key_pair,
            lambda event: self._client_said.emit(generation, event),
            app="krita",
            app_version=self._krita_version,
        )

    def _disconnect(self, wait_s: float = 0.0) -> None:
        self._connection, self._pairing = None, ""
        self._generation += 1
        if self._client is not None:
            self._client.close(wait_s)
            self._client = None
        unanswered, self._unanswered = self._unanswered, set()
        if not self._closed:
            left = ConnectionLost("Another engine was chosen in the middle of the work.", "Prepare the picture again.")
            for request in unanswered:
                self._client_said.emit(self._generation, wire.Error.of(left, re=request))

    def _is_closed(self) -> bool:
        return self._connection is not None and self._connection.state.value == "closed"

    @guarded
    def _process_changed(self, status: EngineStatus) -> None:
        self._process_status = status
        self._tell()

    @guarded
    def _client_changed(self, generation: int, event: Any) -> None:
        if generation != self._generation:
            return
        if isinstance(event, wire.Event):
            self._take(event)
            return
        self._connection = event
        if event.state.value == "ready" and self._code:
            self._pairing = wire.new_id()
            self.send(wire.Pair(id=self._pairing, code=self._code, name=f"krita on {platform.node()}"[:64]))
        self._tell()

    def _take(self, event: wire.Event) -> None:
        if wire.is_terminal(event):
            self._unanswered.discard(getattr(event, "re", ""))
        if self._pairing and getattr(event, "re", None) == self._pairing:
            self._pairing = self._code = ""
            self._failure = event.exception() if isinstance(event, wire.Error) else None
            if isinstance(event, wire.Paired) and self._address is not None:
                self._address = self._address.split("#")[0]  # the code was good once: from now on this is its address
            self._tell()
        else:
            if isinstance(event, wire.Error) and event.code == NotPaired.code:  # let in while others pair, and no more
                self._failure = event.exception()
                self._tell()
            self.event.emit(event)

    def _tell(self) -> None:
        status = self._status()
        if status != self.status:
            self.status = status
            self.status_changed.emit()

    def _status(self) -> LinkStatus:
        """Put process and connection together into one state."""
        if self._failure is not None:
            return LinkStatus(LinkState.FAILED, error=self._failure)
        if self._loader is not None and not self._address and self._process_status.phase is Phase.STOPPED:
            return LinkStatus(LinkState.STARTING)
        said = self._connection
        state = said.state.value if said is not None else "connecting"
        if state == "ready" and not self._code:
            devices = said.welcome.devices if said.welcome is not None else ()
            return LinkStatus(LinkState.READY, devices[0].name if devices else "")
        if state == "closed":
            return LinkStatus(LinkState.FAILED, error=said.reason)
        if self._address or self._process_status.phase is Phase.RUNNING:
            lost = state == "not responding"
            reason = said.reason if said is not None and (lost or self._address) else None
            return LinkStatus(LinkState.NOT_RESPONDING if lost else LinkState.CONNECTING, error=reason)
        process = self._process_status
        return LinkStatus(PHASES[process.phase], error=process.error, details=process.log_tail)
