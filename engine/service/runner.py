"""One turn of one session: a step of its job, a preview, or an end; and what is told of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from krita_drag.wire.codec import encode
from krita_drag.wire.errors import KritaDragError, OutOfMemory
from krita_drag.wire.messages import Cancelled, Done, Error, Event, Invert, Preview, Progress, Request

from engine.machine import is_out_of_memory
from engine.service.disk import NOTE as DISK_NOTE
from engine.service.hosted import HostedSession
from engine.service.job import Job
from engine.service.jobs import begin
from engine.service.pixels import patch_fields
from engine.service.records import save_answer
from engine.service.reports import MOST_NOTES, Fields, Report, corners, failure_of, notes, shown, state_fields

_log = logging.getLogger(__name__)

PREVIEW_EVERY_S = 0.1
PREVIEW_SHARE = 0.4  # of the time that drawing previews may take
QUICK_DRAWING_S = 0.03  # a stopped drag is drawn at once if that takes no longer; else its client asks for it
_CANCELLED_FIELDS = frozenset({"handles", "confidence", "lost", "undos", "redos", "rect", "patch"})
_NOT_KEPT = frozenset({"re", "sid", "rect", "models", "status"})

Tell = Callable[[dict[str, Any], list[bytes]], None]


class Runner:
    """Takes turns of sessions.

    Args:
        tell: sends an envelope and the frames of a message to the gateway.
        make_room: called when memory does not suffice, with the session; says what was done about it, or None when
            nothing more can be done.
    """

    def __init__(self, tell: Tell, make_room: Callable[[HostedSession], str | None]) -> None:
        self._tell, self._make_room = tell, make_room
        self._drawing_s = float("inf")  # what drawing took lately
        self.step_ms = 0.0

    def turn(self, hosted: HostedSession) -> None:
        """Do one step of a session; whatever goes wrong ends its request and nothing else."""
        job = hosted.job
        if job is None:
            job = hosted.job = Job(hosted.waiting.popleft())
        began = time.monotonic()
        trouble: Exception | None = None
        try:
            if job.preview_due:
                self._draw_preview(hosted, job)
            else:
                self._step(hosted, job)
        except Exception as error:
            trouble = _out_of_memory() if is_out_of_memory(error) else error
            trouble = trouble.with_traceback(None)  # its frames would hold on to the device's memory
            if not isinstance(trouble, KritaDragError):
                _log.exception("job failed", extra={"sid": hosted.sid, "job": job.message.id})
        if trouble is not None:
            self._recover(hosted, job, trouble)
        job.step_ms = self.step_ms = (time.monotonic() - began) * 1000
        hosted.checkpoint(time.monotonic())

    def cancel(self, hosted: HostedSession, request: str) -> None:
        """Stop a request that runs or waits."""
        waiting = hosted.drop_waiting(request)
        if waiting is not None:
            self._answer(hosted, waiting, Cancelled, {})
            return
        job = hosted.job
        if job is None or job.message.id != request:
            return
        message, fields = job.message, Fields(step=job.report.step)
        try:
            hosted.stop_job()
            if hosted.present is not None:
                fields |= corners(hosted.present.crop)
                if isinstance(message, Invert):
                    fields["notes"] = notes(hosted)  # such as that there is no face
            session = hosted.session() if job.report.event is not None else None
            if session is not None:
                fields |= {k: v for k, v in state_fields(session).items() if k in _CANCELLED_FIELDS}
                if self._drawing_s <= QUICK_DRAWING_S:
                    fields |= shown(hosted, session)
        except Exception as error:
            told = {"job": request, "why": failure_of(error).code}
            _log.warning("cancelled without a picture", extra=told, exc_info=not isinstance(error, KritaDragError))
        self._answer(hosted, message, Cancelled, fields)

    def _step(self, hosted: HostedSession, job: Job) -> None:
        if job.steps is None:
            if self._ended_before(hosted, job):
                return
            job.steps = begin(hosted, job.message)
        drawing = job.report.phase == "rendering"
        began = time.monotonic()
        try:
            report = next(job.steps)
        except StopIteration as end:
            if drawing:
                self._drawing_s = time.monotonic() - began
            self._finish(hosted, job, end.value)
            return
        job.idle = report is None
        if report is not None:
            self._tell_progress(hosted, job, report)
        elif job.unseen:
            job.preview_due = hosted.previews_wanted  # a pointer that rests: no later state will be drawn instead

    def _ended_before(self, hosted: HostedSession, job: Job) -> bool:
        """Answer again what was done already when the worker died before it could say so."""
        if hosted.folder is None or hosted.ended.request != job.message.id:
            return False
        ended, session = hosted.ended, hosted.need_session()
        hosted.end_job()
        if ended.kind == Cancelled.type:
            self._answer(hosted, job.message, Cancelled, dict(ended.fields), again=True)
        else:
            fields = {**ended.fields, **shown(hosted, session)}
            self._answer(hosted, job.message, Done, fields, again=True)
        return True

    def _tell_progress(self, hosted: HostedSession, job: Job, report: Report) -> None:
        job.report, job.seq = report, job.seq + 1
        size_px = getattr(job.message, "preview_px", 0)
        job.unseen = size_px > 0 and report.show is not None
        job.preview_due = job.unseen and hosted.previews_wanted and time.monotonic() >= job.preview_at
        event = Progress(
            **_state(hosted, job),
            phase=report.phase,
            of=report.of,
            left_s=report.left_s,
            step_ms=job.step_ms,
            loss=report.loss,
            distance_px=report.distance_px,
        )
        self._event(hosted, job, "progress", event)

    def _draw_preview(self, hosted: HostedSession, job: Job) -> None:
        job.preview_due = job.unseen = False
        report, began = job.report, time.monotonic()
        assert report.show is not None
        patch = report.show(job.message.preview_px)  # type: ignore[attr-defined]
        took = self._drawing_s = time.monotonic() - began
        job.preview_at = began + max(PREVIEW_EVERY_S, took / PREVIEW_SHARE)
        job.seq += 1
        event = Preview(**_state(hosted, job), live_seq=report.live_seq, **patch_fields(patch, hosted.order))
        self._event(hosted, job, "preview", event)

    def _finish(self, hosted: HostedSession, job: Job, fields: Fields) -> None:
        message = job.message
        hosted.end_job()
        self._answer(hosted, message, Done, fields)

    def _recover(self, hosted: HostedSession, job: Job, trouble: Exception) -> None:
        """After a failure: try again with more room where memory was short, else end the request."""
        if isinstance(trouble, OutOfMemory):
            if job.report.search is None:  # a search has no state in the middle of a step
                hosted.checkpoint(time.monotonic(), force=True)
            hosted.rewind()
            done = self._make_room(hosted)
            if done is not None:
                _log.warning("memory short", extra={"sid": hosted.sid, "job": job.message.id, "did": done})
                return
        hosted.end_job()
        self._fail(hosted, job.message, trouble)

    def _fail(self, hosted: HostedSession, message: Request, trouble: Exception) -> None:
        told = Error.of(failure_of(trouble)).to_plain()
        self._answer(hosted, message, Error, told)

    def _event(self, hosted: HostedSession, job: Job, kind: str, event: Event) -> None:
        envelope = {"say": "event", "sid": hosted.sid, "id": job.message.id, "kind": kind}
        self._tell(envelope, [bytes(part) for part in encode(event)])

    def _answer(
        self,
        hosted: HostedSession,
        message: Request,
        kind: type[Done | Cancelled | Error],
        fields: Fields,
        *,
        again: bool = False,
    ) -> None:
        """End a request: first on the disk, then on the wire; `again`: the session on the disk knows it already."""
        event = kind(re=message.id, sid=_sid(hosted), **fields)
        folder = hosted.folder
        if folder is not None and kind is not Error and not again:
            plain = {name: value for name, value in event.to_plain().items() if name not in _NOT_KEPT}
            hosted.commit(message.id, event.type, plain)
            if hosted.disk.lacks:
                told = (*fields.get("notes", ())[: MOST_NOTES - 1], DISK_NOTE)
                event = kind(re=message.id, sid=_sid(hosted), **{**fields, "notes": told})
        frames = [bytes(part) for part in encode(event)]
        kept = False
        if folder is not None:

            def keep() -> None:
                nonlocal kept
                save_answer(folder, message.id, frames)
                kept = True

            hosted.disk.attempt("answer", keep, owed=False)
        envelope = {"say": "answer", "sid": hosted.sid, "id": message.id, "kept": kept, "end": event.type}
        self._tell(envelope, frames)


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory("The engine's memory does not hold this job.", "Close other programs, or use a smaller part.")


def _state(hosted: HostedSession, job: Job) -> Fields:
    """What progress and previews both tell."""
    report = job.report
    return {
        "re": job.message.id,
        "sid": _sid(hosted),
        "seq": job.seq,
        "step": report.step,
        "handles": report.handles,
        "confidence": report.confidence,
        "lost": report.lost,
    }


def _sid(hosted: HostedSession) -> str | None:
    return hosted.sid if hosted.folder is not None else None
