"""What is finished, and changes of the data directory that may be cut short at any moment."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from installing.checkout import version
from installing.running import Stop


@dataclass
class State:
    """What is finished, as `install.json` keeps it."""

    path: Path
    torch: str = "auto"  # the --torch that the environment was made for
    running: str = ""  # the step at work; still set when a run begins: the last one was killed in it
    done: dict[str, str] = field(default_factory=dict)  # step -> what it was done with
    python: str = ""  # the environment's, for Krita to start the engine with

    @classmethod
    def load(cls, path: Path) -> State:
        """Read the file; when missing or damaged, nothing counts as done."""
        try:
            data = json.loads(path.read_text("utf-8"))
            return cls(path, str(data["torch"]), str(data["running"]), dict(data["done"]))
        except (OSError, ValueError, TypeError, KeyError):
            return cls(path)

    def save(self) -> None:
        """Replace the file in one go."""
        steps = {"running": self.running, "done": self.done}
        data = {"version": version(), "python": self.python, "torch": self.torch, **steps}
        partial = self.path.with_name(self.path.name + ".part")
        partial.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
        rename(partial, self.path)

    def forget_environment(self) -> None:
        """Count only what lies outside of the environment as done."""
        self.done = {name: key for name, key in self.done.items() if name in ("model", "demo")}


@contextlib.contextmanager
def only_run(home: Path) -> Iterator[tuple[int, ...]]:
    """Hold a lock that ends with this process, however it ends; Stop when another one has it.

    Yields:
        Descriptors that make a child share the lock, where the system can do that.
    """
    with (home / ".install-lock").open("ab") as lock:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise Stop(f"Another installation is at work in {home}.", "Wait for its end, then run again.") from error
        yield () if sys.platform == "win32" else (lock.fileno(),)


def discard(path: Path, home: Path) -> None:
    """Remove a file or folder; a folder is moved away first, so that no half of it can be taken for the whole."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        trash = Path(tempfile.mkdtemp(prefix=".install-trash-", dir=home))
        try:
            rename(path, trash / "content")
        finally:
            shutil.rmtree(trash, ignore_errors=True)


def rename(source: Path, target: Path) -> None:
    """Rename, with patience for the antivirus programs that hold on to new files on Windows."""
    for pause_s in (0.2, 1.0, 3.0, None):
        try:
            source.replace(target)
            return
        except PermissionError as error:
            if pause_s is None or sys.platform != "win32":
                raise Stop(f"{source} cannot be moved.", "Close Krita and the like, then run again.") from error
            time.sleep(pause_s)
