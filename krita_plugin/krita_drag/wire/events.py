"""Messages of the engine."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from .errors import BadFrame, KritaDragError, VersionMismatch, by_code
from .fields import Flag, Frame, Many, Name, Real, RecordOf, Text, Whole, field
from .vocabulary import (
    BYTES,
    COUNT,
    DEAD_S,
    DURATION,
    ID,
    LOST_SAYS,
    MAX_POINTS,
    MEMORY,
    NOTES,
    PHASES,
    PING_S,
    PIXELS,
    PLACES,
    RE_SAYS,
    REASONS,
    RECT,
    RECT_SAYS,
    SENTENCE,
    SID_SAYS,
    SPEAKS,
    SUSPEND_S,
    WORD,
    XY,
    Device,
    Event,
    ModelEntry,
    Status,
)


@dataclasses.dataclass(frozen=True)
class Welcome(Event):
    """Answer `hello`."""

    type: ClassVar[str] = "welcome"
    always_readable: ClassVar[bool] = True
    epoch: str = field(ID, "of this life of the gateway; a new one means that it was restarted")
    engine_version: str = field(WORD, "release of the engine")
    proto: int = field(Whole(1, 1000), "version that both speak from here on")
    ping_s: float = field(Real(0.01, 60), "time between pings, seconds", PING_S)
    dead_s: float = field(Real(0.01, 600), "silence after which the client reconnects, seconds", DEAD_S)
    suspend_s: float = field(Real(0.01, 3600), "silence after which sessions are suspended, seconds", SUSPEND_S)
    max_frame: int = field(COUNT, "largest frame that the engine takes, bytes", 64 << 20)
    devices: tuple[Device, ...] = field(Many(RecordOf(Device), 16), "where it computes", ())
    features: tuple[str, ...] = field(
        Many(Name(), 64), "what it can do beyond this version; unknown ones mean nothing", ()
    )


@dataclasses.dataclass(frozen=True)
class Pong(Event):
    """Answer `ping`, at once."""

    type: ClassVar[str] = "pong"
    time: float = field(DURATION, "that of the ping")
    epoch: str = field(ID, "as in `welcome`")
    queue: int = field(COUNT, "requests that wait", 0)
    last_step_ms: float | None = field(DURATION, "duration of the worker's latest step: long is busy", None)
    silent_ms: float | None = field(DURATION, "time since the worker's latest sign of life: long is stuck", None)
    free_mb: int | None = field(MEMORY, "free memory of the device, MB", None)


@dataclasses.dataclass(frozen=True)
class Paired(Event):
    """The client's key is on the allow-list; ends `pair`."""

    type: ClassVar[str] = "paired"
    re: str = field(ID, RE_SAYS)
    name: str = field(WORD, "what the allow-list calls the client")


@dataclasses.dataclass(frozen=True)
class Accepted(Event):
    """The request has arrived; without this within a second the client repeats it."""

    type: ClassVar[str] = "accepted"
    re: str = field(ID, RE_SAYS)
    sid: str | None = field(ID, SID_SAYS, None)
    place: int = field(COUNT, "requests before it; 0: it runs", 0)


@dataclasses.dataclass(frozen=True)
class Progress(Event):
    """How far a request is; only the newest is sent."""

    type: ClassVar[str] = "progress"
    re: str = field(ID, RE_SAYS)
    seq: int = field(COUNT, "counts the events of the request up")
    phase: str = field(Name(PHASES), "what is being done")
    sid: str | None = field(ID, SID_SAYS, None)
    step: int = field(COUNT, "steps done in this phase", 0)
    of: int = field(COUNT, "steps foreseen in this phase; 0: unknown", 0)
    step_ms: float | None = field(DURATION, "duration of the latest step", None)
    left_s: float | None = field(
        DURATION, "what the search for a photo still takes, seconds; an estimate, which gets better", None
    )
    loss: float | None = field(Real(-1e30, 1e30), "what the phase makes smaller", None)
    distance_px: float | None = field(DURATION, "mean distance from handles to targets, document pixels", None)
    handles: tuple[tuple[float, ...], ...] = field(PLACES, "where the handles are now, document pixels", ())
    confidence: tuple[float, ...] = field(Many(Real(0, 1), MAX_POINTS), "how sure each of these places is", ())
    lost: tuple[bool, ...] = field(Many(Flag(), MAX_POINTS), LOST_SAYS, ())


@dataclasses.dataclass(frozen=True)
class Preview(Event):
    """A picture of the state on the way; only the newest is sent, and only against credit.

    The patch is laid over the document, stretched to `rect`; its alpha is the feathered mask of what changed.
    """

    type: ClassVar[str] = "preview"
    re: str = field(ID, RE_SAYS)
    sid: str = field(ID, SID_SAYS)
    seq: int = field(COUNT, "counts the events of the request up")
    rect: tuple[int, ...] = field(RECT, RECT_SAYS)
    patch: Frame = field(PIXELS, "straight alpha, at most `preview_px` on its longest side")
    step: int = field(COUNT, "step that it shows", 0)
    live_seq: int | None = field(COUNT, "newest `seq` of the gesture when the step began", None)
    handles: tuple[tuple[float, ...], ...] = field(PLACES, "where the handles are in this picture, document pixels", ())
    confidence: tuple[float, ...] = field(Many(Real(0, 1), MAX_POINTS), "how sure each of these places is", ())
    lost: tuple[bool, ...] = field(Many(Flag(), MAX_POINTS), LOST_SAYS, ())


