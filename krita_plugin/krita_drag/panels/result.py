"""The foot of the docker: history, the two great buttons, and the message."""

from __future__ import annotations

from ..docker_view import TROUBLE, DockerView, Message
from ..qt import Qt, QtGui, QtWidgets, Signal
from ..translate import tr
from .parts import Quiet, column, narrow, row, wrapping_label


class StatesPanel(QtWidgets.QWidget):
    """Goes through the states of the edit."""

    state_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._back, self._on = self._arrow("↶", -1, tr("Undo a drag")), self._arrow("↷", 1, tr("Redo a drag"))
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._slider.setPageStep(1)
        self._slider.setToolTip(tr("Every finished drag; far left is your picture."))
        self._slider.setTracking(False)
        self._slider.valueChanged.connect(self.state_chosen)
        column(self).addLayout(row(self._back, self._slider, self._on, stretch=1))

    def _arrow(self, text: str, step: int, tip: str) -> QtWidgets.QToolButton:
        button = QtWidgets.QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda: self.state_chosen.emit(self._slider.value() + step))
        return button

    def show_view(self, view: DockerView) -> None:
        """Copy the view."""
        with Quiet(self._slider):
            self._slider.setRange(0, view.states)
            self._slider.setValue(view.state)
        self._slider.setEnabled(view.can_step and view.states > 0)
        self._back.setEnabled(view.can_step and view.state > 0)
        self._on.setEnabled(view.can_step and view.state < view.states)


class ActionPanel(QtWidgets.QWidget):
    """The two buttons that an edit comes to, always in sight."""

    drag_wanted = Signal()
    stop_wanted = Signal()
    apply_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._stops = False
        self._drag = narrow(QtWidgets.QPushButton())
        self._drag.setMinimumHeight(round(2.2 * self.fontMetrics().height()))
        font = self._drag.font()
        font.setBold(True)
        self._drag.setFont(font)
        self._drag.clicked.connect(lambda: (self.stop_wanted if self._stops else self.drag_wanted).emit())
        self._apply = narrow(QtWidgets.QPushButton(tr("Apply as new layer")))
        self._apply.clicked.connect(self.apply_wanted)
        layout = column(self)
        layout.addWidget(self._drag)
        layout.addWidget(self._apply)

    def show_view(self, view: DockerView) -> None:
        """Copy the view."""
        self._stops = view.drag_stops
        self._drag.setText(view.drag_text)
        self._drag.setEnabled(view.can_drag)
        self._apply.setEnabled(view.can_apply)


class MessagePanel(QtWidgets.QFrame):
    """A sentence, what to do about it, and buttons to copy it and to take it away."""

    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("krita_drag_message")
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self._message: Message | None = None
        self._text, self._hint = wrapping_label(), wrapping_label()
        font = self._text.font()
        font.setBold(True)
        self._text.setFont(font)
        self._copy = QtWidgets.QPushButton(tr("Copy"))
        self._copy.setToolTip(tr("Copies the message for a report."))
        self._copy.clicked.connect(self._copy_message)
        self._close = QtWidgets.QPushButton(tr("Close"))
        self._close.clicked.connect(self.dismissed)
        layout = column(self)
        pad = round(0.4 * self.fontMetrics().height())
        layout.setContentsMargins(pad, pad, pad, pad)
        layout.addWidget(self._text)
        layout.addWidget(self._hint)
        buttons = row(self._copy, self._close, stretch=-1)
        buttons.addStretch(1)
        layout.addLayout(buttons)

    def show_view(self, view: DockerView) -> None:
        """Copy the view."""
        self._message = view.message
        if view.message is None:
            return
        problem = view.message.is_problem
        self._text.setText(view.message.text)
        font = self._text.font()
        font.setBold(problem)
        self._text.setFont(font)
        self._hint.setText(view.message.hint)
        self._hint.setVisible(bool(view.message.hint))
        self._copy.setVisible(problem)
        self._close.setVisible(view.message.can_close)
        edge = TROUBLE if problem else self.palette().color(QtGui.QPalette.ColorRole.Mid).name()
        width = max(2, self.fontMetrics().height() // 5)
        style = f"#{self.objectName()} {{ border: none; border-left: {width}px solid {edge}; }}"
        if style != self.styleSheet():  # setting one is slow
            self.setStyleSheet(style)
        layout = self.layout()
        if layout is not None:
            layout.invalidate()  # another text and another font: the old heights do not hold

    def _copy_message(self) -> None:
        if self._message is not None:
            code = f" [{self._message.code}]" if self._message.code else ""
            text = f"{self._message.text}{code}\n{self._message.hint}".strip()
            QtWidgets.QApplication.clipboard().setText(text)
