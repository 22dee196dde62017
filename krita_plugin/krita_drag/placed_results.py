"""The results of one edit that are in the document: which is the latest, and when it is to be seen."""

from __future__ import annotations

from typing import Any, Callable


class _Placed:
    """One result.

    Args:
        node: its layer.
        token: of the state that it shows; None: of an earlier time.
        source: the layer that was edited; None if it is gone.

    Attributes:
        reopened_as: token of the state that it led to when its edit was reopened.
    """

    def __init__(self, node: Any, token: int | None, source: Any | None) -> None:
        self.node, self.token, self.source = node, token, source
        self.key: str = node.uniqueId().toString()
        self.reopened_as: int | None = None
        self.is_hidden = False  # by us
        self._offset = self._from_source()

    @property
    def is_in_place(self) -> bool:
        """Whether it lies over its source as it did."""
        return self._offset == self._from_source()

    def _from_source(self) -> tuple[int, int]:
        if self.source is None:
            return 0, 0
        own, other = self.node.position(), self.source.position()
        return own.x() - other.x(), own.y() - other.y()

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

    def add(self, node: Any, token: int | None, source: Any | None) -> None:
        """A result of a source was put into the document; those before it are hidden."""
        if self._stack:
            self._stack[-1].show(False)
        self._stack.append(_Placed(node, token, source))
        self._undone = []

    def begin_again(self) -> None:
        """Leave the results of before to the artist; the latest is to be seen."""
        if self._stack:
            self._stack[-1].show(True)
        self.forget()

    def reopen(self, node: Any | None, source: Any | None) -> None:
        """The edit of a result is going on: no other one is to be seen.

        Args:
            node: the result; None: it is gone.
            source: the layer that was edited; None if it is gone.
        """
        if node is None:
            self.begin_again()
            return
        before = self._stack
        self.forget()
        again = _Placed(node, None, source)
        for one in before:
            if one.key == again.key:
                again.is_hidden = one.is_hidden
            else:
                one.show(False)
        self._stack = [again]

    def forget(self) -> None:
        """The document was closed: touch nothing."""
        self._stack, self._undone = [], []

    def reopened(self, token: int | None) -> None:
        """The edit of the latest result has been reopened, and shows this."""
        if self._stack and self._stack[-1].token is None and self._stack[-1].reopened_as is None:
            self._stack[-1].reopened_as = token

    def shows(self, token: int | None) -> bool:
        """Whether the latest result is a state's, and lies where that belongs."""
        latest = self._stack[-1] if self._stack else None
        return latest is not None and token is not None and token == latest.token and latest.is_in_place

    def keeps(self, token: int | None) -> bool:
        """Whether a state can be had from the document again."""
        return token is not None and any(token in (one.token, one.reopened_as) for one in self._stack)

    def has_changed(self) -> bool:
        """Whether Krita's undo or redo has taken the latest result out, or put one back."""
        gone = bool(self._stack) and self._is_undone(self._stack[-1])
        return gone or (bool(self._undone) and self._holds(self._undone[-1].node))

    def follow(self, token: int | None, on_canvas: bool) -> None:
        """Show or hide the latest result, after what Krita's undo and redo have made of it.

        Args:
            token: of the state that the edit is in; None: of none, a drag goes on.
            on_canvas: whether the canvas shows the edit.
        """
        while self._stack and self._is_undone(self._stack[-1]):
            self._undone.append(self._stack.pop())
        while self._undone and self._holds(self._undone[-1].node):
            if self._stack:
                self._stack[-1].show(False)
            self._stack.append(self._undone.pop())
        if self._stack:
            self._stack[-1].show(not on_canvas or self.shows(token))

    def _is_undone(self, one: _Placed) -> bool:
        """Whether Krita's undo took a result out; where its source is gone, too, they were merged."""
        return not self._holds(one.node) and (one.source is None or self._holds(one.source))
