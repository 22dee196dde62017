"""Messages of the client: requests, which end in exactly one terminal event, and signals without an answer."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from .errors import BadFrame
from .fields import Choice, Flag, Frame, Many, Name, Real, Text, Whole, field
from .vocabulary import (
    BYTES,
    COUNT,
    DURATION,
    ID,
    MASK,
    MAX_CREDIT,
    PAIRS,
    PIXELS,
    PRESETS,
    PREVIEW_SAYS,
    RE_SAYS,
    SID_SAYS,
    SOLVERS,
    WEIGHTS,
    WORD,
    XY,
    Message,
    Request,
)


@dataclasses.dataclass(frozen=True)
class Hello(Message):
    """Open the conversation; the first message on every new connection."""

    type: ClassVar[str] = "hello"
    always_readable: ClassVar[bool] = True
    app: str = field(WORD, "program that connects")
    app_version: str = field(WORD, "its release")
    proto_min: int = field(Whole(1, 1000), "oldest version that it speaks")
    proto_max: int = field(Whole(1, 1000), "newest version that it speaks")


@dataclasses.dataclass(frozen=True)
class Ping(Message):
    """Show that the client lives, and which sessions this connection is for."""

    type: ClassVar[str] = "ping"
    time: float = field(DURATION, "the client's monotonic clock, seconds; comes back in `pong`")
    sids: tuple[str, ...] = field(Many(ID, 64), "sessions whose events shall come over this connection", ())


@dataclasses.dataclass(frozen=True)
class Invite(Request):
    """Let a client with an unknown key pair; only the client of the same machine and user may ask for that.

    It is `accepted` when the window is open, `done` when somebody has paired, and fails when the window has closed;
    `cancel` closes it.
    """

    type: ClassVar[str] = "invite"
    code: str = field(Text(16), "the one-time code, made by the client that asks")
    window_s: float = field(Real(1, 600), "how long the code is good, seconds", 120.0)


@dataclasses.dataclass(frozen=True)
class Pair(Request):
    """Ask to be put on the allow-list; only while `krita-drag pair` waits."""

    type: ClassVar[str] = "pair"
    code: str = field(Text(16), "the one-time code")
    name: str = field(WORD, "what the allow-list shall call this client")


@dataclasses.dataclass(frozen=True)
class ListModels(Request):
    """Ask which generators there are; `done` has `models`."""

    type: ClassVar[str] = "list_models"


@dataclasses.dataclass(frozen=True)
class LoadModel(Request):
    """Load a generator before it is needed; `done` has `resolution`, `sha256` and `load_ms`."""

    type: ClassVar[str] = "load_model"
    model: str = field(WORD, "its name")


@dataclasses.dataclass(frozen=True)
class Open(Request):
    """Begin a session with a picture, or replace its picture; either `image` or `seed` is given.

    `done` has `size`, and for a seed `picture`.
    """

    type: ClassVar[str] = "open"
    sid: str = field(ID, "the session; made by the client")
    model: str = field(WORD, "name of the generator")
    order: str = field(Choice(("RGBA", "BGRA")), "order of the channels in all frames of the session", "RGBA")
    seed: int | None = field(Whole(0, 2**63 - 1), "number of a generated picture", None)
    truncation_psi: float = field(Real(0, 1), "truncation of a seed", 0.7)
    class_index: int | None = field(COUNT, "what a conditional model draws for a seed, from 0", None)
    image: Frame | None = field(PIXELS, "the document: sRGB, straight alpha", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.image is None) == (self.seed is None):
            raise BadFrame("“open” needs either the frame “image” or a “seed”.")


@dataclasses.dataclass(frozen=True)
class Invert(Request):
    """Find the picture in the model: the long work before the first drag. A drag that finds it undone does it first."""

    type: ClassVar[str] = "invert"
    sid: str = field(ID, SID_SAYS)
    preset: str = field(Name(PRESETS), "how much time to spend", "balanced")
    steps: int | None = field(Whole(1, 100_000), "steps of the search instead of the preset's", None)
    preview_px: int = field(Whole(0, 4096), PREVIEW_SAYS, 512)
    points: tuple[tuple[float, ...], ...] = field(
        PAIRS, "what is going to be dragged, as in `drag`: tells which face is meant, and is checked first", ()
    )
    corners: tuple[tuple[float, ...], ...] | None = field(
        Many(XY, 4, 4), "the square that the model shall see, clockwise from its top left; absent: found", None
    )
    selection: Frame | None = field(MASK, "which part of the document is meant; as large as that", None)


def _check_points(message: Drag | Live) -> None:
    if message.weights and len(message.weights) != len(message.points):
        raise BadFrame(f"“weights” has {len(message.weights)} entries for {len(message.points)} points.")


@dataclasses.dataclass(frozen=True)
class Drag(Request):
    """Move handles to their targets."""

    type: ClassVar[str] = "drag"
    sid: str = field(ID, SID_SAYS)
    points: tuple[tuple[float, ...], ...] = field(
        PAIRS, "x and y of the handle, then of its target, document pixels; a handle on its target stays: an anchor"
    )
    weights: tuple[float, ...] = field(WEIGHTS, "importance of each point; none: all alike", ())
    solver: str = field(Name(SOLVERS), "how to drag", "newton")
    max_steps: int = field(Whole(1, 100_000), "steps after which the drag ends wherever it is", 300)
    reach: float | None = field(
        Real(1e-3, 1e3), "how far the picture may move, in standard deviations of the prior", None
    )
    onward: bool = field(Flag(), "whether to continue from the state shown instead of from the opened picture", False)
    preview_px: int = field(Whole(0, 4096), PREVIEW_SAYS, 512)
    mask: Frame | None = field(MASK, "as large as the document; 255 may move, 0 must not", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self)


@dataclasses.dataclass(frozen=True)
class Live(Request):
    """One message of a gesture: all of them share one `id`, and the terminal event comes after the release.

    Every one carries all points, so a later message makes up for a lost one; the newest `seq` wins.
    """

    type: ClassVar[str] = "live"
    id: str = field(ID, "of the gesture")
    sid: str = field(ID, SID_SAYS)
    phase: str = field(Choice(("press", "move", "release")), "where the gesture is")
    seq: int = field(COUNT, "counts the messages of the gesture up; an older one than the newest is ignored")
    points: tuple[tuple[float, ...], ...] = field(
        PAIRS, "x and y of the handle when pressed, then of where it shall be now, document pixels"
    )
    weights: tuple[float, ...] = field(WEIGHTS, "importance of each point; none: all alike", ())
    reach: float | None = field(Real(1e-3, 1e3), "as in `drag`", None)
    preview_px: int = field(Whole(0, 4096), PREVIEW_SAYS, 512)
    mask: Frame | None = field(MASK, "as in `drag`; read from the press only", None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self)


@dataclasses.dataclass(frozen=True)
class Undo(Request):
    """Go back to the state before the latest drag; `done` has its patch."""

    type: ClassVar[str] = "undo"
    sid: str = field(ID, SID_SAYS)


@dataclasses.dataclass(frozen=True)
class Redo(Request):
    """Take the latest undo back; `done` has the state's patch."""

    type: ClassVar[str] = "redo"
    sid: str = field(ID, SID_SAYS)