def _check_patch(message: Done | Cancelled) -> None:
    if (message.patch is None) != (message.rect is None):
        raise BadFrame("“patch” and “rect” come together.")
    if message.patch is not None and message.rect is not None and message.rect[3:1:-1] != message.patch.shape[:2]:
        raise BadFrame(f"The patch of {message.patch.shape[:2]} rows and columns does not fit {message.rect}.")


@dataclasses.dataclass(frozen=True)
class Done(Event):
    """The request succeeded. Which fields it has depends on the request. Outside the patch nothing changed."""

    type: ClassVar[str] = "done"
    re: str = field(ID, RE_SAYS)
    sid: str | None = field(ID, SID_SAYS, None)
    reason: str | None = field(Name(REASONS), "why a drag ended", None)
    step: int = field(COUNT, "steps done", 0)
    size: tuple[int, ...] | None = field(Many(Whole(1, 1 << 20), 2, 2), "width and height of the document", None)
    corners: tuple[tuple[float, ...], ...] = field(
        Many(XY, 4), "corners of the square that the model sees, clockwise from its top left, document pixels", ()
    )
    rect: tuple[int, ...] | None = field(RECT, RECT_SAYS + "; absent when nothing changed", None)
    handles: tuple[tuple[float, ...], ...] = field(PLACES, "where the handles are, document pixels", ())
    confidence: tuple[float, ...] = field(Many(Real(0, 1), MAX_POINTS), "how sure each of these places is", ())
    lost: tuple[bool, ...] = field(Many(Flag(), MAX_POINTS), LOST_SAYS, ())
    distance_px: float | None = field(DURATION, "mean distance left, document pixels", None)
    notes: tuple[str, ...] = field(NOTES, "what the artist should know, one sentence each", ())
    undos: int | None = field(COUNT, "states before this one", None)
    redos: int | None = field(COUNT, "states after this one", None)
    models: tuple[ModelEntry, ...] = field(Many(RecordOf(ModelEntry), 200), "answer of `list_models`", ())
    resolution: int | None = field(Whole(1, 1 << 16), "side of the model's picture, pixels", None)
    sha256: str | None = field(Text(64), "of the model's file, hexadecimal", None)
    load_ms: float | None = field(DURATION, "time that loading took", None)
    status: Status | None = field(RecordOf(Status), "answer of `status`", None)
    patch: Frame | None = field(PIXELS, "what changed, straight alpha, full size", None)
    picture: Frame | None = field(PIXELS, "the whole document of a session opened by seed", None)
    session: Frame | None = field(BYTES, "answer of `save`", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_patch(self)


@dataclasses.dataclass(frozen=True)
class Cancelled(Event):
    """The request was stopped; the state reached is kept, and shown if it has a patch."""

    type: ClassVar[str] = "cancelled"
    re: str = field(ID, RE_SAYS)
    sid: str | None = field(ID, SID_SAYS, None)
    step: int = field(COUNT, "steps done", 0)
    rect: tuple[int, ...] | None = field(RECT, RECT_SAYS + "; absent when drawing takes long: `render`", None)
    handles: tuple[tuple[float, ...], ...] = field(PLACES, "where the handles are, document pixels", ())
    confidence: tuple[float, ...] = field(Many(Real(0, 1), MAX_POINTS), "how sure each of these places is", ())
    lost: tuple[bool, ...] = field(Many(Flag(), MAX_POINTS), LOST_SAYS, ())
    distance_px: float | None = field(DURATION, "mean distance left, document pixels", None)
    corners: tuple[tuple[float, ...], ...] = field(
        Many(XY, 4), "the square that the model sees, as in `done`; absent: the picture is not prepared", ()
    )
    notes: tuple[str, ...] = field(NOTES, "what the artist should know, one sentence each", ())
    undos: int | None = field(COUNT, "states before this one", None)
    redos: int | None = field(COUNT, "states after this one", None)
    patch: Frame | None = field(PIXELS, "what changed, straight alpha, full size", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_patch(self)


@dataclasses.dataclass(frozen=True)
class Error(Event):
    """Something failed. With `re` it ends that request, without it the connection's last message was not understood."""

    type: ClassVar[str] = "error"
    always_readable: ClassVar[bool] = True
    code: str = field(Name(), "kind of failure: an anchor of docs/errors.md")
    message: str = field(SENTENCE, "what happened, one sentence")
    re: str | None = field(ID, RE_SAYS, None)
    sid: str | None = field(ID, SID_SAYS, None)
    hint: str = field(SENTENCE, "what to do about it, one sentence", "")
    retryable: bool = field(Flag(), "whether the same request can succeed later", False)
    at: int | None = field(COUNT, "number of the point concerned, from 0", None)
    retry_s: float | None = field(DURATION, "when to try again, seconds", None)
    speaks: tuple[int, ...] | None = field(
        Many(Whole(1, 1000), 2, 2), "oldest and newest version that the engine speaks", None
    )

    @classmethod
    def of(cls, failure: KritaDragError, re: str | None = None, sid: str | None = None) -> Error:
        """Return what travels of a failure; the trace stays in the log."""
        return cls(
            code=failure.code,
            message=_printable(failure.message),
            hint=_printable(failure.hint),
            re=re,
            sid=sid,
            retryable=failure.retryable,
            at=failure.at,
            retry_s=failure.retry_s,
            speaks=SPEAKS if isinstance(failure, VersionMismatch) else None,
        )

    def exception(self) -> KritaDragError:
        """Return the failure that travelled."""
        failure = by_code(self.code)(self.message, self.hint, at=self.at, retry_s=self.retry_s)
        failure.code, failure.retryable = self.code, self.retryable
        return failure


def _printable(text: str) -> str:
    """Shorten a sentence to what may travel; names of files in it can hold anything."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)[: SENTENCE.longest]
