"""Notice that another process is gone, even when its number has been given to a new one."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.25

if sys.platform == "win32":
    import ctypes

    _SYNCHRONIZE, _STILL_RUNNING = 0x00100000, 0x102

    class Lifeline:
        """Watches one process.

        Args:
            pid: its number.
        """

        def __init__(self, pid: int) -> None:
            self._handle = ctypes.windll.kernel32.OpenProcess(_SYNCHRONIZE, False, pid)

        def alive(self) -> bool:
            """Return whether that process still runs."""
            if not self._handle:
                return False
            waited: int = ctypes.windll.kernel32.WaitForSingleObject(self._handle, 0)
            return waited == _STILL_RUNNING

else:

    class Lifeline:
        """Watches one process.

        Args:
            pid: its number.
        """

        def __init__(self, pid: int) -> None:
            self._pid = pid
            self._is_parent = os.getppid() == pid
            self._descriptor: int | None = None
            if not self._is_parent and hasattr(os, "pidfd_open"):
                try:
                    self._descriptor = os.pidfd_open(pid)
                except OSError:
                    self._descriptor = None

        def alive(self) -> bool:
            """Return whether that process still runs; one that ended but was not waited for does not."""
            if self._is_parent:
                return os.getppid() == self._pid
            if self._descriptor is not None:
                return not select.select([self._descriptor], [], [], 0)[0]
            try:
                os.kill(self._pid, 0)
            except ProcessLookupError:
                return False
            except PermissionError:
                return True
            return True


def leave_with(pid: int, on_gone: Callable[[], None] = lambda: os._exit(0)) -> None:
    """End this process when another one is gone, whatever this one is doing then.

    A thread looks, because a single step on a slow device takes seconds; and it does not return through the
    interpreter, because closing sockets or a GPU can hang.

    Args:
        pid: the process to leave with.
        on_gone: called, on the thread, when it is gone.
    """
    line = Lifeline(pid)

    def watch() -> None:
        while line.alive():
            time.sleep(_LOOK_EVERY_S)
        on_gone()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