@dataclasses.dataclass(frozen=True)
class Reset(Request):
    """Return to the picture as opened; can be undone."""

    type: ClassVar[str] = "reset"
    sid: str = field(ID, SID_SAYS)


@dataclasses.dataclass(frozen=True)
class Render(Request):
    """Ask for the patch of the present state again, full size, or of a moment on the way there, as for an animation."""

    type: ClassVar[str] = "render"
    sid: str = field(ID, SID_SAYS)
    at: float | None = field(Real(0, 1), "moment: 0 is the picture as it was opened, 1 the present state", None)


@dataclasses.dataclass(frozen=True)
class Save(Request):
    """Ask for the session as a file; `done` has it in `session`."""

    type: ClassVar[str] = "save"
    sid: str = field(ID, SID_SAYS)


@dataclasses.dataclass(frozen=True)
class Restore(Request):
    """Begin a session from a file made by `save`; `done` is that of `open`, with the patch of the saved state."""

    type: ClassVar[str] = "restore"
    sid: str = field(ID, "the session; made by the client")
    session: Frame = field(BYTES, "the file")
    order: str = field(Choice(("RGBA", "BGRA")), "as in `open`", "RGBA")


@dataclasses.dataclass(frozen=True)
class Close(Request):
    """End a session and forget everything about it; closing what is not there is done at once."""

    type: ClassVar[str] = "close"
    sid: str = field(ID, SID_SAYS)


@dataclasses.dataclass(frozen=True)
class Shutdown(Request):
    """End the engine; only the client of the same machine and user may."""

    type: ClassVar[str] = "shutdown"


@dataclasses.dataclass(frozen=True)
class AskStatus(Request):
    """Ask how the engine is; `done` has `status`."""

    type: ClassVar[str] = "status"


@dataclasses.dataclass(frozen=True)
class Cancel(Message):
    """Stop a request: it ends `cancelled` at its next step, or `done` if it was faster."""

    type: ClassVar[str] = "cancel"
    re: str = field(ID, RE_SAYS)
    sid: str | None = field(ID, "its session, if it has one", None)


@dataclasses.dataclass(frozen=True)
class Credit(Message):
    """Say how many previews the client can take now."""

    type: ClassVar[str] = "credit"
    sid: str = field(ID, SID_SAYS)
    n: int = field(Whole(0, MAX_CREDIT), "the number itself, not an addition to it")


@dataclasses.dataclass(frozen=True)
class Ack(Message):
    """Say that a terminal event has arrived and need not be kept."""

    type: ClassVar[str] = "ack"
    re: str = field(ID, RE_SAYS)
    sid: str | None = field(ID, "its session, if it has one", None)
