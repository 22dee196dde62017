"""Reads a layer band by band between the window's other work, so that a large canvas does not freeze it."""

from __future__ import annotations

import zlib
from typing import Callable, Iterator, Sequence

from .guard import LOGGER
from .qt import QtCore
from .wire.errors import KritaDragError, NoLayer


class BandReader(QtCore.QObject):
    """One read at a time.

    Attributes:
        fraction: how much has been read, None while nothing is.
    """

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self.fraction: float | None = None
        self._bands: Iterator[bytes] = iter(())
        self._parts: list[bytes] = []
        self._sums: list[int] = []
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    def start(
        self,
        bands: Iterator[bytes],
        size_bytes: int,
        done: Callable[[bytes, Sequence[int]], None],
        failed: Callable[[KritaDragError], None],
    ) -> None:
        """Read all bands, then call `done` with them in one piece and with the checksum of each.

        A read that goes on is forgotten.
        """
        self.stop()
        self._bands, self._size = bands, max(1, size_bytes)
        self._on_done, self._on_failure = done, failed
        self.fraction = 0.0
        self._timer.start()

    def stop(self) -> None:
        """Forget the read that goes on."""
        self._timer.stop()
        self._bands, self._parts, self._sums, self.fraction = iter(()), [], [], None

    def _step(self) -> None:
        try:
            band = next(self._bands, None)
            if band is not None:
                self._parts.append(band)
                self._sums.append(zlib.crc32(band))
                self.fraction = sum(map(len, self._parts)) / self._size
                return
            pixels, sums = b"".join(self._parts), self._sums
            self.stop()
            self._on_done(pixels, sums)
        except KritaDragError as failure:
            self.stop()
            self._on_failure(failure)
        except Exception:
            LOGGER.exception("reading a layer failed")
            self.stop()
            self._on_failure(NoLayer("The layer could not be read.", "Try again, or merge it into a new paint layer."))
