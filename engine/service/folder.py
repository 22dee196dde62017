"""The engine's folder: one engine at a time, and where clients find how to reach it.

lock               held by the running engine
connection.json    how to reach it; there while it runs
keys/              its key, and who may come in
sessions/SID/      one session each: owner, picture, checkpoint, answers
engine.log         what the gateway did; worker.log what the worker did
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import IO

from krita_drag.wire.errors import AlreadyRunning, PermissionDenied

from engine import __version__
from engine.locks import try_hold
from engine.paths import data_dir, storage_errors
from engine.service.files import write_json

CONNECTION = "connection.json"
_TRIES, _TRY_EVERY_S = 10, 0.03


def default_folder() -> Path:
    """Return the folder of the user's own engine; it may not exist yet."""
    return data_dir() / "engine"


class ServiceFolder:
    """The folder of this process's engine, held until `release`.

    Args:
        root: the folder; made if missing.

    Raises:
        AlreadyRunning: another engine holds it.
        PermissionDenied, NoDiskSpace: it cannot be used.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.sessions = self.root / "sessions"
        self.keys = self.root / "keys"
        with storage_errors(self.root):
            for folder in (self.root, self.sessions, self.keys):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_private(self.root)
            lock = _hold(self.root / "lock")
        if lock is None:
            raise AlreadyRunning(
                f"Another engine already uses the folder {self.root}.",
                "Use that one (`krita-drag serve --status` asks it), or give this one another folder with --folder.",
            )
        self._lock: IO[str] = lock
        self._clear_remains()

    def session(self, sid: str) -> Path:
        """Return the folder of one session; it may not exist."""
        return self.sessions / sid

    def announce(self, endpoint: str, server_key: str, protocol: int) -> None:
        """Write how clients reach this engine.

        Raises:
            PermissionDenied, NoDiskSpace: it cannot be written.
        """
        with storage_errors(self.root):
            write_json(
                self.root / CONNECTION,
                {
                    "endpoint": _from_here(endpoint),
                    "bound": endpoint,
                    "server_key": server_key,
                    "pid": os.getpid(),
                    "engine_version": __version__,
                    "protocol": protocol,
                    "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                },
            )

    def withdraw(self) -> None:
        """Tell no more clients of this engine."""
        with contextlib.suppress(OSError):
            (self.root / CONNECTION).unlink()

    def release(self) -> None:
        """Let another engine use the folder."""
        self._lock.close()

    def _clear_remains(self) -> None:
        """Remove what an engine that was killed left behind."""
        self.withdraw()
        for pattern in ("*.sock", "*.part", "sessions/*/*.part", "sessions/*/answers/*.part"):
            for path in self.root.glob(pattern):
                with contextlib.suppress(OSError):
                    path.unlink()
        for doomed in self.sessions.glob(".*"):
            shutil.rmtree(doomed, ignore_errors=True)


def discard_session(folder: Path) -> None:
    """Delete a session's folder; renamed first, so that it is gone at once and never half there."""
    if not folder.exists():
        return
    doomed = folder.with_name(f".{folder.name}.{os.getpid()}.{time.monotonic_ns()}")
    with contextlib.suppress(OSError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _from_here(endpoint: str) -> str:
    """Where clients of this machine connect to, when the engine listens on all of its addresses."""
    return endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _hold(path: Path) -> IO[str] | None:
    """Take a lock that others may hold for a moment, to see whether it is held."""
    for _ in range(_TRIES):
        lock = try_hold(path)
        if lock is not None:
            return lock
        time.sleep(_TRY_EVERY_S)
    return None


def _make_private(folder: Path) -> None:
    if os.name != "posix":
        return
    status = folder.stat()
    if status.st_uid != os.getuid():
        raise PermissionDenied(f"{folder} belongs to another user.", "Give another folder with --folder.")
    if status.st_mode & 0o077:
        folder.chmod(0o700)
