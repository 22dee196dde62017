"""A lock between processes that the operating system takes back when its holder dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from krita_drag.file_lock import try_lock

RETRY_S = 0.2


def try_hold(path: Path) -> IO[str] | None:
    """Take the lock file `path` for as long as the returned file is open; None when another process holds it.

    Raises:
        OSError: the file cannot be created, or its file system knows no locks.
    """
    file = path.open("a")
    if try_lock(file.fileno()):
        return file
    file.close()
    return None


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; wait for another process that holds it.

    Args:
        path: the lock file; created, and left behind empty.
        on_wait: called once if the lock is not free.

    Raises:
        OSError: the file cannot be created, or its file system knows no locks.
    """
    with path.open("a") as file:  # closing the file frees the lock
        waited = False
        while not try_lock(file.fileno()):
            if on_wait is not None and not waited:
                on_wait()
            waited = True
            time.sleep(RETRY_S)
        yield
