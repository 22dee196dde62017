"""What the messages have in common: versions, time limits, kinds of fields that recur, and records in them."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from .fields import Flag, FrameOf, Identifier, Many, Name, Real, RecordOf, Specified, Text, Whole, field

VERSION = 1
OLDEST = 1  # version that this side still speaks
SPEAKS = (OLDEST, VERSION)

PING_S, DEAD_S, SUSPEND_S, ACCEPT_S, HANDSHAKE_S = 1.0, 3.0, 15.0, 1.0, 5.0
MAX_CREDIT = 4
MAX_POINTS = 64

ID = Identifier()
WORD = Text(64)
SENTENCE = Text(500)
XY = Many(Real(), 2, 2)
PLACES = Many(XY, MAX_POINTS)
PAIRS = Many(Many(Real(), 4, 4), MAX_POINTS)
WEIGHTS = Many(Real(1e-3, 1e3), MAX_POINTS)
PIXELS = FrameOf("u1", ("h", "w", 4))
MASK = FrameOf("u1", ("h", "w"))
BYTES = FrameOf("u1", ("n",))
COUNT = Whole(0, 1_000_000_000)
MEMORY = Whole(0, 100_000_000)
DURATION = Real(0, 1e12)
NOTES = Many(SENTENCE, 16)

PHASES = ("queued", "loading", "aligning", "encoding", "projecting", "tuning", "dragging", "polishing", "rendering")
REASONS = ("landed", "stalled", "steps", "diverged", "released")
SOLVERS = ("newton", "draggan", "draggan-paper", "draggan-robust", "freedrag")
PRESETS = ("fast", "balanced", "best")
PREVIEW_SAYS = "longest side of previews, pixels; 0 for none"
RECT_SAYS = "where the patch lies: left, top, width, height, document pixels"
LOST_SAYS = "whether the place of each handle is a guess"
RE_SAYS = "id of the request"
SID_SAYS = "the session"
RECT = Many(Whole(0, 1 << 20), 4, 4)


class Message(Specified):
    """Base of all messages.

    Attributes:
        type: name on the wire.
        sender: "client" or "engine".
        always_readable: whether it is read whatever version the peer speaks.
    """

    type: ClassVar[str] = ""
    sender: ClassVar[str] = "client"
    always_readable: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class Request(Message):
    """A message that ends in exactly one terminal event."""

    id: str = field(ID, "of this request")


class Event(Message):
    """A message of the engine."""

    sender: ClassVar[str] = "engine"


@dataclasses.dataclass(frozen=True)
class Device(Specified):
    """A place to compute."""

    name: str = field(WORD, "as the driver calls it")
    memory_mb: int = field(MEMORY, "all of its memory, MB; 0 when unknown")
    free_mb: int = field(MEMORY, "free now, MB; 0 when unknown")


@dataclasses.dataclass(frozen=True)
class ModelEntry(Specified):
    """A generator that the engine can use or fetch."""

    name: str = field(WORD, "what `open` calls it")
    title: str = field(Text(200), "what a person calls it")
    resolution: int = field(Whole(1, 1 << 16), "side of its picture, pixels")
    installed: bool = field(Flag(), "whether its file is on the engine's machine")
    loaded: bool = field(Flag(), "whether a device holds it now", False)
    licence: str = field(Text(200), "the licence's name", "")
    aligned: bool = field(Flag(), "whether it draws faces in one place, so that the face is looked for first", False)


@dataclasses.dataclass(frozen=True)
class SessionEntry(Specified):
    """A session, as its owner's status request shows it."""

    sid: str = field(ID, SID_SAYS)
    state: str = field(Name(("idle", "queued", "running", "suspended")), "what it does")
    client: str = field(WORD, "name of the client that owns it", "")
    idle_s: float = field(DURATION, "time since its last message, seconds", 0.0)


@dataclasses.dataclass(frozen=True)
class Status(Specified):
    """How the engine is."""

    engine_version: str = field(WORD, "release of the engine")
    pid: int = field(COUNT, "process id of the gateway")
    uptime_s: float = field(DURATION, "time since it started, seconds")
    clients: int = field(COUNT, "connected clients")
    queue: int = field(COUNT, "requests that wait")
    memory_mb: int = field(MEMORY, "resident memory of all engine processes, MB")
    devices: tuple[Device, ...] = field(Many(RecordOf(Device), 16), "where it computes")
    sessions: tuple[SessionEntry, ...] = field(Many(RecordOf(SessionEntry), 64), "sessions of the asking key")
