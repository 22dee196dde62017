"""The engine's process as Krita sees it: found, started, adopted, watched, stopped.

    STOPPED ──start()──> STARTING ──connection.json──> RUNNING
                          │  ^ ^                          │
                          │  │ └──ended: again after 0.25, 0.5, 1, 2, 4 s
                          │  └──start() (Retry)
                          └──5 times in a row──> FAILED     NOT_INSTALLED: nothing to start     close(): STOPPED

One thread does all of it, so that nothing here makes Krita's window wait. An engine that runs already, started by
another Krita or in a terminal, is used and never ended; when it goes, one of our own takes its place. Our own is told
our process id and leaves by itself when we are gone, even if we are killed.
"""

from __future__ import annotations

import contextlib
import enum
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .engine_files import (
    clean_environment,
    engine_python,
    in_sandbox,
    is_held,
    last_lines,
    read_connection_file,
    sandbox_hint,
)
from .wire.errors import KritaDragError, NotInstalled, NotRunning

DELAYS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
MOST_FAILURES = 5
STABLE_S = 10.0  # an engine that ran for so long is a good one: its end is the first failure again
START_TIMEOUT_S = 90.0  # a cold disk and a busy machine included
STOP_TIMEOUT_S = 5.0
_LARGEST_LOG = 1_000_000


class Phase(enum.Enum):
    """Where the engine stands."""

    NOT_INSTALLED = "not installed"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


# How often to look. Without an engine, too: the message goes by itself when somebody installs or starts one.
_POLL_S = {Phase.NOT_INSTALLED: 1.0, Phase.STARTING: 0.1, Phase.RUNNING: 0.25, Phase.FAILED: 1.0}


@dataclass(frozen=True)
class EngineStatus:
    """What can be told about the engine.

    Attributes:
        phase: where it stands.
        connection: when RUNNING, the content of its connection.json; another one means another engine.
        adopted: when RUNNING, whether somebody else started it.
        error: when NOT_INSTALLED or FAILED, the sentence for the user.
        log_tail: when FAILED, what it said last.
    """

    phase: Phase
    connection: dict[str, Any] | None = None
    adopted: bool = False
    error: KritaDragError | None = None
    log_tail: tuple[str, ...] = ()


class EngineProcess:
    """Keeps one engine running for as long as it is wanted.

    Args:
        home: krita-drag's data folder; the engine's own is `home / "engine"`.
        on_change: called with each new status, on the thread of this object: hand it over by a queued signal.
        owner_pid: the process with which the engine is to leave; default: this one.
        delays_s: pauses before the first, second, ... new try.
    """

    def __init__(
        self,
        home: Path,
        on_change: Callable[[EngineStatus], None],
        owner_pid: int | None = None,
        delays_s: Sequence[float] = DELAYS_S,
    ) -> None:
        self.home, self.folder = home, home / "engine"
        self.log = self.folder / "process.log"
        self.status = EngineStatus(Phase.STOPPED)
        self._on_change = on_change
        self._owner_pid = owner_pid or os.getpid()
        self._delays_s = tuple(delays_s)
        self._lock = threading.Condition()
        self._asked = 0  # counts the calls below, so that none is missed while the thread works
        self._closing = False
        self._thread: threading.Thread | None = None
        # what follows belongs to the thread
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._ready: float | None = None
        self._log_start = 0
        self._failures = 0  # in a row
        self._retry_at = 0.0

    def start(self) -> None:
        """Want the engine to run; after a failure: try again now. Returns at once."""
        self._ask()

    def close(self, wait_s: float = 0.5) -> None:
        """End our own engine, and wait a little; what is not done by then goes on without us."""
        self._ask(closing=True)
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(wait_s)

    def _ask(self, closing: bool = False) -> None:
        with self._lock:
            self._asked += 1
            self._closing = closing or self._closing
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="krita-drag-engine", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    def _run(self) -> None:
        answered = 0
        while True:
            with self._lock:
                if self._asked != answered:
                    self._failures, self._retry_at = 0, 0.0
                answered, closing = self._asked, self._closing
            if closing:
                self._end_child()
                self._tell(EngineStatus(Phase.STOPPED))
                return
            self._tell(self._look_after())
            with self._lock:
                if self._asked == answered:
                    self._lock.wait(_POLL_S[self.status.phase])

    def _tell(self, status: EngineStatus) -> None:
        news = (replace(status, error=None), str(status.error))
        if news != (replace(self.status, error=None), str(self.status.error)):
            self.status = status
            self._on_change(status)

    def _look_after(self) -> EngineStatus:
        """Do what is due now, and return how things stand."""
        if self._child is not None:
            if self._child.poll() is None:
                return self._watch_child()
            self._child = None
            if not is_held(self.folder):  # else another Krita was faster
                self._count_failure()
        if is_held(self.folder):
            connection = read_connection_file(self.folder)
            return EngineStatus(Phase.RUNNING if connection else Phase.STARTING, connection, adopted=True)
        if self._failures >= MOST_FAILURES:
            return self._failed()
        if time.monotonic() < self._retry_at:
            return EngineStatus(Phase.STARTING)
        try:
            self._launch(engine_python(self.home))
        except NotInstalled as error:
            return EngineStatus(Phase.NOT_INSTALLED, error=error)
        except KritaDragError as error:
            return EngineStatus(Phase.FAILED, error=error)
        except OSError as error:
            hint = "Allow it, or repair the installation with `python3 install.py --repair`, then press Retry."
            failure = NotRunning(f"The engine cannot be started ({error}).", hint)
            return EngineStatus(Phase.FAILED, error=failure)
        return EngineStatus(Phase.STARTING)

    def _watch_child(self) -> EngineStatus:
        connection = read_connection_file(self.folder)
        if connection and self._ready is None:
            self._ready = time.monotonic()
        if connection is None and time.monotonic() - self._started > START_TIMEOUT_S:
            self._end_child()
            self._count_failure()
        return EngineStatus(Phase.RUNNING if connection else Phase.STARTING, connection)

    def _launch(self, python: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "connection.json").unlink()  # of an engine that was killed
        too_long = self.log.exists() and self.log.stat().st_size > _LARGEST_LOG
        command = [str(python), "-X", "utf8", "-I", "-m", "engine", "serve", "--owner", str(self._owner_pid)]
        # Not a pipe: the engine may outlive us, and would die of writing into a closed one.
        with self.log.open("wb" if too_long else "ab") as log:
            self._log_start = log.seek(0, os.SEEK_END)
            self._child = subprocess.Popen(
                command,
                cwd=str(self.home),
                env=clean_environment(os.environ, self.home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal that Krita was started from is not meant for it
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self._started, self._ready = time.monotonic(), None

    def _count_failure(self) -> None:
        now = time.monotonic()
        ran_well = self._ready is not None and now - self._ready > STABLE_S
        self._failures = 1 if ran_well else self._failures + 1
        self._retry_at = now + self._delays_s[min(self._failures, len(self._delays_s)) - 1]

    def _failed(self) -> EngineStatus:
        tail = last_lines(self.log, self._log_start)
        said = f'; it said last: "{tail[-1]}"' if tail else ""
        message = f"The engine stopped {self._failures} times in a row{said}."
        hint = f"Run `krita-drag doctor` to see what is wrong, or read {self.log}; then press Retry."
        if in_sandbox():
            with contextlib.suppress(KritaDragError):
                hint = sandbox_hint(engine_python(self.home))
        return EngineStatus(Phase.FAILED, error=NotRunning(message, hint), log_tail=tuple(tail))

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
