"""Where krita-drag keeps its files on each system; the same place for the engine and for Krita."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HOME_VARIABLE = "KRITA_DRAG_HOME"
_NAME = "krita-drag"


def data_dir() -> Path:
    """Return the folder of everything that krita-drag keeps for this user; it may not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    written = installed_home()
    if written is not None:
        return written
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / _NAME
    shared = Path(os.environ.get("XDG_DATA_HOME", ""))
    if shared.is_absolute():
        return shared / _NAME
    return Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / _NAME


def installed_home(plugin: Path = Path(__file__).parent) -> Path | None:
    """Return the folder that the installer wrote beside the plugin: from inside a sandbox it cannot be guessed."""
    try:
        home = json.loads((plugin / "installed.json").read_text("utf-8"))["home"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Path(home) if isinstance(home, str) and Path(home).is_absolute() else None


def engine_dir() -> Path:
    """Return the folder of the engine that runs for this user: its connection file, keys, log and sessions."""
    return data_dir() / "engine"


def client_key_path() -> Path:
    """Return the file with the key by which engines know this user."""
    return data_dir() / "keys" / "client.key"
