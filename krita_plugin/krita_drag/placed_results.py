"""The results of one edit that are in the document: which is the latest, and when it is to be seen."""

from __future__ import annotations

from typing import Any

from .edit_state import Patch


class _Placed:
    """One result.

    Args:
        node: its layer.
        patch: the state that it shows; None: of an earlier time.

    Attributes:
        reopened_as: the state that it led to when its edit was reopened.
    """

    def __init__(self, node: Any, patch: Patch | None) -> None:
        self.node, self.patch = node, patch
        self.reopened_as: Patch | None = None
        self._shown = True

    def show(self, on: bool) -> None:
        """Show or hide it, unless the artist has chosen since."""
        if on != self._shown:
            self._shown = on
            self.node.setVisible(on)


class PlacedResults:
    """Only the latest result is to be seen, and only while the canvas shows no other state.

    Else one would lie over the other, twice as strong at its soft edges.
    """

    def __init__(self) -> None:
        self._stack: list[_Placed] = []

    @property
    def patch(self) -> Patch | None:
        """The state that the latest result shows, None if it is not known."""
        return self._stack[-1].patch if self._stack else None

    @property
    def node(self) -> Any | None:
        """Layer of the latest result, None without one."""
        return self._stack[-1].node if self._stack else None

    @property
    def is_latest_gone(self) -> bool:
        """Whether the latest result is not in the document any more: Krita's undo took it out."""
        return bool(self._stack) and self._stack[-1].node.parentNode() is None

    def add(self, node: Any, patch: Patch) -> None:
        """A result was put into the document; those before it are hidden."""
        if self._stack:
            self._stack[-1].show(False)
        self._stack.append(_Placed(node, patch))

    def begin_again(self, node: Any | None = None) -> None:
        """Leave the results of before to the artist.

        Args:
            node: result whose edit is being reopened; None: the edit has none in the document.
        """
        self._stack = [] if node is None else [_Placed(node, None)]

    def reopened(self, patch: Patch | None) -> None:
        """The edit of the latest result has been reopened, and shows this."""
        if self._stack and self._stack[-1].patch is None and self._stack[-1].reopened_as is None:
            self._stack[-1].reopened_as = patch

    def lack(self, patch: Patch | None) -> bool:
        """Whether a state could not be had from the document again."""
        kept = (self._stack[-1].patch, self._stack[-1].reopened_as) if self._stack else ()
        return patch is not None and not any(patch is one for one in kept)

    def follow(self, shown: Patch | None, on_canvas: bool) -> None:
        """Show or hide the latest result; when Krita has undone it, the one before it is the latest again.

        Args:
            shown: the state that the edit is in; None: the picture as it was.
            on_canvas: whether the canvas shows the edit.
        """
        while self.is_latest_gone:
            self._stack.pop()
        if self._stack:
            other = shown is None or shown is not self._stack[-1].patch
            self._stack[-1].show(not (on_canvas and other))
