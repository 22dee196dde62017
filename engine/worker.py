"""The engine's computing process: one thread, one step of each session in turn, and a look at the socket between them.

A cancelled request stops before its next step; several artists share the device evenly; and since nothing here waits,
the process is never in the middle of anything but a step. It ends itself when the gateway is gone.

    python -I -m engine.worker < settings.json        started by `engine.service.worker_link`, which see
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zmq
from krita_drag.wire.codec import decode
from krita_drag.wire.errors import KritaDragError
from krita_drag.wire.messages import Request

from engine.allocator import release_memory
from engine.service.hosted import HostedSession
from engine.service.journal import open_journal
from engine.service.lifeline import leave_with
from engine.service.memory import MemoryLadder, limit_memory
from engine.service.model_cache import ModelCache, describe_device
from engine.service.runner import Runner

_log = logging.getLogger(__name__)

IDLE_POLL_MS = 200
BEAT_EVERY_S = 1.0
REST_S = 5.0  # without work, after which memory goes back to the system


class Worker:
    """Hosts sessions for one gateway.

    Args:
        settings: what the gateway told, see `engine.service.worker_link`.
        models: shared by all sessions.
    """

    def __init__(self, settings: dict[str, Any], models: ModelCache) -> None:
        self._folder = Path(settings["folder"])
        self._models = models
        self._sessions: dict[str, HostedSession] = {}
        self._ladder = MemoryLadder(models, self._sessions)
        self._runner = Runner(self._tell, self._ladder.make_room)
        self._socket = connect(settings)
        self._beaten = 0.0
        self._worked: float | None = None  # when there was work last; None: memory went back since then
        self._blamed = ""
        self._word = (self._folder / "worker.now").open("wb", buffering=0)

    def run(self) -> None:
        """Work until told to stop."""
        ready = {"say": "ready", "pid": os.getpid(), "devices": [describe_device(self._models.device)]}
        self._tell(ready, [])
        while True:
            runnable = [hosted for hosted in self._sessions.values() if hosted.runnable]
            self._read(0 if runnable else IDLE_POLL_MS)
            for hosted in runnable:
                self._read(0)
                if hosted.runnable:
                    self._turn(hosted)
            now = time.monotonic()
            self._ladder.put_away(now)
            self._rest(bool(runnable), now)
            self._beat()

    def _rest(self, works: bool, now: float) -> None:
        """Give memory back once there has been nothing to do for a while."""
        if works:
            self._worked = now
        elif self._worked is not None and now - self._worked > REST_S:
            self._worked = None
            release_memory()

    def _turn(self, hosted: HostedSession) -> None:
        request = hosted.job.message.id if hosted.job is not None else hosted.waiting[0].id
        self._take_blame(request)
        self._runner.turn(hosted)

    def _take_blame(self, request: str) -> None:
        """Leave word which request is being worked on, for the case that it kills this process."""
        if request != self._blamed:
            self._blamed = request
            with contextlib.suppress(OSError):  # a full disk
                self._word.seek(0)
                self._word.write(request.encode("ascii"))

    def _read(self, wait_ms: int) -> None:
        if not self._socket.poll(wait_ms):
            return
        while self._socket.poll(0):
            head, *frames = self._socket.recv_multipart()
            self._obey(json.loads(head), frames)

    def _obey(self, envelope: dict[str, Any], frames: list[bytes]) -> None:
        do, sid = envelope["do"], envelope.get("sid", "")
        if do == "stop":
            self._stop()
        hosted = self._sessions.get(sid)
        if do == "request":
            message = decode(frames)
            assert isinstance(message, Request)
            self._host(sid).add(message)
        elif hosted is None:
            return
        elif do == "cancel":
            self._runner.cancel(hosted, envelope["id"])
        elif do == "previews":
            hosted.want_previews(envelope["wanted"])
        elif do == "suspend":
            hosted.suspend()
            if not hosted.disk.lacks:
                del self._sessions[sid]
        elif do == "forget":
            hosted.forget()
            del self._sessions[sid]

    def _host(self, sid: str) -> HostedSession:
        if sid not in self._sessions:
            folder = self._folder / "sessions" / sid
            self._sessions[sid] = HostedSession(sid, folder if _is_session(sid) else None, self._models)
        return self._sessions[sid]

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten < BEAT_EVERY_S:
            return
        self._beaten = now
        device = describe_device(self._models.device)
        free_mb = device["free_mb"] or None
        self._tell({"say": "beat", "step_ms": self._runner.step_ms, "free_mb": free_mb, "devices": [device]}, [])

    def _tell(self, envelope: dict[str, Any], frames: Sequence[bytes]) -> None:
        self._socket.send_multipart([json.dumps(envelope).encode(), *frames])

    def _stop(self) -> None:
        for hosted in self._sessions.values():
            hosted.disk.settle()
            hosted.checkpoint(time.monotonic(), force=True)
        _log.info("worker stops")
        self._socket.close(0)
        os._exit(0)  # leaving through the interpreter can hang in the GPU's driver


def connect(settings: dict[str, Any]) -> zmq.Socket[bytes]:
    """Open the way to the gateway."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = 0  # the default would keep this process, and the GPU's memory, for ever
    socket.rcvhwm = socket.sndhwm = 0
    if "curve" in settings:
        public, secret, server = (key.encode("ascii") for key in settings["curve"])
        socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = public, secret, server
    socket.connect(settings["endpoint"])
    return socket


def _is_session(sid: str) -> bool:
    return len(sid) == 32


def main() -> None:
    """Run a worker for the gateway whose settings are on standard input."""
    settings = json.loads(sys.stdin.buffer.read())
    leave_with(settings["parent"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    try:
        open_journal(Path(settings["folder"]) / "worker.log")
        models = _prepare(settings)
    except KritaDragError as error:
        _refuse(settings, error)
    else:
        try:
            Worker(settings, models).run()
        except BaseException:
            _log.exception("worker failed")
    logging.shutdown()
    os._exit(1)


def _prepare(settings: dict[str, Any]) -> ModelCache:
    from engine.device import pick
    from engine.models import ModelStore

    device = pick(settings["device"])
    if settings.get("memory_mb"):
        limit_memory(settings["memory_mb"])
    return ModelCache(ModelStore(), device)


def _refuse(settings: dict[str, Any], error: KritaDragError) -> None:
    """Tell the gateway why nothing can be computed here."""
    _log.error("worker cannot work", extra={"code": error.code, "why": str(error)})
    socket = connect(settings)
    trouble = {"code": error.code, "message": error.message, "hint": error.hint}
    socket.send_multipart([json.dumps({"say": "unable", "pid": os.getpid(), "trouble": trouble}).encode()])
    socket.close(1000)
    zmq.Context.instance().term()


if __name__ == "__main__":
    main()
