"""Programs run to their end, and what the person is told meanwhile, and when they fail."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

MACHINE = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
# What a failed command printed -> what that means, and the way out. The first match counts.
FAILURES = (
    (r"No space left|Errno 28\b|not enough space", "the disk is full", "Free some space, then run again."),
    (r"Long Path support", "a path is longer than Windows allows", r"Use a short folder: --home C:\kd"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the package index has a certificate that is not trusted here",
     "Behind a company's proxy, set PIP_CERT to the file of its certificate, then run again."),
    (r"ProxyError|NameResolution|NewConnectionError|Connect(ion)?Timeout|ReadTimeout|IncompleteRead|Failed to establish"
     r"|Connection(Reset|Refused|Aborted)|getaddrinfo failed|Network is unreachable", "the network does not answer",
     "Check the connection, or set HTTPS_PROXY to your proxy; then run again."),
    (r"No matching distribution found for torch\b", f"the package index has no such torch for {MACHINE}",
     "Use a Python that PyTorch supports (3.10 to 3.13 are safe), or choose another version with --torch SPEC."),
    (r"No matching distribution found", f"the package index lacks a package for {MACHINE}",
     "See which index pip is set to use (pip config list), or use another Python."),
    (r"Errno (13|30)\b|WinError (5|32)\b|Permission denied|Access is denied", "a file could not be written",
     "Close Krita and other programs that use the engine, then run again."),
)  # fmt: skip


class Stop(Exception):
    """Ends the run with a sentence and a way out; `rebuild`: what was being written cannot be trusted."""

    def __init__(self, message: str, hint: str, rebuild: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.rebuild = message, hint, rebuild


class Console:
    """Short lines for the person, everything for the log."""

    def __init__(self) -> None:
        self.log: BinaryIO | None = None
        self.lock: tuple[int, ...] = ()  # descriptors that pip holds, too: it may outlive a killed installer
        self._since = self._told = 0.0

    def open_log(self, path: Path) -> None:
        """Append to this file from now on; an old log that has grown long is dropped."""
        fresh = not path.exists() or path.stat().st_size > 2_000_000
        self.log = path.open("wb" if fresh else "ab", buffering=0)
        self.record(f"\n== {time.strftime('%Y-%m-%d %H:%M:%S')}  {MACHINE}  {shlex.join(sys.argv)}")

    def record(self, text: str) -> None:
        """Write to the log only."""
        if self.log:
            self.log.write(f"{text}\n".encode("utf-8", "replace"))

    def say(self, text: str) -> None:
        """Print a line, over the line of progress if there is one."""
        wipe = "\r".ljust(shutil.get_terminal_size().columns) + "\r"
        print((wipe if sys.stdout.isatty() else "") + text, flush=True)
        self.record(text)

    def begin(self, title: str) -> None:
        """Start a stage."""
        self._since = self._told = time.monotonic()
        self.say(f"{title} ...")

    def progress(self, hint: str) -> None:
        """Tell how long the stage has taken and what it is at; without a terminal only now and then."""
        now = time.monotonic()
        line = f"      {now - self._since:.0f} s  {hint}"[: shutil.get_terminal_size().columns - 1]
        if sys.stdout.isatty():
            print("\r" + line.ljust(shutil.get_terminal_size().columns - 1), end="", flush=True)
        elif now - self._told > 20:
            self._told = now
            print(line, flush=True)

    def end(self, outcome: str) -> None:
        """Finish the stage."""
        self.say(f"      {outcome} ({time.monotonic() - self._since:.0f} s)")

    def run(self, command: Sequence[str | Path], env: dict[str, str], attached: bool = False) -> tuple[int, str]:
        """Run a program to its end, into the log or attached to the terminal; return exit code and logged output."""
        argv = [str(word) for word in command]
        self.record("$ " + shlex.join(argv))
        assert self.log
        output, start = "", self.log.seek(0, os.SEEK_END)
        sink, lock = (None, ()) if attached else (self.log, self.lock)
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env, pass_fds=lock)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=0.5)
                ended = child.poll() is not None
                if not attached:
                    with Path(self.log.name).open("rb") as log:
                        log.seek(start)
                        output = log.read().decode("utf-8", "replace")
                    self.progress(hint_of(output))
                if ended:
                    return child.returncode, output
        except BaseException:
            end_child(child)
            raise


def hint_of(output: str) -> str:
    """Return the last line of pip's output in short; "Progress 12 of 34" are bytes."""
    line = ("\n" + output.rstrip()).splitlines()[-1].strip()
    if counted := re.fullmatch(r"Progress (\d+) of (\d+)", line):
        return f"{int(counted[1]) / 1e6:.0f} of {int(counted[2]) / 1e6:.0f} MB"
    if "Installing collected packages" in output:
        return "unpacking what was downloaded"
    return re.sub(r"(https?|file)://\S*/", "", line)


def end_child(child: subprocess.Popen[bytes]) -> None:
    """Give a child that heard Ctrl-C, too, time to finish; then end it."""
    for end in (lambda: None, child.terminate, child.kill):
        end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=5)
            return


def explain(output: str, what: str) -> Stop:
    """Turn the output of a failed command into a sentence."""
    began_to_write = "Installing collected packages" in output
    for pattern, meaning, hint in FAILURES:
        if re.search(pattern, output):
            return Stop(f"{what} failed: {meaning}.", hint, began_to_write)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return Stop(f"{what} failed: {errors[-1]}", "The log has the details. Mend that and run again.", began_to_write)
