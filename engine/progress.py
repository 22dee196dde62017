"""Progress on the terminal, and Ctrl-C as a wish to stop rather than a crash."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tqdm import tqdm

_STANDARD_ERROR = 2
_STOPPING = "Stopping once the step under way is done. Ctrl-C again ends at once, and nothing more is written."


class Progress:
    """Bars on standard error, and none where nobody looks: with `--quiet` or when the output is not a terminal."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._disable = True if quiet else None  # None: tqdm shows itself on terminals only
        self._noted: set[str] = set()

    def say(self, text: str) -> None:
        """Print one line to standard error unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Say a remark on the result, unless that has been done."""
        if text not in self._noted:
            self._noted.add(text)
            self.say(f"note: {text}")

    @contextmanager
    def steps(self, title: str, total: int) -> Iterator[tqdm[Any]]:
        """Count steps up to `total`."""
        with tqdm(total=total, desc=title, unit="step", disable=self._disable, dynamic_ncols=True) as bar:
            yield bar

    @contextmanager
    def download(self) -> Iterator[Callable[[str, int, int], None]]:
        """Give a callback (stage, bytes done, bytes in total) that shows one bar per stage."""
        bars: dict[str, tqdm[Any]] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                for bar in bars.values():
                    bar.close()
                bars[stage] = tqdm(
                    total=total, desc=stage, unit="B", unit_scale=True, disable=self._disable, dynamic_ncols=True
                )
            bars[stage].update(done - bars[stage].n)

        try:
            yield on_progress
        finally:
            for bar in bars.values():
                bar.close()


def duration(seconds: float) -> str:
    """Say about how long something takes, no more exactly than it is known."""
    if seconds < 90:
        return f"about {max(1, round(seconds, -1 if seconds > 20 else 0)):.0f} s"
    return f"about {seconds / 60:.0f} min"


class StopRequest:
    """Whether the user has asked to stop; true after the first Ctrl-C inside :func:`stop_on_interrupt`."""

    def __init__(self) -> None:
        self.wanted = False


@contextmanager
def stop_on_interrupt(progress: Progress | None = None) -> Iterator[StopRequest]:
    """Let the first Ctrl-C ask for a stop after the current step; the second one interrupts as usual.

    Args:
        progress: where the first one is answered, as a step may take long; None for no answer.

    Yields:
        The request, to be looked at between steps.
    """
    request = StopRequest()

    def on_signal(number: int, frame: FrameType | None) -> None:
        request.wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if progress is not None and not progress.quiet:
            with contextlib.suppress(OSError):  # not by print, in the middle of which the signal may arrive
                os.write(_STANDARD_ERROR, f"\n{_STOPPING}\n".encode())

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)
