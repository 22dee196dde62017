"""The results of one edit that are in the document: which is the latest, and when it is to be seen."""

from __future__ import annotations

from typing import Any, Callable


class _Placed:
    """One result.

    Args:
        node: its layer.
        token: of the state that it shows; None: of an earlier time.

    Attributes:
        reopened_as: token of the state that it led to when its edit was reopened.
    """

    def __init__(self, node: Any, token: int | None) -> None:
        self.node, self.token = node, token
        self.reopened_as: int | None = None
        self.is_hidden = False  # by us

    def show(self, on: bool) -> None:
        """Show or hide it; one that the artist has hidden stays so."""
        if on and self.is_hidden:
            self.is_hidden = False
            self.node.setVisible(True)
        elif not on and self.node.visible():
            self.is_hidden = True
            self.node.setVisible(False)


class PlacedResults:
    """Only the latest result is to be seen, and only while the canvas shows no other state.

    Else one would lie over the other, twice as strong at its soft edges.

    Args:
        holds: whether a layer is in the document.
    """

    def __init__(self, holds: Callable[[Any], bool]) -> None:
        self._holds = holds
        self._stack: list[_Placed] = []
        self._undone: list[_Placed] = []  # that Krita's undo took out, the latest last

    @property
    def node(self) -> Any | None:
        """Layer of the latest result, None without one."""
        return self._stack[-1].node if self._stack else None

    @property
    def is_hidden(self) -> bool:
        """Whether the latest result is hidden because the canvas shows another state."""
        return bool(self._stack) and self._stack[-1].is_hidden

    def add(self, node: Any, token: int | None) -> None:
        """A result was put into the document; those before it are hidden."""
        if self._stack:
            self._stack[-1].show(False)
        self._stack.append(_Placed(node, token))
        self._undone = []

    def begin_again(self, node: Any | None = None) -> None:
        """Leave the results of before to the artist, to be seen.

        Args:
            node: result whose edit is being reopened; None: the edit has none in the document.
        """
        if self._stack:
            self._stack[-1].show(True)
        self.forget()
        self._stack = [] if node is None else [_Placed(node, None)]

    def forget(self) -> None:
        """The document was closed: touch nothing."""
        self._stack, self._undone = [], []

    def reopened(self, token: int | None) -> None:
        """The edit of the latest result has been reopened, and shows this."""
        if self._stack and self._stack[-1].token is None and self._stack[-1].reopened_as is None:
            self._stack[-1].reopened_as = token

    def shows(self, token: int | None) -> bool:
        """Whether the latest result is a state's."""
        return token is not None and bool(self._stack) and token == self._stack[-1].token

    def keeps(self, token: int | None) -> bool:
        """Whether a state can be had from the document again."""
        return self.shows(token) or (token is not None and bool(self._stack) and token == self._stack[-1].reopened_as)

    def has_changed(self) -> bool:
        """Whether Krita's undo or redo has taken the latest result out, or put one back."""
        gone = bool(self._stack) and not self._holds(self._stack[-1].node)
        return gone or (bool(self._undone) and self._holds(self._undone[-1].node))

    def follow(self, token: int | None, on_canvas: bool, source: Any | None) -> None:
        """Show or hide the latest result, after what Krita's undo and redo have made of it.

        Args:
            token: of the state that the edit is in; None: of none, a drag goes on.
            on_canvas: whether the canvas shows the edit.
            source: the layer that is edited; if that is gone, too, a result that is gone was merged into it.
        """
        while self._stack and not self._holds(self._stack[-1].node) and source is not None and self._holds(source):
            self._undone.append(self._stack.pop())
        while self._undone and self._holds(self._undone[-1].node):
            if self._stack:
                self._stack[-1].show(False)
            self._stack.append(self._undone.pop())
        if self._stack:
            self._stack[-1].show(not on_canvas or self.shows(token))
