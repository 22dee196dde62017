"""Who asked for a pairing code, and what becomes of that request."""

from __future__ import annotations

from krita_drag.wire.errors import PairingFailed
from krita_drag.wire.messages import Accepted, Cancelled, Done, Error, Invite, Message

from engine.pairing import PairingWindow

Answer = tuple[bytes, Message]  # route and what to say there


class Invitation:
    """The request of `krita-drag pair`, at most one at a time.

    Args:
        window: that it opens.
    """

    def __init__(self, window: PairingWindow) -> None:
        self._window = window
        self._request = ""
        self._route = b""
        self._asked: Invite | None = None
        self._answered: Message | None = None

    def is_by(self, request: str) -> bool:
        """Whether this request is the one that waits."""
        return bool(self._request) and request == self._request

    def begin(self, message: Invite, route: bytes) -> Message:
        """Open the window; the same request again only says where to answer, or has been answered already."""
        if message == self._asked and self._answered is not None:
            return self._answered
        if message != self._asked:
            self._window.open(message.code, message.window_s)
            self._answered = None
        self._request, self._route, self._asked = message.id, route, message
        return Accepted(re=message.id)

    def accepted_by(self, name: str) -> Answer | None:
        """Somebody has paired."""
        return self._answer(Done(re=self._request, notes=(f"“{name}” was paired.",))) if self._request else None

    def cancel(self) -> Answer | None:
        """The asker does not want it any more."""
        self._window.close()
        return self._answer(Cancelled(re=self._request)) if self._request else None

    def end(self, why: str) -> Answer | None:
        """End what waits, if anything does."""
        failure = PairingFailed(why, "Run `krita-drag pair` again.")
        return self._answer(Error.of(failure, re=self._request)) if self._request else None

    def overdue(self) -> Answer | None:
        """End what waits for a window that has closed."""
        return None if self._window.is_open else self.end("Nobody has paired with that code in time.")

    def _answer(self, message: Message) -> Answer:
        self._request, self._answered = "", message
        return self._route, message
