"""Writing what must not get lost, and what happens where the disk does not take it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)

NOTE = "The disk of the engine cannot be written: what is done now would be lost if the engine ended."

Write = Callable[[], None]


class Disk:
    """The disk of one session: work goes on where it is full, and what it did not take is tried again.

    Args:
        folder: of the session; None when there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._owed: dict[str, Write] = {}

    @property
    def lacks(self) -> bool:
        """Whether memory has something that must be kept and is not on the disk."""
        return bool(self._owed)

    def attempt(self, what: str, write: Write, *, owed: bool = True) -> None:
        """Write.

        Args:
            what: name of the file; a newer one takes the place of an older one that could not be written.
            write: does it.
            owed: whether it is tried again, in the same order, before anything else is written.
        """
        self._owed.pop(what, None)
        try:
            self._pay()
            write()
        except OSError as error:
            if self._folder is not None and not self._folder.exists():
                return  # closed meanwhile
            if owed:
                self._owed[what] = write
            self._complain(what, error)

    def settle(self) -> None:
        """Try once more what the disk did not take."""
        try:
            self._pay()
        except OSError as error:
            self._complain("", error)

    def forget(self) -> None:
        """Write nothing any more."""
        self._owed.clear()

    def _pay(self) -> None:
        for what in list(self._owed):
            self._owed[what]()
            del self._owed[what]

    def _complain(self, what: str, error: OSError) -> None:
        sid = self._folder.name if self._folder is not None else ""
        _log.error("not kept", extra={"sid": sid, "what": what, "owed": list(self._owed), "errno": error.errno})
