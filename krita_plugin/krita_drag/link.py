"""The way to the engine as Qt sees it: process, client, their state, and events on the window's thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .engine_process import EngineProcess, EngineStatus, Phase
from .guard import guarded
from .link_status import LinkState, LinkStatus
from .qt import QtCore, Signal

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

    Signals:
        status_changed: `status` is another one.
        event: a message of the engine.
    """

    status_changed = Signal()
    event = Signal(object)
    _process_said = Signal(object)

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.status = LinkStatus(LinkState.OFF)
        self._home = home
        self._process: EngineProcess | None = None
        self._process_said.connect(self._process_changed)

    def open(self, address: str) -> None:
        """Use an engine; after a failure: try again. Returns at once.

        Args:
            address: of an engine on another machine; empty: the one of this machine, started if need be.
        """
        if self._process is None:
            self._process = EngineProcess(self._home, self._process_said.emit)
        self._process.start()

    def send(self, message: Any) -> None:
        """Hand a message to the engine; returns at once."""

    def close(self) -> None:
        """Leave; an engine that is ours ends with us."""
        if self._process is not None:
            self._process.close()

    @guarded
    def _process_changed(self, status: EngineStatus) -> None:
        self._tell(LinkStatus(PHASES[status.phase], error=status.error, details=status.log_tail))

    def _tell(self, status: LinkStatus) -> None:
        if status != self.status:
            self.status = status
            self.status_changed.emit()
