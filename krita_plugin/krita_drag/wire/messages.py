"""Every message between client and engine, as frozen dataclasses whose fields carry their own specification.

A *request* has an `id` and ends in exactly one of `done`, `cancelled` and `error`. A *signal* has no answer of its own.
An *event* comes from the engine; `re` is the id of the request that it answers. docs/protocol.md says when each is
sent. Points are document pixels: x to the right, y down, the centre of the top-left pixel is (0.5, 0.5). Times are
milliseconds where a name ends in `_ms`, else seconds.
"""

from __future__ import annotations

from typing import Any, Iterator

from .events import Accepted, Cancelled, Done, Error, Paired, Pong, Preview, Progress, Welcome
from .fields import Frame, new_id
from .requests import (
    Ack,
    AskStatus,
    Cancel,
    Close,
    Credit,
    Drag,
    Hello,
    Invert,
    Invite,
    ListModels,
    Live,
    LoadModel,
    Open,
    Pair,
    Ping,
    Redo,
    Render,
    Reset,
    Restore,
    Save,
    Shutdown,
    Undo,
)
from .vocabulary import OLDEST, SPEAKS, VERSION, Device, Event, Message, ModelEntry, Request, SessionEntry, Status

__all__ = [
    "BY_TYPE",
    "OLDEST",
    "SPEAKS",
    "TERMINAL",
    "VERSION",
    "Accepted",
    "Ack",
    "AskStatus",
    "Cancel",
    "Cancelled",
    "Close",
    "Credit",
    "Device",
    "Done",
    "Drag",
    "Error",
    "Event",
    "Frame",
    "Hello",
    "Invert",
    "Invite",
    "ListModels",
    "Live",
    "LoadModel",
    "Message",
    "ModelEntry",
    "Open",
    "Pair",
    "Paired",
    "Ping",
    "Pong",
    "Preview",
    "Progress",
    "Redo",
    "Render",
    "Request",
    "Reset",
    "Restore",
    "Save",
    "SessionEntry",
    "Shutdown",
    "Status",
    "Undo",
    "Welcome",
    "is_terminal",
    "new_id",
]

TERMINAL = (Done, Cancelled, Error, Paired)


def _all_types(parent: type[Message]) -> Iterator[type[Message]]:
    for child in parent.__subclasses__():
        if child.type:
            yield child
        yield from _all_types(child)


BY_TYPE: dict[str, type[Message]] = {kind.type: kind for kind in _all_types(Message)}


def is_terminal(message: Any) -> bool:
    """Whether the message ends a request."""
    return isinstance(message, TERMINAL) and message.re is not None
