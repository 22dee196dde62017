"""The head of the docker: the engine with its remedy, model, source, and preparing."""

from __future__ import annotations

from ..docker_view import DockerView
from ..link_status import Remedy
from ..qt import QtWidgets, Signal
from ..translate import tr
from .parts import Quiet, column, keep_room, narrow, row, set_items, wrapping_label

DOING_LINES = 3.1  # of the longest text that says what goes on


class EnginePanel(QtWidgets.QWidget):
    """Says how the engine is and offers what helps."""

    remedy_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._light = QtWidgets.QLabel()
        side = round(0.7 * self.fontMetrics().height())
        self._light.setFixedSize(side, side)
        self._text = wrapping_label()
        self._button = QtWidgets.QPushButton()
        self._button.clicked.connect(self.remedy_wanted)
        keep_room(self._button)
        column(self).addLayout(row(self._light, self._text, self._button, stretch=1))
        self.setMinimumHeight(round(2.4 * self.fontMetrics().lineSpacing()))  # of two lines, or a button

    def show_view(self, view: DockerView) -> None:
        """Copy the view."""
        radius = self._light.width() // 2
        style = f"background: {view.engine_colour}; border-radius: {radius}px"
        if style != self._light.styleSheet():  # setting one is slow
            self._light.setStyleSheet(style)
        self._text.setText(view.engine_text)
        self._button.setText(tr(view.remedy.value) if view.remedy is not Remedy.NONE else "")
        self._button.setVisible(view.remedy is not Remedy.NONE)


class SourcePanel(QtWidgets.QWidget):
    """Chooses what is edited, and prepares it."""

    model_chosen = Signal(str)
    prepare_wanted = Signal()
    inverted_wanted = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._model = narrow(QtWidgets.QComboBox())
        self._model.setToolTip(tr("What the model knows is what it can move: “faces” knows faces."))
        self._model.activated.connect(lambda: self.model_chosen.emit(self._model.currentData()))
        self._source = wrapping_label()
        self._prepare = narrow(QtWidgets.QPushButton())
        self._prepare.clicked.connect(self.prepare_wanted)
        self._bar = QtWidgets.QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setMaximumHeight(round(0.6 * self.fontMetrics().height()))
        self._doing = wrapping_label()
        self._inverted = QtWidgets.QCheckBox(tr("Show the model's picture"))
        self._inverted.setToolTip(tr("Compare your photo with what the model can draw of it."))
        self._inverted.toggled.connect(self.inverted_wanted)
        layout = column(self)
        form = QtWidgets.QGridLayout()
        form.setColumnStretch(1, 1)
        for line, (name, widget) in enumerate(((tr("Model"), self._model), (tr("Source"), self._source))):
            form.addWidget(QtWidgets.QLabel(name), line, 0)
            form.addWidget(widget, line, 1)
        layout.addLayout(form)
        self._either = QtWidgets.QStackedWidget()  # one is for the time while something goes on, one for afterwards
        self._either.addWidget(self._doing)
        self._either.addWidget(self._inverted)
        for widget in (self._prepare, keep_room(self._bar), keep_room(self._either, lines=DOING_LINES)):
            layout.addWidget(widget)

    def show_view(self, view: DockerView, models: list, model: str, inverted: bool) -> None:
        """Copy the view."""
        set_items(self._model, models, model)
        self._source.setText(view.source_text)
        self._prepare.setText(view.prepare_text)
        self._prepare.setEnabled(view.can_prepare)
        self._bar.setVisible(view.progress is not None)
        self._doing.setText(view.progress_text if view.progress is not None else "")
        if view.progress is not None:
            self._bar.setRange(0, 0 if view.progress < 0 else 1000)
            self._bar.setValue(round(1000 * max(0.0, view.progress)))
        with Quiet(self._inverted):
            self._inverted.setChecked(inverted)
        compares = view.progress is None and (view.can_toggle_inverted or inverted)
        self._either.setCurrentWidget(self._inverted if compares else self._doing)
