"""The middle of the docker: points, live mode and how close to stay."""

from __future__ import annotations

from ..docker_view import DockerView, Row
from ..qt import Qt, QtWidgets, Signal
from ..settings import Settings
from ..translate import tr
from ..wire.vocabulary import MAX_POINTS
from .parts import Quiet, column, narrow, row, wrapping_label

MOST_ROWS = 6


class PointsPanel(QtWidgets.QWidget):
    """Turns placing of points on and off."""

    editing_wanted = Signal(bool)
    clear_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._edit = narrow(QtWidgets.QPushButton(tr("Place points")))
        self._edit.setCheckable(True)
        self._edit.setStyleSheet("QPushButton:checked { background: #2f7fd0; color: white; }")  # in dark themes, too
        self._edit.setToolTip(
            tr("Press: handle. Pull: target. Shift and press: a place that stays. Del removes, Esc leaves.")
        )
        self._edit.toggled.connect(self.editing_wanted)
        self._clear = QtWidgets.QPushButton(tr("Clear"))
        self._clear.clicked.connect(self.clear_wanted)
        column(self).addLayout(row(self._edit, self._clear))

    def show_view(self, view: DockerView, editing: bool) -> None:
        """Copy the view."""
        with Quiet(self._edit):
            self._edit.setChecked(editing)
        self._edit.setEnabled(view.can_edit)
        self._clear.setEnabled(view.can_edit and bool(view.rows))


class PairList(QtWidgets.QWidget):
    """Says how far each point has to go; below the buttons, as it grows and shrinks."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = wrapping_label()
        column(self).addWidget(self._rows)

    def show_view(self, view: DockerView) -> None:
        """Copy the view."""
        lines = [_line(one) for one in view.rows[:MOST_ROWS]]
        if len(view.rows) > MOST_ROWS:
            lines.append(tr("and {count} more (at most {most})", count=len(view.rows) - MOST_ROWS, most=MAX_POINTS))
        self._rows.setText("\n".join(lines))
        self.setVisible(bool(lines))


def _line(one: Row) -> str:
    if one.left_px is None and one.doubtful:
        return tr("{number}: stays in place, unless it slipped", number=one.key)
    if one.left_px is None:
        return tr("{number}: stays in place", number=one.key)
    if one.doubtful:
        return tr("{number}: {distance:.0f} px to go, unless it slipped", number=one.key, distance=one.left_px)
    return tr("{number}: {distance:.0f} px to go", number=one.key, distance=one.left_px)


class HowPanel(QtWidgets.QWidget):
    """What changes how a drag goes."""

    live_chosen = Signal(bool)
    stay_close_chosen = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._live = QtWidgets.QCheckBox(tr("Live: follow while I pull"))
        self._live.toggled.connect(self.live_chosen)
        self._close = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._close.setRange(0, 100)
        self._close.setToolTip(tr("Left: go wherever the points lead. Right: stay close to the picture."))
        self._close.valueChanged.connect(lambda value: self.stay_close_chosen.emit(value / 100))
        layout = column(self)
        layout.addWidget(self._live)
        layout.addLayout(row(QtWidgets.QLabel(tr("Stay close")), self._close, stretch=1))

    def show_settings(self, settings: Settings) -> None:
        """Copy the user's choices."""
        with Quiet(self._live, self._close):
            self._live.setChecked(settings.live)
            self._close.setValue(round(100 * settings.stay_close))
