"""The folded part of the docker: what most edits never need."""

from __future__ import annotations

from ..docker_view import DockerView
from ..qt import Qt, QtWidgets, Signal
from ..settings import Settings
from ..translate import tr
from ..wire.vocabulary import PRESETS, SOLVERS
from .parts import Quiet, column, narrow, row, set_items, wrapping_label


class AdvancedPanel(QtWidgets.QWidget):
    """Settings that are emitted as (key, value), and rarer commands."""

    chosen = Signal(str, object)
    weight_chosen = Signal(int, float)
    reopen_wanted = Signal()
    draw_wanted = Signal(int)
    connect_wanted = Signal(str)
    diagnostics_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._fold = QtWidgets.QToolButton()
        self._fold.setText(tr("Advanced"))
        self._fold.setCheckable(True)
        self._fold.setAutoRaise(True)
        self._fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._fold.toggled.connect(lambda on: self.chosen.emit("advanced_open", on))
        self._body = QtWidgets.QWidget()
        layout = column(self)
        layout.addWidget(self._fold)
        layout.addWidget(self._body)
        self._fill(column(self._body))

    def _fill(self, layout: QtWidgets.QVBoxLayout) -> None:
        self._preset = self._choice("preset")
        self._solver = self._choice("solver")
        self._steps = QtWidgets.QSpinBox()
        self._steps.setRange(1, 5000)
        self._steps.valueChanged.connect(lambda count: self.chosen.emit("max_steps", count))
        self._key = 0
        self._weight = QtWidgets.QDoubleSpinBox()
        self._weight.setRange(0.1, 10.0)
        self._weight.setSingleStep(0.5)
        self._weight.setToolTip(tr("How much the selected point counts against the others."))
        self._weight.valueChanged.connect(lambda weight: self.weight_chosen.emit(self._key, weight))
        form = QtWidgets.QGridLayout()
        form.setColumnStretch(1, 1)
        names = (
            (tr("Care"), self._preset),
            (tr("Solver"), self._solver),
            (tr("Steps"), self._steps),
            (tr("Weight"), self._weight),
        )
        for line, (name, widget) in enumerate(names):
            form.addWidget(QtWidgets.QLabel(name), line, 0)
            form.addWidget(narrow(widget), line, 1)
        layout.addLayout(form)
        self._animation = self._switch("animation", tr("Apply as animation"))
        self._animation.setToolTip(tr("The way there becomes frames on the timeline."))
        self._mask = self._switch("separate_mask", tr("Edge as a mask of its own"))
        self._mask.setToolTip(tr("The soft edge becomes a transparency mask to paint on."))
        self._reopen = narrow(QtWidgets.QPushButton(tr("Reopen the edit of this layer")))
        self._reopen.clicked.connect(self.reopen_wanted)
        self._seed = QtWidgets.QSpinBox()
        self._seed.setRange(0, 2**31 - 1)
        self._seed.setToolTip(tr("Every number is another picture that the model knows."))
        self._draw = QtWidgets.QPushButton(tr("New picture"))
        self._draw.setToolTip(tr("Opens a picture of the model's own as a new document, ready to drag."))
        self._draw.clicked.connect(self._draw_next)
        self._address = QtWidgets.QLineEdit()
        self._address.setPlaceholderText("drag://HOST:PORT/KEY#CODE")
        self._address.setToolTip(tr("An engine on another machine: `krita-drag pair` shows its address there."))
        self._connect = QtWidgets.QPushButton(tr("Connect"))
        self._connect.clicked.connect(lambda: self.connect_wanted.emit(self._address.text().strip()))
        self._report = narrow(QtWidgets.QPushButton(tr("Copy diagnostics")))
        self._report.clicked.connect(self.diagnostics_wanted)
        for widget in (self._animation, self._mask, self._reopen):
            layout.addWidget(widget)
        layout.addLayout(row(narrow(self._seed), self._draw))
        layout.addWidget(wrapping_label(tr("Engine on another machine; empty for this one:")))
        layout.addLayout(row(narrow(self._address), self._connect))
        layout.addWidget(self._report)

    def _choice(self, key: str) -> QtWidgets.QComboBox:
        box = QtWidgets.QComboBox()
        box.activated.connect(lambda: self.chosen.emit(key, box.currentData()))
        return box

    def _switch(self, key: str, text: str) -> QtWidgets.QCheckBox:
        switch = QtWidgets.QCheckBox(text)
        switch.toggled.connect(lambda on: self.chosen.emit(key, on))
        return switch

    def _draw_next(self) -> None:
        """Ask for the picture of this number; the next click is for another one."""
        self.draw_wanted.emit(self._seed.value())
        self._seed.setValue(self._seed.value() + 1)

    def show_view(self, view: DockerView, settings: Settings) -> None:
        """Copy the view and the settings."""
        names = {"fast": tr("Fast"), "balanced": tr("Balanced"), "best": tr("Best")}
        set_items(self._preset, [(preset, names.get(preset, preset)) for preset in PRESETS], settings.preset)
        set_items(self._solver, [(solver, solver) for solver in SOLVERS], settings.solver)
        with Quiet(self._steps, self._animation, self._mask, self._fold, self._weight):
            self._key = view.selected.key if view.selected is not None else 0
            self._weight.setValue(view.selected.weight if view.selected is not None else 1.0)
            self._steps.setValue(settings.max_steps)
            self._animation.setChecked(settings.animation)
            self._mask.setChecked(settings.separate_mask)
            self._fold.setChecked(settings.advanced_open)
        if not self._address.hasFocus() and not self._address.isModified():
            self._address.setText(settings.remote_address)
        arrow = Qt.ArrowType.DownArrow if settings.advanced_open else Qt.ArrowType.RightArrow
        self._fold.setArrowType(arrow)
        self._body.setVisible(settings.advanced_open)
        self._weight.setEnabled(view.selected is not None)
        self._reopen.setEnabled(view.can_reopen)
        self._draw.setEnabled(view.can_draw)
