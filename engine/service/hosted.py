"""A session in the worker: what waits, what runs, what is in memory and what is on the disk."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from krita_drag.wire.errors import NoSession
from krita_drag.wire.messages import Live, Open, Request, Restore

from engine.models import Model
from engine.service.disk import Disk
from engine.service.exchange import from_frame
from engine.service.job import CHECKPOINT_EVERY_S, Job
from engine.service.keeping import Ended, Keeper, Progress
from engine.service.model_cache import ModelCache
from engine.service.pixels import to_picture
from engine.service.reports import Report, Stopped
from engine.service.search_file import KeptSearch
from engine.session import Session

_log = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.1  # of the time that writing checkpoints may take: those with tuned weights can be large
MAX_STATES = 64  # that undo can go through
SEQ_LEAP = 1000  # events that may have been sent after a checkpoint


class HostedSession:
    """One session, or the requests of one client that belong to none.

    Args:
        sid: the session; any other text for what belongs to none.
        folder: where it is kept; None for what belongs to none.
        models: shared by all sessions.
    """

    def __init__(self, sid: str, folder: Path | None, models: ModelCache) -> None:
        self.sid, self.models = sid, models
        self.waiting: deque[Request] = deque()
        self.job: Job | None = None
        self.previews_wanted = True
        self.used_at = time.monotonic()
        self.on_cpu = False
        self.frugal = False
        self.notes: list[str] = []
        self.inversion_steps = 0
        self._keeper = Keeper(folder) if folder is not None else None
        self.folder = folder
        self.disk = Disk(folder)
        self._session: Session | None = None
        self._model_name: str | None = None  # of the model asked for last
        self._opening: Open | Restore | None = None
        self._newest: dict[str, Live] = {}
        self._ended: Ended | None = None

    @property
    def keeper(self) -> Keeper:
        """Where the session is kept.

        Raises:
            NoSession: this is none.
        """
        if self._keeper is None:
            raise NoSession("This needs a session.", "Open a picture first.")
        return self._keeper

    @property
    def order(self) -> str:
        """Order of the channels in the session's frames."""
        return self.opening().order

    @property
    def ended(self) -> Ended:
        """The latest request that ended."""
        if self._ended is None:
            self._ended = self.keeper.ended()
        return self._ended

    def opening(self) -> Any:
        """Return the message that opened the session.

        Raises:
            NoSession: it is lost.
        """
        if self._opening is None:
            self._opening = self.keeper.opening()
        return self._opening

    def model(self, name: str) -> Model:
        """Return a model where this session computes."""
        self._model_name = name
        return self.models.get(name, on_cpu=self.on_cpu)

    def load(self, name: str, device: torch.device | str) -> Model:
        """As `model`, for `engine.session_file.load_session`; the device is the session's own."""
        return self.model(name)

    def describe_model(self, name: str) -> dict[str, Any]:
        """Load a model; returns the fields that `done` has of it."""
        began = time.monotonic()
        model = self.model(name)
        return {
            "resolution": model.info.resolution,
            "sha256": self.models.sha256(name),
            "load_ms": (time.monotonic() - began) * 1000,
        }

    def opened(self, message: Open | Restore, session: Session | None) -> None:
        """Note that the session begins anew."""
        self._opening, self._ended, self.notes = message, Ended(), []
        self._hold(session)
        self.disk.attempt("opening", lambda: self.keeper.begin(message))

    def inverted(self, session: Session) -> None:
        """Note what an inversion has found."""
        self._hold(session)
        self.disk.attempt("inversion", lambda: self.keeper.write_inverted(session))

    def session(self) -> Session | None:
        """Return the session, brought back from the disk if need be; None before its inversion."""
        if self._session is None:
            self._hold(self._bring_back())
            if self._session is not None:
                self._ended = self.keeper.read_state(self._session)
        return self._session

    def _hold(self, session: Session | None) -> None:
        self._session = session
        if session is not None:
            session.chunk = 1 if self.frugal else None

    def need_session(self) -> Session:
        """Return the session.

        Raises:
            NoSession: it is not there yet.
        """
        session = self.session()
        if session is None:
            raise NoSession("The picture is not prepared yet.", "Prepare it first.")
        return session

    def progress(self, request: str) -> Progress | None:
        """Return where a drag was when it was cut short."""
        found = self.keeper.read_progress(request, self.need_session().w_start)
        if found is not None and self.job is not None:
            self.job.seq = max(self.job.seq, found.seq + SEQ_LEAP)
            _log.info("drag resumed", extra={"sid": self.sid, "job": request, "step": found.steps})
        return found

    def kept_search(self, request: str | None) -> KeptSearch | None:
        """Return where a search for the photo was when it was cut short.

        Args:
            request: of which request; None for whichever it was.
        """
        found = self.keeper.search.read()
        if found is None or request not in (None, found.request):
            return None
        if self.job is not None:
            self.job.seq = max(self.job.seq, found.seq + SEQ_LEAP)
            step = found.snapshot.told["step"]
            _log.info("search resumed", extra={"sid": self.sid, "job": found.request, "step": step})
        return found

    def newest(self, message: Live) -> Live:
        """Return the newest message of a gesture."""
        return self._newest.get(message.id, message)

    def _bring_back(self) -> Session | None:
        message = self.opening()
        if isinstance(message, Restore):
            return from_frame(message.session, self)
        if message.seed is not None:
            return Session.from_seed(
                self.model(message.model), message.seed, message.truncation_psi, message.class_index
            )
        return self.keeper.read_inverted(to_picture(message.image, message.order), self.model(message.model))

    @property
    def runnable(self) -> bool:
        """Whether it has something to do now."""
        return bool(self.waiting) if self.job is None else not self.job.idle or self.job.preview_due

    def want_previews(self, wanted: bool) -> None:
        """Draw previews from now on, or no more; what came to rest undrawn is drawn now."""
        self.previews_wanted = wanted
        if self.job is not None and self.job.idle:
            self.job.preview_due = wanted and self.job.unseen

    def add(self, message: Request) -> None:
        """Take a request, or a later message of a gesture."""
        self.used_at = time.monotonic()
        if isinstance(message, Live):
            known = self._newest.get(message.id)
            if known is None or message.seq >= known.seq:
                self._newest[message.id] = message
            if self.job is not None and self.job.message.id == message.id:
                self.job.idle = False
                return
        if self._holds(message.id):
            return
        self.waiting.append(message)

    def _holds(self, request: str) -> bool:
        running = self.job is not None and self.job.message.id == request
        return running or any(one.id == request for one in self.waiting)

    def drop_waiting(self, request: str) -> Request | None:
        """Take a request out of the line; None if it does not wait."""
        for message in self.waiting:
            if message.id == request:
                self.waiting.remove(message)
                self._newest.pop(request, None)
                return message
        return None

    def end_job(self) -> None:
        """Stop what runs, between two of its steps."""
        if self.job is not None:
            if self.job.steps is not None:
                self.job.steps.close()
            self._newest.pop(self.job.message.id, None)
            self.job = None

    def stop_job(self) -> None:
        """Stop what runs as its client asked, with whatever it keeps for that case."""
        try:
            if self.job is not None and self.job.steps is not None:
                with contextlib.suppress(Stopped):
                    self.job.steps.throw(Stopped())
        finally:
            self.end_job()

    def rewind(self) -> None:
        """Let the job that runs begin again at its next turn, from its checkpoint where it has one."""
        if self.job is not None:
            if self.job.steps is not None:
                self.job.steps.close()
            self.job.steps, self.job.idle, self.job.preview_due = None, False, False
            self.job.report = Report("queued", self.job.report.step)
        self.leave_memory()

    def checkpoint(self, now: float, *, force: bool = False) -> None:
        """Write where a drag or a search has come to, every half second."""
        job = self.job
        if job is None or not (force or now >= job.keep_at):
            return
        report, keeper = job.report, self._keeper
        if keeper is None or (report.event is None and report.search is None):
            return

        def write() -> None:
            if report.event is not None:
                keeper.write_progress(Progress(job.message.id, job.seq, report.step, report.event))
            elif report.search is not None:
                keeper.search.write(KeptSearch(job.message.id, job.seq, *report.search()))

        began = time.monotonic()
        self.disk.attempt("checkpoint", write, owed=False)
        took = time.monotonic() - began
        job.keep_at = now + max(CHECKPOINT_EVERY_S, took / CHECKPOINT_SHARE)

    def commit(self, request: str, kind: str, fields: dict[str, Any]) -> None:
        """Write where the session stands after a request."""
        if self._keeper is None or self._session is None:
            return
        session, keeper = self._session, self._keeper
        session.edits.limit(MAX_STATES)
        self._ended = Ended(request, kind, fields)
        ended = self._ended
        self.disk.attempt("state", lambda: keeper.write_state(session, ended))

    def leave_memory(self) -> None:
        """Let go of what can be brought back from the disk; everything else stays."""
        if not self.disk.lacks:
            self._session, self._opening, self._ended = None, None, None

    @property
    def present(self) -> Session | None:
        """The session, if it is in memory."""
        return self._session

    def model_used(self) -> str | None:
        """Name of the model that this session works with: while it is in memory, or something is done for it."""
        return self._model_name if self._session is not None or self.job is not None else None

    def suspend(self) -> None:
        """Stop everything where it is; repeating the requests goes on from there."""
        self.disk.settle()
        self.checkpoint(time.monotonic(), force=True)
        self.end_job()
        self.waiting.clear()
        self.leave_memory()

    def forget(self) -> None:
        """Stop everything; nothing is written any more."""
        with contextlib.suppress(Exception):
            self.end_job()
        self.waiting.clear()
        self._keeper = self.folder = None
        self.disk.forget()
        self._session = self._opening = self._ended = None
