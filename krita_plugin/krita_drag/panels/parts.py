"""Small widgets that several panels use. Sizes are in heights of the font, so that they fit any screen and scale."""

from __future__ import annotations

from ..qt import Qt, QtCore, QtWidgets


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
