"""The state of the way to the engine, as a sentence with a button that mends it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .wire.errors import KritaDragError


class LinkState(Enum):
    """Where the way to the engine ends."""

    OFF = "off"
    NOT_INSTALLED = "not installed"
    STARTING = "starting"
    CONNECTING = "connecting"
    READY = "ready"
    NOT_RESPONDING = "not responding"
    FAILED = "failed"


class Remedy(Enum):
    """What a button can do about it."""

    NONE = ""
    INSTALL = "Install…"
    START = "Start"
    RETRY = "Retry"


REMEDIES = {
    LinkState.OFF: Remedy.START,
    LinkState.NOT_INSTALLED: Remedy.INSTALL,
    LinkState.FAILED: Remedy.RETRY,
    LinkState.NOT_RESPONDING: Remedy.RETRY,
}


class LinkStatus(NamedTuple):
    """What the docker tells about the engine.

    Attributes:
        state: where the way ends.
        device: where the engine computes, once it is known.
        error: why it does not work; None while it does.
        details: last lines of the engine's log, for the copied message.
    """

    state: LinkState
    device: str = ""
    error: KritaDragError | None = None
    details: tuple[str, ...] = ()

    @property
    def remedy(self) -> Remedy:
        """What the button does."""
        return REMEDIES.get(self.state, Remedy.NONE)

    @property
    def usable(self) -> bool:
        """Whether requests can be sent now."""
        return self.state is LinkState.READY
