"""Who may come in: the engine's key pair, and the allow-list of its clients' public keys."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import zmq
from krita_drag.wire.errors import PairingFailed, UnsafeKeyFile

from engine.paths import storage_errors
from engine.service.files import read_json, write_json

_log = logging.getLogger(__name__)

Keys = tuple[str, str]  # public and secret, Z85 text


def load_or_make_keys(path: Path) -> Keys:
    """Read a key pair, made on first use.

    Raises:
        UnsafeKeyFile: others can read it, or it holds something else.
        PermissionDenied, NoDiskSpace: it cannot be read or written.
    """
    with storage_errors(path):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
            write_json(path, {"public": public, "secret": secret})
            return public, secret
        status = path.stat()
    if os.name == "posix" and (status.st_mode & 0o077 or status.st_uid != os.getuid()):
        mode = stat.S_IMODE(status.st_mode)
        raise UnsafeKeyFile(f"Others can read the key file {path} (mode {mode:03o}).", f"Run: chmod 600 {path}")
    found = read_json(path) or {}
    keys = found.get("public"), found.get("secret")
    if not all(isinstance(key, str) and len(key) == 40 for key in keys):
        raise UnsafeKeyFile(f"{path} does not hold a key.", "Delete it: a new one is made.")
    return str(keys[0]), str(keys[1])


class AllowList:
    """The keys folder of an engine.

    Args:
        folder: has engine.key and clients.json.
        local: public key of the user who runs the engine; always allowed.

    Raises:
        UnsafeKeyFile, PermissionDenied, NoDiskSpace: as `load_or_make_keys`.
    """

    def __init__(self, folder: Path, local: str) -> None:
        self.engine_keys = load_or_make_keys(folder / "engine.key")
        self._path, self._local = folder / "clients.json", local
        self._names: dict[str, str] = {}
        self._read_at: int | None = None
        self.refresh()

    def admits(self, key: str) -> bool:
        """Return whether a key may shake hands."""
        return self.is_known(key)

    def is_known(self, key: str) -> bool:
        """Return whether a key is on the list."""
        return key == self._local or key in self._names

    def is_local(self, key: str) -> bool:
        """Return whether a key is that of the user who runs the engine."""
        return key == self._local

    def pair(self, key: str, code: str, name: str) -> str:
        """Put a key on the list.

        Raises:
            PairingFailed: nobody has opened the door.
        """
        raise PairingFailed("Nobody is waiting for a client to pair.", "Run `krita-drag pair` beside the engine.")

    def refresh(self) -> None:
        """Read the list again when another process has changed it."""
        try:
            changed = self._path.stat().st_mtime_ns
        except OSError:
            changed = None
        if changed != self._read_at:
            self._read_at = changed
            found = read_json(self._path) or {}
            self._names = {key: str(name) for key, name in found.items() if isinstance(key, str)}
            _log.info("allow-list read", extra={"clients": len(self._names)})
