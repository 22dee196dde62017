"""What the gateway remembers of sessions: owners, requests that wait, and answers until they are acknowledged."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.service.files import read_json, read_sealed, write_json, write_sealed

OWNER_FILE = "session.json"
ANSWERS = "answers"
MAX_ANSWERS = 16  # of one session; a client that acknowledges none loses the oldest
ABANDONED_S = 24 * 3600.0


@dataclass
class Waiting:
    """A request that has been accepted and not answered.

    Attributes:
        frames: the message as it came.
        newest: of a gesture, the latest message after `frames`.
        seq: of a gesture, that of the latest message.
        crashes: workers that died while working on it.
        since: when it was accepted, monotonic seconds.
        cancelled: whether its client has called it off.
    """

    frames: list[bytes]
    newest: list[bytes] | None = None
    seq: int = -1
    crashes: int = 0
    since: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    @property
    def nbytes(self) -> int:
        """Memory that the frames take."""
        return sum(map(len, self.frames))


@dataclass
class Answer:
    """A terminal event that has not been acknowledged.

    Attributes:
        frames: the message; None when it is on the disk only.
        sent: whether it has gone out on the present connection.
    """

    frames: list[bytes] | None
    sent: bool = False


class Record:
    """One session, or the requests of one key that belong to no session.

    Args:
        sid: the session; empty for requests without one.
        owner: public key of the client that owns it.
        folder: where answers are kept; None keeps them in memory (they can be had again by asking again).
    """

    def __init__(self, sid: str, owner: str, folder: Path | None) -> None:
        self.sid, self.owner, self.folder = sid, owner, folder
        self.route: bytes | None = None
        self.seen = time.monotonic()
        self.waiting: dict[str, Waiting] = {}
        self.answers: dict[str, Answer] = {}
        self.acknowledged: deque[str] = deque(maxlen=64)
        self.credit = 0
        self.preview: list[bytes] | None = None
        self.progress: list[bytes] | None = None
        self.holds_previews = False  # whether the worker was told that nobody takes previews now
        self.suspended = False

    def touch(self, route: bytes) -> None:
        """Note a sign of life of the client; on a new connection everything is to be sent again."""
        self.seen = time.monotonic()
        if route != self.route:
            self.route = route
            self.credit = 0
            for answer in self.answers.values():
                answer.sent = False

    def finish(self, request: str, frames: list[bytes], kept: bool) -> None:
        """Note a terminal event.

        Args:
            request: its request.
            frames: the message.
            kept: whether it is on the disk already.
        """
        self.waiting.pop(request, None)
        self.preview = self.progress = None
        if request not in self.acknowledged:
            while len(self.answers) >= MAX_ANSWERS:
                self.acknowledge(next(iter(self.answers)))
            self.answers[request] = Answer(frames)
            if not kept:
                self.keep(request, frames)

    def keep(self, request: str, frames: list[bytes]) -> None:
        """Put a terminal event on the disk; where that is full, memory has to do."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                save_answer(self.folder, request, frames)

    def unsent(self) -> Iterator[tuple[Answer, list[bytes]]]:
        """Yield answers that have not gone out on the present connection, with their frames."""
        for request, answer in list(self.answers.items()):
            if answer.sent:
                continue
            frames = answer.frames if answer.frames is not None else load_answer(self.folder, request)
            if frames is None:  # damaged or gone: the request will be done again when it is repeated
                del self.answers[request]
            else:
                yield answer, frames

    def sent(self, answer: Answer) -> None:
        """Note that an answer has gone out; from here on the disk remembers it."""
        answer.sent = True
        if self.folder is not None:
            request = next(name for name, kept in self.answers.items() if kept is answer)
            if answer_path(self.folder, request).exists():
                answer.frames = None

    def acknowledge(self, request: str) -> None:
        """Forget an answer that has arrived."""
        if self.answers.pop(request, None) is not None:
            self.acknowledged.append(request)
        if self.folder is not None:
            with contextlib.suppress(OSError):
                answer_path(self.folder, request).unlink()

    def recall(self, request: str) -> bool:
        """Find an answer of an earlier life on the disk; returns whether there is one."""
        frames = load_answer(self.folder, request)
        if frames is not None:
            self.answers[request] = Answer(None)
        return frames is not None


def answer_path(folder: Path, request: str) -> Path:
    """Return where a session's folder keeps the answer to a request."""
    return folder / ANSWERS / request


def save_answer(folder: Path, request: str, frames: list[bytes]) -> None:
    """Write a terminal event before it is sent.

    Raises:
        OSError: it cannot be written.
    """
    path = answer_path(folder, request)
    path.parent.mkdir(exist_ok=True, mode=0o700)  # fails, as it should, where the session was closed
    write_sealed(path, frames)


def load_answer(folder: Path | None, request: str) -> list[bytes] | None:
    """Read a terminal event; None when it is not there or damaged."""
    if folder is None:
        return None
    try:
        return read_sealed(answer_path(folder, request))
    except (OSError, ValueError):
        return None


@dataclass
class Ownership:
    """What a session's folder says of itself.

    Attributes:
        owner: public key of the client.
        idle_s: how long nobody has asked for it while an engine ran; no clock that can jump is involved.
    """

    owner: str
    idle_s: float = 0.0

    def write(self, folder: Path) -> None:
        """Put it into the folder, made if missing.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(folder / OWNER_FILE, {"owner": self.owner, "idle_s": round(self.idle_s)})


def read_ownership(folder: Path) -> Ownership | None:
    """Return what a session's folder says of itself; None when there is no such session."""
    found = read_json(folder / OWNER_FILE)
    if found is None or not isinstance(found.get("owner"), str) or not isinstance(found.get("idle_s"), int | float):
        return None
    return Ownership(found["owner"], float(found["idle_s"]))
