"""Where krita-drag keeps its files on each system; the same place for the engine and for Krita."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HOME_VARIABLE = "KRITA_DRAG_HOME"
_NAME = "krita-drag"
_ENVIRONMENT = "engine-venv"


def data_dir() -> Path:
    """Return the folder of everything that krita-drag keeps for this user; it may not exist yet.

    $KRITA_DRAG_HOME, else the folder that install.py was given when it put this program there, else the usual one.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    installed = installed_home() or _home_of_environment()
    if installed is not None:
        return installed
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


def _home_of_environment() -> Path | None:
    """The folder around install.py's environment, if this file is in such a one; checkouts and Krita are not."""
    for folder in Path(__file__).resolve().parents:
        if folder.name == _ENVIRONMENT and (folder.parent / "install.json").is_file():
            return folder.parent
    return None


def engine_dir() -> Path:
    """Return the folder of the engine that runs for this user: its connection file, keys, log and sessions."""
    return data_dir() / "engine"


def client_key_path() -> Path:
    """Return the file with the key by which engines know this user."""
    return data_dir() / "keys" / "client.key"
