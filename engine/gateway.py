"""The engine's front process: one network port, one loop, no torch, and nothing in it that waits.

It knows who may come in, who owns which session, what each client waits for, and keeps answers until they are
acknowledged. All computing is in the worker (`engine.worker`), a process of its own, because what brings that down
(a fault of the GPU's driver, the system's want of memory) must not take the answers with it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import zmq
from krita_drag.keys import load_or_create
from krita_drag.places import client_key_path
from krita_drag.wire.messages import VERSION, Device, SessionEntry, Status
from krita_drag.wire.vocabulary import SUSPEND_S

from engine import __version__
from engine.machine import resident_mb
from engine.service import front as front_module
from engine.service import worker_link
from engine.service.access import AllowList
from engine.service.desk import Desk
from engine.service.dispatch import Dispatcher
from engine.service.folder import ServiceFolder
from engine.service.front import Front
from engine.service.journal import open_journal
from engine.service.lifeline import Lifeline
from engine.service.records import Record
from engine.service.registry import Registry
from engine.service.worker_link import WorkerLink
from engine.service.zap import Doorkeeper

_log = logging.getLogger(__name__)

POLL_MS = 100
TICK_S = 0.25
AGE_EVERY_S = 600.0
_CLIENT_BATCH, _WORKER_BATCH = 64, 256  # messages read in a row, so that neither side starves the other


@dataclass(frozen=True)
class Settings:
    """How an engine is run.

    Attributes:
        folder: where it keeps everything; one engine at a time.
        bind: "HOST:PORT", or a host, to listen on.
        owner: process to leave with; None to stay.
        device: name of the device to compute on.
        suspend_s: silence of a client after which its sessions are suspended, seconds.
        memory_mb: what the worker may allocate beyond what it has when it starts; None for no limit.
    """

    folder: Path
    bind: str = "127.0.0.1"
    owner: int | None = None
    device: str = "auto"
    suspend_s: float = SUSPEND_S
    memory_mb: int | None = None


class Gateway:
    """One life of the engine.

    Args:
        settings: how it is run.

    Raises:
        AlreadyRunning, AddressInUse, PermissionDenied, NoDiskSpace, UnsafeKeyFile: it cannot start.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._stopping = False
        self._folder = ServiceFolder(settings.folder)
        open_journal(self._folder.root / "engine.log")
        self._allow_list = AllowList(self._folder.keys, load_or_create(client_key_path()).public)
        self._context = zmq.Context()
        self._link = WorkerLink(self._context, self._folder.root, self._worker_settings())
        rooms = {front_module.DOMAIN: self._allow_list.admits, worker_link.DOMAIN: self._link.admits}
        self._door = Doorkeeper(self._context, rooms)
        self._front = Front(self._context, self._allow_list.engine_keys, settings.bind)
        self._registry = Registry(self._folder)
        self._dispatcher = Dispatcher(self._front, self._link, self._registry)
        self._desk = Desk(
            uuid.uuid4().hex,
            settings.suspend_s,
            self._allow_list,
            self._registry,
            self._dispatcher,
            self._status,
            self.stop,
        )
        self._owner = Lifeline(settings.owner) if settings.owner is not None else None
        self._ticked, self._aged = 0.0, time.monotonic()

    @property
    def endpoint(self) -> str:
        """Where clients connect to."""
        return self._front.endpoint

    def stop(self) -> None:
        """End the loop after what it is doing."""
        self._stopping = True

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, a signal, or the end of the owner.

        Args:
            on_ready: called when clients can connect.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        poller = zmq.Poller()
        for socket in (self._door.socket, self._front.socket, self._link.socket):
            poller.register(socket, zmq.POLLIN)
        self._folder.announce(self.endpoint, self._allow_list.engine_keys.public, VERSION)
        _log.info("engine started", extra={"endpoint": self.endpoint, "version": __version__})
        on_ready()
        try:
            while not self._stopping:
                poller.poll(POLL_MS)
                try:
                    self._turn()
                except Exception:  # one fault of ours must not cost everybody the engine
                    _log.exception("gateway stumbled")
        finally:
            self._shut_down()

    def _turn(self) -> None:
        self._door.answer()
        for _ in range(_CLIENT_BATCH):
            incoming = self._front.receive()
            if incoming is None:
                break
            self._desk.read(incoming)
        for _ in range(_WORKER_BATCH):
            message = self._link.receive()
            if message is None:
                break
            self._dispatcher.from_worker(*message)
        now = time.monotonic()
        if now - self._ticked >= TICK_S:
            self._ticked = now
            self._tick(now)

    def _tick(self, now: float) -> None:
        if self._owner is not None and not self._owner.alive():
            _log.info("owner gone", extra={"owner": self._settings.owner})
            self._stopping = True
        if self._link.tick():
            self._dispatcher.worker_died()
        self._allow_list.refresh()
        self._desk.tick()
        for record in list(self._registry):
            if not self._allow_list.is_known(record.owner):  # revoked: what it asked for tells it nothing any more
                record.route = None
                self._leave_alone(record)
            self._dispatcher.flush(record)
            if now - record.seen > self._settings.suspend_s:
                self._leave_alone(record)
        if now - self._aged > AGE_EVERY_S:
            self._aged = now
            self._registry.age(now)

    def _leave_alone(self, record: Record) -> None:
        """Deal with a client that has been silent for long."""
        if record.folder is None:
            self._registry.drop_desk(record)
        elif not record.suspended:
            self._dispatcher.suspend(record)
        else:
            self._registry.release(record)

    def _shut_down(self) -> None:
        _log.info("engine stops")
        self._folder.withdraw()
        self._link.stop()
        self._front.close()
        self._door.close()
        self._context.term()  # waits for what was sent last, as long as the front's linger
        _log.info("engine stopped")
        self._folder.release()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _worker_settings(self) -> dict[str, str | int | None]:
        return {"device": self._settings.device, "memory_mb": self._settings.memory_mb}

    def _status(self, key: str) -> Status:
        now = time.monotonic()
        sessions = [record for record in self._registry if record.owner == key and record.folder is not None]
        pids = [os.getpid(), self._link.pid]
        return Status(
            engine_version=__version__,
            pid=os.getpid(),
            uptime_s=now - self._began,
            clients=len({record.route for record in self._registry if record.route is not None}),
            queue=self._dispatcher.queue(),
            memory_mb=round(sum(resident_mb(pid) for pid in pids if pid is not None)),
            devices=tuple(Device(**device) for device in self._dispatcher.devices),
            sessions=tuple(
                SessionEntry(sid=record.sid, state=_state(record), idle_s=now - record.seen) for record in sessions[:64]
            ),
        )


def _state(record: Record) -> str:
    if record.suspended:
        return "suspended"
    return "running" if record.waiting else "idle"


def serve(settings: Settings, on_ready: Callable[[Gateway], None] = lambda gateway: None) -> None:
    """Run an engine in this process until it is told to leave.

    Raises:
        AlreadyRunning, AddressInUse, PermissionDenied, NoDiskSpace, UnsafeKeyFile: it cannot start.
    """
    gateway = Gateway(settings)
    gateway.run(lambda: on_ready(gateway))
