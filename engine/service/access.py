"""Who may come in: the engine's key pair, and the allow-list of its clients' public keys."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from krita_drag.keys import load_or_create, write_private

from engine.pairing import PairingWindow
from engine.service.files import read_json

_log = logging.getLogger(__name__)


class AllowList:
    """The keys folder of an engine.

    Args:
        folder: has engine.key and clients.json.
        local: public key of the user who runs the engine; always allowed.

    Attributes:
        window: when it is open, unknown keys may connect, to pair.

    Raises:
        UnsafeKeyFile, PermissionDenied, NoDiskSpace: the engine's key cannot be used.
    """

    def __init__(self, folder: Path, local: str) -> None:
        self.engine_keys = load_or_create(folder / "engine.key")
        self._path, self._local = folder / "clients.json", local
        self._names: dict[str, str] = {}
        self._read_at: int | None = None
        self.window = PairingWindow()
        self.refresh()

    def admits(self, key: str) -> bool:
        """Return whether a key may shake hands."""
        return self.is_known(key) or self.window.is_open

    def is_known(self, key: str) -> bool:
        """Return whether a key is on the list."""
        return key == self._local or key in self._names

    def is_local(self, key: str) -> bool:
        """Return whether a key is that of the user who runs the engine."""
        return key == self._local

    def pair(self, key: str, code: str, name: str) -> str:
        """Put a key on the list; returns what it is called there.

        Raises:
            PairingFailed: the code is wrong or too old.
            PermissionDenied, NoDiskSpace: the list cannot be written.
        """
        if key in self._names:
            return self._names[key]  # asked again: the answer had got lost
        self.window.use(code)
        self.refresh()
        names = {**self._names, key: name}
        write_private(self._path, json.dumps(names, indent=1, ensure_ascii=False))
        self._names = names
        _log.info("client paired", extra={"client": name})
        return name

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
