"""Presses and pulls on the canvas of one edit: they change the pairs, and in live mode the picture follows them."""

from __future__ import annotations

from typing import Callable

from .edit_state import Stage
from .guard import guarded
from .pairs import PairEditor
from .session import EditSession
from .wire.errors import BadPoints
from .wire.vocabulary import MAX_POINTS


class Gestures:
    """One gesture after the other.

    Args:
        editor: whose pairs they change.
        session: which follows them.
        is_live: whether the picture is to follow.
        follow: lets the session begin to.
        ended: called after each, with whether it changed the pairs, and whether that waits to be dragged.
    """

    def __init__(
        self,
        editor: PairEditor,
        session: EditSession,
        is_live: Callable[[], bool],
        follow: Callable[[], None],
        ended: Callable[[bool, bool], None],
    ) -> None:
        self._editor, self._session = editor, session
        self._is_live, self._follow, self._ended = is_live, follow, ended
        self._is_followed = False  # the gesture that is held now

    @guarded
    def pressed(self) -> None:
        """A gesture began; nothing follows yet, as it may only select."""
        self._is_followed = False
        if self._editor.held is None:
            self._session.report(BadPoints(f"There are {MAX_POINTS} points, and no more can be.", "Delete one first."))

    @guarded
    def moved(self) -> None:
        """The held end is elsewhere: the picture follows it, unless it still follows another gesture."""
        if self._is_followed:
            self._session.live_move(self._editor.pairs)
        elif self._is_live() and self._session.stage is Stage.READY:
            self._follow()
            self._is_followed = self._session.stage is Stage.LIVE

    @guarded
    def released(self, changed: bool) -> None:
        """The gesture ended; whether it changed the pairs."""
        was_followed, self._is_followed = self._is_followed, False
        busy = self._session.stage in (Stage.LIVE, Stage.DRAGGING, Stage.STEPPING)
        if was_followed and self._session.stage is Stage.LIVE:
            if frozenset(pair.key for pair in self._editor.pairs) == self._session.dragged:
                self._session.live_release(self._editor.pairs)
            else:
                self._session.live_cancel()  # a click that pulled nothing has left no pair
        self._ended(changed, changed and busy and not was_followed and self._is_live())

    @guarded
    def cancel(self) -> bool:
        """Take a gesture back, with what the picture has followed of it; whether there was one."""
        was_followed, self._is_followed = self._is_followed, False
        was_held = self._editor.cancel()
        if was_held and was_followed:
            self._session.live_cancel()
        return was_held
