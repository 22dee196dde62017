"""krita-drag's data folder: where it is, what may be removed of it, and how it is known."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from installing.running import Stop

OWN_FILES = ("engine-venv", "install.json", "install.json.part", "install.log", "demo.png", "demo-report.png", "wheels")
ENGINE_FILES = ("downloads", "logs")
KEPT_FILES = ("models", "models.lock", "pins.json", "pins.json.part", "engine", "keys")  # unless told to purge
# What nobody but krita-drag makes, with a text that is in it: by one of these a folder is known as krita-drag's.
MARKS = {
    ".install-lock": "",  # of any run of this file
    "install.json": '"torch"',
    "engine-venv/pyvenv.cfg": "",
    "models.lock": "",  # these three are of an engine that came without this file, or outlived an uninstallation
    "keys/client.key": '"secret"',
    "engine/keys/engine.key": '"secret"',
}


def data_dir() -> Path:
    """Return krita-drag's data directory: the rule of krita_drag/places.py for a program that is not installed yet."""
    if home := os.environ.get("KRITA_DRAG_HOME"):
        return Path(home).expanduser().absolute()
    return usual_dir()


def usual_dir() -> Path:
    """Return the data directory of a user who has not chosen another one."""
    xdg = Path(os.environ.get("XDG_DATA_HOME", ""))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "krita-drag"
    if xdg.is_absolute():
        return xdg / "krita-drag"
    return Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / "krita-drag"


def removable(home: Path, purge: bool) -> list[Path]:
    """Return what to remove of a folder; Stop when there is some but the folder is not krita-drag's.

    Args:
        home: the folder.
        purge: whether models, edits and keys go, too.
    """
    names = [*OWN_FILES, *ENGINE_FILES, *(KEPT_FILES if purge else [])]
    found = [home / name for name in names if os.path.lexists(home / name)] + sorted(home.glob(".install-*-*"))
    if found and not is_ours(home):
        way_out = "Give krita-drag's own folder with --home DIR; if it is this one, delete it by hand."
        raise Stop(f"Nothing was removed: {home} shows no sign of krita-drag, only files of the same names.", way_out)
    return found


def is_ours(home: Path) -> bool:
    """Tell whether a folder is krita-drag's: the usual one always, another one by what is in it."""
    return home == usual_dir() or any(holds(home / name, text) for name, text in MARKS.items())


def holds(path: Path, text: str) -> bool:
    """Tell whether there is such a file with this text in it."""
    try:
        return path.is_file() and (not text or text in path.read_text("utf-8", "replace"))
    except OSError:
        return False
