"""What a client says and remembers: no sockets, no threads, no clock of its own.

It keeps every request until its one terminal event has come, repeats those that may have got lost, and says how many
previews it can take. `outgoing` and `events` are drained by the owner.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from typing import Any

from .liveness import SLOW_LINK
from .wire.errors import KritaDragError, VersionMismatch
from .wire.messages import (
    SPEAKS,
    Ack,
    Cancel,
    Cancelled,
    Close,
    Credit,
    Done,
    Drag,
    Error,
    Hello,
    Invert,
    Live,
    Message,
    Paired,
    Ping,
    Pong,
    Preview,
    Request,
    Welcome,
    is_terminal,
)
from .wire.vocabulary import ACCEPT_S

CREDIT = 2
_REMEMBERED = 1024  # finished requests, whose answers may come once more
_SLOWEST_REPEAT_S = 8.0
_WITH_PREVIEWS = (Drag, Live, Invert)


class State(enum.Enum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    READY = "ready"
    NOT_RESPONDING = "not responding"
    CLOSED = "closed"


@dataclasses.dataclass(frozen=True)
class StateChanged:
    """The connection stands elsewhere now.

    Attributes:
        state: where.
        reason: why, unless it is what was wanted.
        welcome: when READY, what the engine said of itself.
    """

    state: State
    reason: KritaDragError | None = None
    welcome: Welcome | None = None


@dataclasses.dataclass
class _Waiting:
    """A request without its terminal event.

    Attributes:
        messages: what must be said again after a reconnect: the request; of a gesture its press and its newest message.
        accepted: whether the engine has it.
        repeat_at: when to say it again if it is not accepted by then, seconds.
        repeat_s: how long the next time.
        cancel: what called it off, said again with it.
        before: of a `close`, the requests of its session that were asked before it.
    """

    messages: list[Request]
    accepted: bool = False
    repeat_at: float = 0.0
    repeat_s: float = ACCEPT_S
    cancel: Cancel | None = None
    before: tuple[str, ...] = ()


class Conversation:
    """One client's side of the protocol.

    Args:
        app, app_version: what the engine is told about us.

    Attributes:
        state: where it stands.
        outgoing: messages to be sent, in order.
        events: for the application: events of the engine and `StateChanged`.
    """

    def __init__(self, app: str, app_version: str) -> None:
        self.state = State.CONNECTING
        self.outgoing: collections.deque[Message] = collections.deque()
        self.events: collections.deque[Any] = collections.deque()
        self._hello = Hello(app, app_version, *SPEAKS)
        self._reason_code = ""
        self._end: KritaDragError | None = None  # when CLOSED, why
        self._epoch = ""
        self._waiting: dict[str, _Waiting] = {}
        self._finished: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._sids: dict[str, int] = {}  # previews handed on and not shown yet, per session
        self._picture_bytes: dict[str, int] = {}  # largest frames sent, per session

    # ---- from the application

    def submit(self, message: Message, now: float) -> None:
        """Say something; a request is kept until it is answered."""
        if not isinstance(message, Request):
            if isinstance(message, Cancel) and message.re in self._waiting:
                self._waiting[message.re].cancel = message
            if self.state is State.READY:
                self.outgoing.append(message)
            return
        if message.id in self._finished:
            return  # the rest of a gesture that has ended already
        sid = getattr(message, "sid", None)
        if sid is not None and not isinstance(message, Close):
            self._sids.setdefault(sid, 0)
        waiting = self._waiting.get(message.id)
        if waiting is None:
            before = self._of_session(message.sid) if isinstance(message, Close) else ()
            waiting = self._waiting[message.id] = _Waiting([message], before=before)
            if self.state is State.READY:
                self._repeat(waiting, now)
            elif self._end is not None:
                self._finish(Error.of(self._end, re=message.id), message.id)
        elif isinstance(message, Live):
            self._continue(waiting, message)

    def shown(self, sid: str) -> None:
        """A preview has been shown, so there is room for the next."""
        if self._sids.get(sid):
            self._sids[sid] -= 1
        if self.state is State.READY and sid in self._sids:
            self.outgoing.append(self._credit(sid))

    # ---- from the connection

    def opened(self) -> None:
        """A new connection begins."""
        self.outgoing.clear()
        self.outgoing.append(self._hello)

    def lost(self, reason: KritaDragError) -> None:
        """There is no connection now."""
        self.outgoing.clear()
        self._tell(State.CONNECTING if self.state is State.CONNECTING else State.NOT_RESPONDING, reason)

    def closed(self, reason: KritaDragError) -> None:
        """There will be no connection any more; that is the answer to all requests, to later ones too."""
        self.outgoing.clear()
        self._end = reason
        for request in list(self._waiting):
            self._finish(Error.of(reason, re=request), request)
        self._tell(State.CLOSED, reason)

    def received(self, message: Message, now: float) -> bool:
        """Take a message of the engine.

        Returns:
            Whether the connection is of use; if not, a new one must be opened.

        Raises:
            VersionMismatch: there is no common version.
        """
        if isinstance(message, Welcome):
            self._welcome(message, now)
        elif isinstance(message, Pong):
            if message.epoch != self._epoch:
                return False
            self.events.append(message)
        elif isinstance(message, Error) and message.re is None:
            if message.speaks is not None:
                raise message.exception()
            self.events.append(message)
        elif is_terminal(message):
            self._terminal(message)
        else:
            self._event(message)
        return True

    def unsendable(self, message: Message, reason: KritaDragError) -> None:
        """A message is beyond what the protocol carries."""
        request = getattr(message, "id", "")
        if request in self._waiting:
            self._finish(Error.of(reason, re=request, sid=getattr(message, "sid", None)), request)

    def tick(self, now: float, ping: bool) -> None:
        """Say what is due.

        Args:
            now: the time.
            ping: whether a ping is due.
        """
        if self.state is not State.READY:
            return
        if ping:
            self.outgoing.append(Ping(now, tuple(self._sids)[:64]))
        for waiting in list(self._waiting.values()):
            if not waiting.accepted and now >= waiting.repeat_at:
                self._repeat(waiting, now)

    @property
    def moving_bytes(self) -> int:
        """Size of what may be on its way: the picture of a session that waits for an answer, or a patch as large."""
        sids = {getattr(waiting.messages[0], "sid", "") for waiting in self._waiting.values()}
        return max((self._picture_bytes.get(sid, 0) for sid in sids), default=0)

    # ---- inside

    def _welcome(self, message: Welcome, now: float) -> None:
        if not SPEAKS[0] <= message.proto <= SPEAKS[1]:
            raise VersionMismatch(f"The engine chose version {message.proto} of the protocol.", "Run install.py again.")
        self._epoch = message.epoch
        self._reason_code = ""
        self.state = State.READY
        self.events.append(StateChanged(State.READY, welcome=message))
        self.outgoing.append(Ping(now, tuple(self._sids)[:64]))
        for waiting in list(self._waiting.values()):
            waiting.accepted, waiting.repeat_s = False, ACCEPT_S
            self._repeat(waiting, now)

    def _continue(self, waiting: _Waiting, message: Live) -> None:
        """Say a later message of a gesture in the place of an earlier one that has not left yet."""
        newest = waiting.messages[-1]
        if newest is not waiting.messages[0]:
            waiting.messages.pop()
            if newest in self.outgoing:
                self.outgoing.remove(newest)
        waiting.messages.append(message)
        if self.state is State.READY:
            self.outgoing.append(message)

    def _repeat(self, waiting: _Waiting, now: float) -> None:
        """Say a request, and all that belongs to it."""
        first = waiting.messages[0]
        size = sum(frame.nbytes for frame in first.frames().values())
        if size:
            sid = getattr(first, "sid", "")
            self._picture_bytes[sid] = max(size, self._picture_bytes.get(sid, 0))
        waiting.repeat_at = now + waiting.repeat_s + size / SLOW_LINK
        waiting.repeat_s = min(_SLOWEST_REPEAT_S, waiting.repeat_s * 2)
        self.outgoing.extend(waiting.messages)
        if isinstance(first, _WITH_PREVIEWS):
            self.outgoing.append(self._credit(first.sid))
        if waiting.cancel is not None:
            self.outgoing.append(waiting.cancel)

    def _credit(self, sid: str) -> Credit:
        return Credit(sid, max(0, CREDIT - self._sids.get(sid, 0)))

    def _terminal(self, message: Any) -> None:
        if not isinstance(message, Paired):  # the engine does not keep that one
            self.outgoing.append(Ack(message.re, getattr(message, "sid", None)))
        if message.re in self._waiting:
            self._finish(message, message.re)

    def _finish(self, message: Any, request: str) -> None:
        ended = self._waiting.pop(request)
        self._finished[request] = None
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        self.events.append(message)
        first = ended.messages[0]
        if isinstance(first, Close) and isinstance(message, Done):
            self._forget(first, ended)

    def _forget(self, closing: Close, ended: _Waiting) -> None:
        """A session is gone: what was asked of it before must not be repeated, or it would come to life again."""
        for request in ended.before:
            if request in self._waiting:
                self._finish(Cancelled(request, closing.sid), request)
        if not self._of_session(closing.sid):
            self._sids.pop(closing.sid, None)
            self._picture_bytes.pop(closing.sid, None)

    def _of_session(self, sid: str) -> tuple[str, ...]:
        return tuple(
            request for request, waiting in self._waiting.items() if getattr(waiting.messages[0], "sid", None) == sid
        )

    def _event(self, message: Any) -> None:
        waiting = self._waiting.get(getattr(message, "re", ""))
        if waiting is None:
            return  # of an earlier life, or late
        waiting.accepted = True
        if isinstance(message, Preview):
            self._sids[message.sid] = self._sids.get(message.sid, 0) + 1
        self.events.append(message)

    def _tell(self, state: State, reason: KritaDragError | None) -> None:
        code = reason.code if reason is not None else ""
        if (state, code) != (self.state, self._reason_code):
            self.state, self._reason_code = state, code
            self.events.append(StateChanged(state, reason))
