"""How long to wait for an engine that is silent, and when to say that we are still here."""

from __future__ import annotations

import random

from .wire.vocabulary import DEAD_S, HANDSHAKE_S, PING_S

GROWTH, LONGEST_S, JITTER = 1.5, 8.0, 0.2
FREE_BYTES = 1 << 20
SLOW_LINK = 1e6  # bytes a second: on a slower one a large picture alone looks like silence


class Liveness:
    """The clock of one connection, and of the attempts to get the next.

    Times are seconds of one monotonic clock, given by the caller.
    """

    def __init__(self) -> None:
        self._attempts = 0
        self._greeted = False
        self._heard = self._patience = self._pinged = 0.0

    def opened(self, now: float) -> None:
        """A new connection begins; the time for its greeting starts to run."""
        patience = min(LONGEST_S, DEAD_S * GROWTH**self._attempts)
        # the first time nobody else is known to come at the same moment
        self._patience = patience * random.uniform(1 - JITTER, 1 + JITTER) if self._attempts else HANDSHAKE_S
        self._attempts += 1
        self._greeted = False
        self._heard = now

    def heard(self, now: float) -> None:
        """Something came from the engine, or our own clock stood still."""
        self._heard = now

    def greeted(self, now: float) -> None:
        """The engine welcomed us."""
        self._greeted, self._attempts = True, 1
        self._heard = now
        self._pinged = now - PING_S

    def is_overdue(self, now: float, moving_bytes: int) -> bool:
        """Whether the engine has been silent too long.

        Args:
            now: the time.
            moving_bytes: size of what may be on its way, behind which a sign of life has to wait.
        """
        if not self._greeted:
            return now - self._heard > self._patience
        return now - self._heard > DEAD_S + max(0, moving_bytes - FREE_BYTES) / SLOW_LINK

    def take_ping(self, now: float) -> bool:
        """Whether a ping is due; if so, it counts as sent."""
        due = self._greeted and now - self._pinged >= PING_S
        if due:
            self._pinged = now
        return due
