"""All sessions that the gateway knows, in memory and on the disk, and how many there may be."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from krita_drag.wire.errors import Busy, NoSession

from engine.paths import storage_errors
from engine.service.folder import ServiceFolder, discard_session
from engine.service.limits import (
    MAX_KEPT_SESSIONS_PER_KEY,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_KEY,
    MAX_WAITING_BYTES_PER_KEY,
)
from engine.service.records import ABANDONED_S, Ownership, Record, read_ownership

_log = logging.getLogger(__name__)


class Registry:
    """Finds, makes and forgets sessions.

    Args:
        folder: of the engine.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._records: dict[str, Record] = {}
        self._desks: dict[str, Record] = {}
        self._aged = time.monotonic()

    def __iter__(self) -> Iterator[Record]:
        """All records in memory, those without a session last."""
        yield from [*self._records.values(), *self._desks.values()]

    def get(self, sid: str) -> Record | None:
        """Return a record in memory; a session id, or the key of a client for what belongs to no session."""
        return self._records.get(sid) or self._desks.get(sid)

    def desk(self, key: str) -> Record:
        """Return the record of a key's requests that belong to no session."""
        return self._desks.setdefault(key, Record(key, key, None))

    def find(self, sid: str, key: str) -> Record:
        """Return a session.

        Raises:
            NoSession: there is none, or it belongs to another key; nobody learns which.
        """
        record = self._records.get(sid)
        if record is None:
            found = read_ownership(self._folder.session(sid))
            if found is not None and found.owner == key:
                record = self._records[sid] = Record(sid, key, self._folder.session(sid))
                if found.idle_s:
                    with contextlib.suppress(OSError):
                        Ownership(key).write(self._folder.session(sid))
        if record is None or record.owner != key:
            raise NoSession("The engine does not know this session.", "Prepare the picture again.")
        return record

    def open(self, sid: str, key: str) -> Record:
        """Return a session, made if it is not there.

        Raises:
            NoSession: it belongs to another key.
            Busy: the engine or this client has as many as there may be.
            NoDiskSpace, PermissionDenied: it cannot be kept on the disk.
        """
        folder = self._folder.session(sid)
        if sid in self._records or read_ownership(folder) is not None:
            return self.find(sid, key)
        active = [record for record in self._records.values() if not record.suspended]
        if len(active) >= MAX_SESSIONS or sum(record.owner == key for record in active) >= MAX_SESSIONS_PER_KEY:
            raise Busy("The engine has as many sessions as it can hold.", "Close one, or try again later.", retry_s=10)
        with storage_errors(folder):
            Ownership(key).write(folder)
        record = self._records[sid] = Record(sid, key, folder)
        self._limit_kept(key)
        return record

    def forget(self, sid: str) -> None:
        """Delete a session, in memory and on the disk."""
        self._records.pop(sid, None)
        discard_session(self._folder.session(sid))

    def check_waiting(self, key: str, nbytes: int) -> None:
        """Refuse a request whose frames would not leave memory for others.

        Raises:
            Busy: too much of this client's waits already.
        """
        waiting = sum(one.nbytes for record in self if record.owner == key for one in record.waiting.values())
        if waiting and waiting + nbytes > MAX_WAITING_BYTES_PER_KEY:
            raise Busy("Too many large requests wait already.", "Wait until some are done.", retry_s=2)

    def release(self, record: Record) -> None:
        """Drop a suspended session from memory where the disk has all of it."""
        if record.suspended and not record.waiting and all(one.frames is None for one in record.answers.values()):
            self._records.pop(record.sid, None)

    def drop_desk(self, record: Record) -> None:
        """Forget what a client that left had asked outside of sessions."""
        self._desks.pop(record.sid, None)

    def age(self, now: float) -> None:
        """Count the time that sessions are not used, and delete those that nobody has asked for in a day."""
        elapsed, self._aged = now - self._aged, now
        for folder in self._kept():
            found = read_ownership(folder)
            if found is None:
                continue
            record = self._records.get(folder.name)
            idle_s = 0.0 if record is not None and not record.suspended else found.idle_s + elapsed
            if idle_s > ABANDONED_S:
                _log.info("abandoned session deleted", extra={"sid": folder.name})
                self.forget(folder.name)
            elif idle_s != found.idle_s:
                with contextlib.suppress(OSError):
                    Ownership(found.owner, idle_s).write(folder)

    def _kept(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [path for path in self._folder.sessions.iterdir() if not path.name.startswith(".")]
        return []

    def _limit_kept(self, key: str) -> None:
        """Delete the longest idle of a client's sessions on the disk, when it leaves too many there."""
        kept = []
        for folder in self._kept():
            if folder.name in self._records:
                continue
            found = read_ownership(folder)
            if found is not None and found.owner == key:
                kept.append((found.idle_s, folder.name))
        for _, sid in sorted(kept, reverse=True)[: max(0, len(kept) - MAX_KEPT_SESSIONS_PER_KEY)]:
            self.forget(sid)
