"""Makes `import zmq` work in whatever Python this Krita embeds: its own pyzmq, or the one that came with the plugin."""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path

from .wire.errors import NotInstalled

VENDOR = Path(__file__).parent / "vendor"


def provide_zmq(vendor: Path = VENDOR) -> None:
    """See that pyzmq with CURVE can be imported; takes tens of milliseconds the first time.

    Args:
        vendor: folder with one unpacked wheel for each kind of Python.

    Raises:
        NotInstalled: there is none for this Python.
    """
    if _works():
        return
    for folder in (vendor / name for name in wheel_names()):
        if folder.is_dir():
            sys.path.insert(0, str(folder))
            if _works():
                return
            sys.path.remove(str(folder))
    number = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise NotInstalled(
        f"The Python {number} inside this Krita has no working pyzmq.",
        "Close Krita and run `python3 install.py` again: it fetches the right one.",
    )


def wheel_names() -> list[str]:
    """Return the folders whose wheel this Python can load, best first."""
    system = {"win32": "win_amd64", "darwin": "macosx"}.get(sys.platform, f"manylinux_{platform.machine()}")
    release = sys.version_info[:2]
    exact = f"cp{release[0]}{release[1]}-{system}"
    return [exact, *([f"cp312-abi3-{system}"] if release >= (3, 12) else [])]


def _works() -> bool:
    try:
        return bool(importlib.import_module("zmq").has("curve"))
    except Exception:  # a damaged or foreign binary fails in ways of its own; what it left half-loaded must go
        for name in [name for name in sys.modules if name == "zmq" or name.startswith("zmq.")]:
            del sys.modules[name]
        return False
