"""The one-time code that lets a new client in: short-lived, few tries, used once."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

from krita_drag.wire.errors import PairingFailed

WINDOW_S = 120.0
TRIES = 5
CODE_LENGTH = 10
_SIGNS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # without those that look like others: 31^10, about 2^49

Clock = Callable[[], float]


def new_code() -> str:
    """Return a fresh code."""
    return "".join(secrets.choice(_SIGNS) for _ in range(CODE_LENGTH))


class PairingWindow:
    """The time in which unknown keys may knock.

    Args:
        clock: seconds that never jump.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._code = ""
        self._until = 0.0
        self._tries_left = 0

    @property
    def is_open(self) -> bool:
        """Whether a code is good now."""
        return bool(self._code) and self._clock() < self._until

    def open(self, code: str, window_s: float = WINDOW_S) -> None:
        """Begin, with this code; an earlier one is good no more."""
        self._code, self._until, self._tries_left = code, self._clock() + window_s, TRIES

    def close(self) -> None:
        """Let nobody in any more."""
        self._code = ""

    def use(self, code: str) -> None:
        """Spend the code.

        Raises:
            PairingFailed: no window is open, or the code is wrong.
        """
        if not self.is_open:
            raise PairingFailed("No pairing code is good at present.", "Run `krita-drag pair` beside the engine again.")
        self._tries_left -= 1
        right = hmac.compare_digest(code.encode("utf-8"), self._code.encode("utf-8"))
        if right or not self._tries_left:
            self.close()
        if not right:
            raise PairingFailed("The pairing code is wrong.", "Copy the address that `krita-drag pair` shows.")
