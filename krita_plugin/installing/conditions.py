"""What has to be true of a computer before anything is made on it."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import sys
import tempfile
from pathlib import Path

from installing.running import Stop


def check_python(bits: int = struct.calcsize("P") * 8) -> None:
    """Stop unless this Python can carry the engine."""
    if bits < 64:
        raise Stop("This Python is a 32-bit one, which PyTorch does not support.", "Use a 64-bit Python.")
    if "WindowsApps" in sys.base_prefix:
        reason = "The Python of the Microsoft Store hides what it installs from other programs such as Krita."
        raise Stop(reason, "Install Python from its own web site and run this file with that.")
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        reason = "This Python cannot make virtual environments: its module venv or ensurepip is missing."
        raise Stop(reason, "On Debian and Ubuntu: sudo apt-get install python3-venv")


def prepare_home(home: Path) -> None:
    """Make the data directory and see that it can be written to."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        is_file = isinstance(error, (FileExistsError, NotADirectoryError))
        reason = "a file is in its place or above it" if is_file else error.strerror
        raise Stop(f"{home} cannot be used as a folder: {reason}.", "Choose another one with --home DIR.") from error


def check_space(home: Path, needed_gb: float) -> None:
    """Stop when the disk that `home` is or will be on has too little room."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if free_gb < needed_gb:
        message = f"The disk of {there} has {free_gb:.1f} GB free; the installation needs {needed_gb:g} GB."
        raise Stop(message, "Free some space, or choose a folder on another disk with --home DIR.")
