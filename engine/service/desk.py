"""What each message of a client leads to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Protocol

from krita_drag.wire.codec import decode, encode
from krita_drag.wire.errors import (
    AuthFailed,
    BadFrame,
    Busy,
    KritaDragError,
    NotPaired,
    ProtocolError,
    VersionMismatch,
)
from krita_drag.wire.messages import (
    SPEAKS,
    Accepted,
    Ack,
    AskStatus,
    Cancel,
    Cancelled,
    Close,
    Credit,
    Device,
    Done,
    Error,
    Hello,
    Invite,
    Live,
    Message,
    Open,
    Pair,
    Paired,
    Ping,
    Pong,
    Request,
    Restore,
    Shutdown,
    Status,
    Welcome,
)

from engine import __version__
from engine.pairing import PairingWindow
from engine.service.dispatch import Dispatcher
from engine.service.front import Incoming
from engine.service.invitation import Invitation
from engine.service.limits import MAX_QUEUED, Conduct
from engine.service.records import Record, Waiting
from engine.service.registry import Registry

_log = logging.getLogger(__name__)


class Access(Protocol):
    """Who may come in, and what they may do there."""

    window: PairingWindow

    def admits(self, key: str) -> bool:
        """Return whether a key may connect now."""
        ...

    def is_known(self, key: str) -> bool:
        """Return whether a key is on the allow-list."""
        ...

    def is_local(self, key: str) -> bool:
        """Return whether a key is that of the user who runs the engine."""
        ...

    def pair(self, key: str, code: str, name: str) -> str:
        """Put a key on the allow-list; returns what it is called there. Raises PairingFailed."""
        ...


class Desk:
    """Reads what clients say, answers what the gateway knows, and passes on what is for the worker.

    Args:
        epoch: of this life of the gateway.
        suspend_s: silence after which sessions are suspended.
        access: who may come in.
        registry: the sessions.
        dispatcher: the way to the worker and back to clients.
        status: how the engine is, for the session entries of one key.
        shut_down: called when the owner asks for the end.
    """

    def __init__(
        self,
        epoch: str,
        suspend_s: float,
        access: Access,
        registry: Registry,
        dispatcher: Dispatcher,
        status: Callable[[str], Status],
        shut_down: Callable[[], None],
    ) -> None:
        self._epoch, self._suspend_s = epoch, suspend_s
        self._access, self._registry, self._dispatcher = access, registry, dispatcher
        self._status, self._shut_down = status, shut_down
        self._invitation = Invitation(access.window)
        self._conducts: dict[str, Conduct] = {}

    def read(self, incoming: Incoming) -> None:
        """Act on one message; whatever it is, the gateway goes on."""
        conduct = self._conducts.setdefault(incoming.key, Conduct())
        if conduct.ignored() or not self._access.admits(incoming.key):  # revoked since it came in
            return
        try:
            message = decode(incoming.parts)
            if message.sender != "client":
                raise BadFrame(f"“{message.type}” is a message of engines.")
        except ProtocolError as error:
            conduct.malformed()
            self._refuse(incoming, error, *_salvage(incoming.parts))
            return
        conduct.sound()
        request = getattr(message, "id", None)
        sid = getattr(message, "sid", None)
        try:
            if not conduct.spend():
                raise Busy("This client sends more than the engine can read.", "Send less.", retry_s=1)
            if not self._may_say(incoming.key, message):
                raise NotPaired("The engine does not know this client yet.", "Pair it: `krita-drag pair`.")
            self._act(incoming, message)
        except KritaDragError as error:
            if request is not None or not isinstance(error, Busy):
                self._refuse(incoming, error, request or getattr(message, "re", None), sid)
        except Exception:
            _log.exception("message failed", extra={"job": request, "sid": sid, "type": message.type})
            unforeseen = KritaDragError("Something unforeseen happened in the engine.", "Its log says what.")
            self._refuse(incoming, unforeseen, request, sid)

    def _may_say(self, key: str, message: Message) -> bool:
        """Return whether a client may send this: while it is not paired, hardly anything."""
        return isinstance(message, Hello | Ping | Pair) or self._access.is_known(key)

    def _act(self, incoming: Incoming, message: Message) -> None:
        if isinstance(message, Hello):
            self._welcome(incoming, message)
        elif isinstance(message, Ping):
            self._pong(incoming, message)
        elif isinstance(message, Cancel | Credit | Ack):
            self._signal(incoming, message)
        elif isinstance(message, Pair):
            name = self._access.pair(incoming.key, message.code, message.name)
            self._say(incoming, Paired(re=message.id, name=name))
            self._tell_inviter(self._invitation.accepted_by(name))
        elif isinstance(message, Invite):
            self._require_local(incoming)
            self._tell_inviter(self._invitation.end("Another code has taken the place of this one."))
            self._say(incoming, self._invitation.begin(message, incoming.route))
        elif isinstance(message, AskStatus):
            self._say(incoming, Done(re=message.id, status=self._status(incoming.key)))
        elif isinstance(message, Shutdown):
            self._require_local(incoming)
            self._say(incoming, Done(re=message.id))
            self._shut_down()
        elif isinstance(message, Close):
            self._close(incoming, message)
        elif isinstance(message, Request):
            self._request(incoming, message)

    def _welcome(self, incoming: Incoming, message: Hello) -> None:
        proto = min(message.proto_max, SPEAKS[1])
        if proto < max(message.proto_min, SPEAKS[0]):
            raise VersionMismatch(
                f"This client speaks versions {message.proto_min} to {message.proto_max} of the protocol, "
                f"the engine {SPEAKS[0]} to {SPEAKS[1]}.",
                "Run install.py again: it brings both sides to the same release.",
            )
        devices = tuple(Device(**device) for device in self._dispatcher.devices)
        self._say(
            incoming,
            Welcome(
                epoch=self._epoch,
                engine_version=__version__,
                proto=proto,
                suspend_s=self._suspend_s,
                devices=devices,
            ),
        )

    def _pong(self, incoming: Incoming, message: Ping) -> None:
        if self._access.is_known(incoming.key):
            for sid in message.sids:
                record = self._find(sid, incoming.key)
                if record is not None:
                    self._touch(record, incoming.route)
        worker = self._dispatcher.worker_state()
        self._say(incoming, Pong(time=message.time, epoch=self._epoch, queue=self._dispatcher.queue(), **worker))

    def tick(self) -> None:
        """Do what has become due."""
        self._tell_inviter(self._invitation.overdue())

    def _tell_inviter(self, answer: tuple[bytes, Message] | None) -> None:
        if answer is not None:
            self._dispatcher.say(answer[0], encode(answer[1]))

    def _require_local(self, incoming: Incoming) -> None:
        if not self._access.is_local(incoming.key):
            raise AuthFailed("Only the user who runs the engine may do that.", "Do it on the engine's machine.")

    def _signal(self, incoming: Incoming, message: Cancel | Credit | Ack) -> None:
        if isinstance(message, Cancel) and self._access.is_local(incoming.key) and self._invitation.is_by(message.re):
            self._tell_inviter(self._invitation.cancel())
            return
        record = self._registry.desk(incoming.key) if message.sid is None else self._find(message.sid, incoming.key)
        if record is None:
            return
        self._touch(record, incoming.route)
        if isinstance(message, Credit):
            record.credit = message.n
            self._dispatcher.flush(record)
        elif isinstance(message, Ack):
            record.acknowledge(message.re)
        else:
            self._dispatcher.cancel(record, message.re)

    def _close(self, incoming: Incoming, message: Close) -> None:
        record = self._find(message.sid, incoming.key)
        if record is not None:
            for request in list(record.waiting):
                self._say(incoming, Cancelled(re=request, sid=record.sid))
            self._dispatcher.forget(record)
            _log.info("session closed", extra={"sid": message.sid, "job": message.id})
        self._say(incoming, Done(re=message.id, sid=message.sid))

    def _request(self, incoming: Incoming, message: Request) -> None:
        record = self._record_of(incoming, message)
        self._touch(record, incoming.route)
        if message.id in record.acknowledged:
            return
        if message.id in record.answers:
            record.answers[message.id].sent = False
        elif message.id in record.waiting:
            self._repeat(incoming, record, message)
        elif record.recall(message.id):
            _log.info("answer of an earlier life", extra={"sid": record.sid, "job": message.id})
        else:
            self._accept(incoming, record, message)
        self._dispatcher.flush(record)

    def _repeat(self, incoming: Incoming, record: Record, message: Request) -> None:
        waiting = record.waiting[message.id]
        if isinstance(message, Live) and message.seq > waiting.seq:
            waiting.seq, waiting.newest = message.seq, incoming.parts
            self._dispatcher.pass_on(record, message.id, incoming.parts)
            if message.phase == "move":
                return
        place = list(record.waiting).index(message.id)
        self._say(incoming, Accepted(re=message.id, sid=getattr(message, "sid", None), place=place))

    def _accept(self, incoming: Incoming, record: Record, message: Request) -> None:
        if isinstance(message, Open | Restore) and record.waiting:
            raise Busy("This session is still at work.", "Stop that first, or wait for it.", retry_s=1)
        if len(record.waiting) > MAX_QUEUED:
            raise Busy("This session has as many requests waiting as it can hold.", "Wait for the first.", retry_s=1)
        waiting = Waiting(incoming.parts, seq=getattr(message, "seq", -1))
        self._registry.check_waiting(incoming.key, waiting.nbytes)
        record.waiting[message.id] = waiting
        sid = getattr(message, "sid", None)
        _log.info("request", extra={"type": message.type, "sid": sid, "job": message.id})
        self._say(incoming, Accepted(re=message.id, sid=sid, place=len(record.waiting) - 1))
        self._dispatcher.pass_on(record, message.id, incoming.parts)

    def _record_of(self, incoming: Incoming, message: Request) -> Record:
        sid = getattr(message, "sid", None)
        if sid is None:
            return self._registry.desk(incoming.key)
        if isinstance(message, Open | Restore):
            return self._registry.open(sid, incoming.key)
        return self._registry.find(sid, incoming.key)

    def _find(self, sid: str, key: str) -> Record | None:
        try:
            return self._registry.find(sid, key)
        except KritaDragError:
            return None

    def _touch(self, record: Record, route: bytes) -> None:
        record.touch(route)
        self._dispatcher.wake(record)
        self._dispatcher.flush(record)

    def _refuse(self, incoming: Incoming, error: KritaDragError, request: str | None, sid: str | None) -> None:
        self._say(incoming, Error.of(error, request, sid))

    def _say(self, incoming: Incoming, message: Message) -> None:
        self._dispatcher.say(incoming.route, encode(message))


def _salvage(parts: list[bytes]) -> tuple[str | None, str | None]:
    """Find request and session of a message that is not sound, so that its sender learns which one it was."""
    try:
        header = json.loads(parts[0]) if len(parts[0]) < 4096 else {}
        ids = [header.get(name) for name in ("id", "sid")]
        Error(code="bad-frame", message="", re=ids[0], sid=ids[1])
    except (ValueError, LookupError, AttributeError, RecursionError, KritaDragError):
        return None, None
    return ids[0], ids[1]
