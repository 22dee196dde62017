"""What the installer and a running engine leave on the disk for Krita to read; standard library only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .file_lock import try_lock
from .wire.errors import NotInstalled, NotRunning

_INSTALL_HINT = "Run `python3 install.py` in the folder of krita-drag; Krita notices when that is done."
# Krita exports PYTHONPATH, its AppImage LD_LIBRARY_PATH: with Krita's libraries another Python does not live long.
_DROPPED_PREFIXES = ("PYTHON", "DYLD_")
_DROPPED = ("LD_LIBRARY_PATH", "LD_PRELOAD", "__PYVENV_LAUNCHER__", "QT_PLUGIN_PATH")
_TAIL_BYTES = 8192
SANDBOX_MARK = Path("/.flatpak-info")  # Flatpak puts it into every sandbox


def engine_python(home: Path) -> Path:
    """Return the Python that the installer put the engine into.

    Args:
        home: krita-drag's data folder.

    Raises:
        NotInstalled: there is none, or the installation is not complete.
        NotRunning: it is there, but this Krita is in a sandbox from which it cannot be started.
    """
    installed = _read_object(home / "install.json")
    if installed is None:
        raise NotInstalled("The engine is not installed on this computer.", _INSTALL_HINT)
    in_environment = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    python = Path(str(installed.get("python") or home / "engine-venv" / in_environment))
    complete = "engine" in installed.get("done", ())
    if complete and not python.exists() and in_sandbox():
        raise NotRunning("This Krita is in a sandbox and cannot start the engine.", sandbox_hint(python))
    if not complete or not python.exists():
        raise NotInstalled("The installation of the engine is not complete.", _INSTALL_HINT)
    return python


def in_sandbox() -> bool:
    """Tell whether this Krita came as a Flatpak or Snap, which see another system than the user's."""
    return SANDBOX_MARK.exists() or os.environ.get("SNAP_NAME") == "krita"


def sandbox_hint(python: Path) -> str:
    """Return what helps in a sandbox.

    Args:
        python: that the engine was installed with.
    """
    program = python.parent / "krita-drag"
    return f"Run `{program} serve` in a terminal and leave it open: Krita finds that engine by itself."


def clean_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment for the engine: this one without what Krita added for its own Python."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    return {**kept, "KRITA_DRAG_HOME": str(home)}


def read_connection_file(folder: Path) -> dict[str, Any] | None:
    """Return what an engine wrote about how to reach it, or None where that is missing or of no use."""
    found = _read_object(folder / "connection.json")
    if found is None or not all(isinstance(found.get(name), str) for name in ("endpoint", "server_key")):
        return None
    return found


def is_held(folder: Path) -> bool:
    """Tell whether an engine runs on this folder.

    Its lock says so even where process ids do not: after a restart of the computer, or from inside a sandbox.
    """
    try:
        with (folder / "lock").open("rb+") as file:
            return not try_lock(file.fileno())
    except OSError:
        return False


def last_lines(path: Path, since: int = 0, count: int = 5) -> list[str]:
    """Return the last lines with text of a log, from this offset on."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(since, end - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-count:]


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
