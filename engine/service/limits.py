"""How much one client may ask of the engine: what it does beyond costs others nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from krita_drag.wire.errors import BadImage

from engine.machine import memory_bytes

MAX_SESSIONS = 64
MAX_SESSIONS_PER_KEY = 16
MAX_KEPT_SESSIONS_PER_KEY = 64  # suspended ones, on the disk
MAX_QUEUED = 8  # behind the one that runs, of one session
MAX_WAITING_BYTES_PER_KEY = 512 << 20
MALFORMED_IN_A_ROW = 20
IGNORED_S = 60.0
MESSAGES_PER_S, BURST = 400.0, 2000.0

SESSION_SHARE = 8  # of the memory that this process may use, an eighth is for one session
SESSION_BYTES = 2 << 30  # and never more than this
BYTES_PER_PIXEL = 40  # that a session holds of its picture at the worst moment: tensors, masks, the answer

Clock = Callable[[], float]


def require_budget(pixels: int) -> None:
    """Refuse a picture that would take more memory than one session may have.

    Raises:
        BadImage: it has too many pixels.
    """
    memory = memory_bytes()
    budget = SESSION_BYTES if memory is None else min(SESSION_BYTES, memory // SESSION_SHARE)
    if pixels * BYTES_PER_PIXEL > budget:
        raise BadImage(
            f"The picture has {pixels / 1e6:.0f} million pixels, of which a session here may have "
            f"{budget / BYTES_PER_PIXEL / 1e6:.0f}.",
            "Select a part of it.",
        )


class Conduct:
    """How one key has behaved.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._malformed = 0
        self._ignored_until = 0.0
        self._tokens, self._filled = BURST, clock()

    def ignored(self) -> bool:
        """Return whether nothing of this key is read for now."""
        return self._clock() < self._ignored_until

    def malformed(self) -> None:
        """Count a message that is not what the specification allows."""
        self._malformed += 1
        if self._malformed > MALFORMED_IN_A_ROW:
            self._malformed, self._ignored_until = 0, self._clock() + IGNORED_S

    def sound(self) -> None:
        """Count a message that is."""
        self._malformed = 0

    def spend(self) -> bool:
        """Count a message; returns whether the key is within its rate."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * MESSAGES_PER_S)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
