"""From the gateway to the worker and back to clients: nothing waits here, and nothing that must arrive is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from krita_drag.wire.codec import encode
from krita_drag.wire.errors import WorkerCrashed
from krita_drag.wire.messages import Cancelled, Error

from engine.service.front import Front, Gone
from engine.service.records import Record, Waiting
from engine.service.registry import Registry
from engine.service.worker_link import Envelope, WorkerLink

if TYPE_CHECKING:
    from krita_drag.wire.fields import Buffer

_log = logging.getLogger(__name__)

MAX_CRASHES = 2  # a request may take that many workers with it and is tried once more


class Dispatcher:
    """Carries requests to the worker and events to their clients.

    Args:
        front: where clients are.
        link: where the worker is.
        registry: the sessions.
    """

    def __init__(self, front: Front, link: WorkerLink, registry: Registry) -> None:
        self._front, self._link, self._registry = front, link, registry
        self._heard = time.monotonic()
        self._beat: dict[str, Any] = {}
        self._trouble: dict[str, str] = {}
        self.devices: list[dict[str, Any]] = []

    def pass_on(self, record: Record, request: str, frames: Sequence[bytes]) -> None:
        """Give a request, or a later message of a gesture, to the worker."""
        if self._link.hopeless or self._trouble:
            self._give_up(record, request)
        else:
            self._link.send({"do": "request", "sid": record.sid, "id": request}, frames)

    def cancel(self, record: Record, request: str) -> None:
        """Call a request off; the worker ends it at its next step."""
        waiting = record.waiting.get(request)
        if waiting is None:
            return
        waiting.cancelled = True
        if not self._link.send({"do": "cancel", "sid": record.sid, "id": request}):
            self._end_cancelled(record, request)

    def wake(self, record: Record) -> None:
        """Take up a suspended session where it was."""
        if record.suspended:
            record.suspended = False
            _log.info("session resumed", extra={"sid": record.sid})
            self._resend(record)

    def suspend(self, record: Record) -> None:
        """Stop working for a client that is silent; what was reached is kept, and requests go on when it is back."""
        record.suspended, record.route = True, None
        record.preview = record.progress = None
        self._link.send({"do": "suspend", "sid": record.sid})
        _log.info("session suspended", extra={"sid": record.sid, "waiting": len(record.waiting)})

    def forget(self, record: Record) -> None:
        """Drop a session everywhere."""
        self._link.send({"do": "forget", "sid": record.sid})
        self._registry.forget(record.sid)

    def _resend(self, record: Record) -> None:
        for request, waiting in list(record.waiting.items()):
            if waiting.cancelled:
                self._end_cancelled(record, request)
                continue
            self.pass_on(record, request, waiting.frames)
            if waiting.newest is not None and request in record.waiting:
                self.pass_on(record, request, waiting.newest)

    def from_worker(self, envelope: Envelope, frames: list[bytes]) -> None:
        """Act on one message of the worker."""
        self._heard = time.monotonic()
        say = envelope["say"]
        if say in ("ready", "beat"):
            self._beat = envelope
            self.devices = envelope.get("devices", self.devices)
        if say == "unable":
            self._trouble = envelope["trouble"]
            _log.error("worker cannot work", extra={"why": self._trouble["message"]})
            self._give_up_all()
        elif say == "ready":
            self._trouble = {}
            _log.info("worker ready", extra={"worker": envelope["pid"], "devices": self.devices})
            for record in self._registry:
                record.holds_previews = False
                if not record.suspended:
                    self._resend(record)
        elif say in ("event", "answer"):
            found = self._registry.get(envelope["sid"])
            if found is None or envelope["id"] not in found.waiting:
                return  # closed, or answered already
            self._event(found, envelope, frames)

    def _event(self, record: Record, envelope: Envelope, frames: list[bytes]) -> None:
        if envelope["say"] == "answer":
            self._answered(record, envelope, frames)
        elif envelope["kind"] == "preview":
            record.preview = frames
        else:
            record.progress = frames
        self.flush(record)

    def worker_died(self) -> None:
        """Decide which requests are tried again; they are sent when the next worker reports."""
        blamed = self._link.blamed()
        for record in self._registry:
            for request, waiting in list(record.waiting.items()):
                if waiting.cancelled:
                    self._end_cancelled(record, request)
                    continue
                waiting.crashes += request == blamed
                if waiting.crashes > MAX_CRASHES or self._link.hopeless:
                    self._give_up(record, request)
            self.flush(record)

    def _answered(self, record: Record, envelope: Envelope, frames: list[bytes]) -> None:
        waiting: Waiting = record.waiting[envelope["id"]]
        record.finish(envelope["id"], frames, kept=bool(envelope.get("kept")))
        seconds = round(time.monotonic() - waiting.since, 3)
        _log.info(
            "answer", extra={"sid": record.sid, "job": envelope["id"], "end": envelope.get("end"), "seconds": seconds}
        )

    def _end_cancelled(self, record: Record, request: str) -> None:
        sid = record.sid if record.folder is not None else None
        self._finish(record, request, encode(Cancelled(re=request, sid=sid)))

    def _give_up_all(self) -> None:
        for record in self._registry:
            for request in list(record.waiting):
                self._give_up(record, request)

    def _give_up(self, record: Record, request: str) -> None:
        trouble = self._trouble or {
            "code": WorkerCrashed.code,
            "message": "The part of the engine that computes stopped several times, so this was given up.",
            "hint": "Its log is worker.log in the engine's folder; `krita-drag doctor` says what may be wrong.",
        }
        sid = record.sid if record.folder is not None else None
        _log.error("request given up", extra={"sid": sid, "job": request, "code": trouble["code"]})
        event = Error(re=request, sid=sid, **trouble)  # type: ignore[arg-type]
        self._finish(record, request, encode(event))

    def _finish(self, record: Record, request: str, parts: Sequence[Buffer]) -> None:
        record.finish(request, [bytes(part) for part in parts], kept=False)
        self.flush(record)

    def say(self, route: bytes, parts: Sequence[Buffer]) -> None:
        """Send what may get lost: it is said again when it is asked for again."""
        try:
            self._front.send(route, parts)
        except Gone:
            _log.debug("nobody at the route any more")

    def flush(self, record: Record) -> None:
        """Send what a client is due: every answer, and the newest preview if it takes them, and progress."""
        if record.route is None:
            return
        try:
            for answer, frames in record.unsent():
                if not self._front.send(record.route, frames):
                    return
                record.sent(answer)
            self._flush_newest(record, record.route)
        except Gone:
            record.route = None
        self._tell_previews(record)

    def _flush_newest(self, record: Record, route: bytes) -> None:
        if record.progress is not None and self._front.send(route, record.progress):
            record.progress = None
        if record.preview is not None and record.credit > 0 and self._front.send(route, record.preview):
            record.preview = None
            record.credit -= 1

    def _tell_previews(self, record: Record) -> None:
        """Let the worker draw previews only for clients that take them."""
        stuck = record.preview is not None
        if stuck != record.holds_previews and record.folder is not None:
            record.holds_previews = stuck
            self._link.send({"do": "previews", "sid": record.sid, "wanted": not stuck})

    def queue(self) -> int:
        """Requests that wait, of all sessions."""
        return sum(len(record.waiting) for record in self._registry)

    def worker_state(self) -> dict[str, Any]:
        """How the worker is, in fields of `pong`."""
        return {
            "last_step_ms": self._beat.get("step_ms"),
            "free_mb": self._beat.get("free_mb"),
            "silent_ms": (time.monotonic() - self._heard) * 1000,
        }
