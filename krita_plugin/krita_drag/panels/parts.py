"""Small widgets that several panels use. Sizes are in heights of the font, so that they fit any screen and scale."""

from __future__ import annotations

from typing import Callable

from ..guard import guarded
from ..qt import Qt, QtCore, QtGui, QtWidgets, Signal


def wrapping_label(text: str = "") -> QtWidgets.QLabel:
    """Return a label that breaks lines instead of widening the docker, and whose text can be selected."""
    label = QtWidgets.QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
    policy = label.sizePolicy()
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def keep_room(widget: QtWidgets.QWidget, lines: float = 0.0) -> QtWidgets.QWidget:
    """Let a widget keep its place while it is hidden, so that what is below it stays where it is.

    Args:
        widget: which comes and goes.
        lines: height to keep, in lines of its font; 0 for its own.
    """
    policy = widget.sizePolicy()
    policy.setRetainSizeWhenHidden(True)
    widget.setSizePolicy(policy)
    if lines:
        widget.setFixedHeight(round(lines * widget.fontMetrics().lineSpacing()))
    return widget


def narrow(widget: QtWidgets.QWidget) -> QtWidgets.QWidget:
    """Let a widget become as narrow as the docker, however long its text is."""
    widget.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, widget.sizePolicy().verticalPolicy())
    return widget


def column(parent: QtWidgets.QWidget, spacing_em: float = 0.35) -> QtWidgets.QVBoxLayout:
    """Give a widget a column without margins."""
    layout = QtWidgets.QVBoxLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(round(spacing_em * parent.fontMetrics().height()))
    return layout


def row(*widgets: QtWidgets.QWidget, stretch: int = 0) -> QtWidgets.QHBoxLayout:
    """Put widgets beside each other; the one with index `stretch` takes the room that is left."""
    layout = QtWidgets.QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for index, widget in enumerate(widgets):
        layout.addWidget(widget, 1 if index == stretch else 0)
    return layout


def scrolling(body: QtWidgets.QWidget, area: QtWidgets.QScrollArea | None = None) -> QtWidgets.QScrollArea:
    """Put a widget into an area that scrolls it up and down, a new one if none is given."""
    area = area or QtWidgets.QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(body)
    return area


class Foot(QtWidgets.QScrollArea):
    """As high as what is in it, if there is room for that; else that scrolls.

    Args:
        body: what is in it.
        least_px: height that it has in any case while it is shown.
    """

    def __init__(self, body: QtWidgets.QWidget, least_px: int) -> None:
        super().__init__()
        self._least_px = least_px
        scrolling(body, self)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Maximum)

    def follow(self, shown: bool) -> None:
        """Show or hide it, and take the height of what is in it now."""
        self.setVisible(shown)
        self.updateGeometry()

    def sizeHint(self) -> QtCore.QSize:  # noqa: N802 Qt's name
        """Return the height of what is in it, at the present width."""
        body, width = self.widget(), max(1, self.viewport().width())
        height = body.heightForWidth(width) if body is not None else 0
        return QtCore.QSize(width, max(self._least_px, height))

    def minimumSizeHint(self) -> QtCore.QSize:  # noqa: N802 Qt's name
        """Return the least height."""
        return QtCore.QSize(0, self._least_px)

    @guarded
    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:  # noqa: N802 Qt's name
        """Another width needs another height."""
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self.updateGeometry()


class KeyCatcher(QtWidgets.QWidget):
    """Takes Del and Esc that nothing inside of it wants, before Krita makes commands of them: Del clears the layer.

    Args:
        wanted: whether they are to be taken now.

    Signals:
        pressed: one of them; a value of `Qt.Key`.
    """

    pressed = Signal(int)

    def __init__(self, wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._wanted = wanted

    def event(self, event: QtCore.QEvent) -> bool:
        """Qt asks with ShortcutOverride who wants a key, and then sends it."""
        return bool(self._take(event)) or super().event(event)

    @guarded
    def _take(self, event: QtCore.QEvent) -> bool:
        kinds = QtCore.QEvent.Type
        if event.type() not in (kinds.ShortcutOverride, kinds.KeyPress) or not self._wanted():
            return False
        assert isinstance(event, QtGui.QKeyEvent)
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        if not plain or event.key() not in (Qt.Key.Key_Delete, Qt.Key.Key_Escape):
            return False
        event.accept()
        if event.type() == kinds.KeyPress:
            self.pressed.emit(event.key())
        return True


class Quiet:
    """A context in which a widget can be set without telling anybody."""

    def __init__(self, *widgets: QtCore.QObject) -> None:
        self._widgets = widgets

    def __enter__(self) -> None:
        self._before = [widget.blockSignals(True) for widget in self._widgets]

    def __exit__(self, *reason: object) -> None:
        for widget, before in zip(self._widgets, self._before):
            widget.blockSignals(before)


def set_items(box: QtWidgets.QComboBox, items: list, current: str) -> None:
    """Fill a box with (value, text) pairs and choose a value; silent."""
    with Quiet(box):
        if [(box.itemData(index), box.itemText(index)) for index in range(box.count())] != items:
            box.clear()
            for value, text in items:
                box.addItem(text, value)
        box.setCurrentIndex(max(0, box.findData(current)))
