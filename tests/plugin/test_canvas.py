"""The overlay: clicks find document pixels under any view, and what is not ours goes on to Krita."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from krita_drag.canvas import CanvasOverlay
from krita_drag.canvas_view import CanvasWidgets
from krita_drag.edit_state import Patch
from krita_drag.geometry import Box, Point
from krita_drag.pairs import Pair, PairEditor
from krita_drag.pictures import to_image
from krita_drag.point_map import Places
from krita_drag.scene import Scene
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets

Qt = QtCore.Qt


class Shown:
    """What an overlay needs of an edit."""

    def __init__(self) -> None:
        self.editor, self.scene = PairEditor(), Scene()


class Canvas(QtWidgets.QWidget):
    """Krita's canvas: notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    def event(self, event: Any) -> bool:
        if isinstance(event, QtGui.QMouseEvent | QtGui.QWheelEvent | QtGui.QKeyEvent | QtGui.QTabletEvent):
            self.got.append(event.type())
        return super().event(event)


@pytest.fixture
def canvas(document: Any, krita: Any) -> Iterator[Canvas]:
    widget = Canvas()
    widget.resize(400, 300)
    widget.show()
    yield widget
    widget.close()


@pytest.fixture
def view(krita: Any) -> Any:
    view = krita.open_windows[0].view
    view.canvas().zoom = 300 / 72  # as Krita 5.1 says 100 % at 300 dpi
    return view


@pytest.fixture
def overlay(canvas: Canvas, view: Any, settle: Any) -> Iterator[CanvasOverlay]:
    controller = QtWidgets.QScrollArea()
    made = CanvasOverlay(CanvasWidgets(view, controller, canvas, 1.0), Shown())
    made.set_editing(True)
    settle()
    yield made
    made.close_for_good()
    settle()


def drag(overlay: CanvasOverlay, start: QtCore.QPoint, end: QtCore.QPoint, modifier: Any = Qt.NoModifier) -> None:
    QtTest.QTest.mousePress(overlay, Qt.LeftButton, modifier, start)
    move = QtGui.QMouseEvent(QtCore.QEvent.MouseMove, QtCore.QPointF(end), Qt.NoButton, Qt.LeftButton, modifier)
    QtWidgets.QApplication.sendEvent(overlay, move)
    QtTest.QTest.mouseRelease(overlay, Qt.LeftButton, modifier, end)


def test_press_and_release_make_a_pair(overlay: CanvasOverlay) -> None:
    told = []
    overlay.released.connect(told.append)
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30))
    (pair,) = overlay.edit.editor.pairs
    assert (pair.handle, pair.target) == (Point(10, 10), Point(40, 30))
    assert told == [True]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.floats(0.1, 16),
    st.floats(-180, 180),
    st.booleans(),
    st.tuples(st.floats(0.5, 63.5), st.floats(0.5, 47.5)),
)
def test_a_point_clicked_where_it_is_shown_is_that_point(
    overlay: CanvasOverlay, view: Any, zoom: float, turn: float, mirror: bool, place: tuple[float, float]
) -> None:
    view.canvas().zoom, view.canvas().turn, view.canvas().flip = zoom * 300 / 72, turn, mirror
    overlay.edit.editor.replace(())
    there = QtCore.QPointF(*overlay._widgets.transform().map(Point(*place)))
    for kind in (QtCore.QEvent.MouseButtonPress, QtCore.QEvent.MouseButtonRelease):
        event = QtGui.QMouseEvent(kind, there, Qt.LeftButton, Qt.LeftButton, Qt.ShiftModifier)
        QtWidgets.QApplication.sendEvent(overlay, event)
    (pair,) = overlay.edit.editor.pairs
    assert pair.handle.distance(Point(*place)) < 1e-6


def test_shift_makes_an_anchor(overlay: CanvasOverlay) -> None:
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(10, 10), Qt.ShiftModifier)
    assert overlay.edit.editor.pairs[0].is_anchor


def test_a_pull_beyond_the_edge_stays_inside(overlay: CanvasOverlay) -> None:
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(390, 290))
    assert overlay.edit.editor.pairs[0].target == Point(63.5, 47.5)


@pytest.mark.parametrize("modifier", [Qt.ControlModifier, Qt.AltModifier, Qt.ControlModifier | Qt.ShiftModifier])
def test_presses_with_other_modifiers_belong_to_krita(overlay: CanvasOverlay, canvas: Canvas, modifier: Any) -> None:
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30), modifier)
    assert overlay.edit.editor.pairs == () and QtCore.QEvent.MouseButtonPress in canvas.got


def test_other_buttons_the_wheel_and_space_belong_to_krita(overlay: CanvasOverlay, canvas: Canvas) -> None:
    QtTest.QTest.mousePress(overlay, Qt.MiddleButton, Qt.NoModifier, QtCore.QPoint(10, 10))
    middle = QtCore.QPoint(10, 10)
    at = QtCore.QPointF(middle)
    wheel = QtGui.QWheelEvent(
        at, at, QtCore.QPoint(), QtCore.QPoint(0, 120), Qt.NoButton, Qt.NoModifier, Qt.NoScrollPhase, False
    )
    QtWidgets.QApplication.sendEvent(overlay, wheel)
    assert QtCore.QEvent.MouseButtonPress in canvas.got and not wheel.isAccepted()
    QtTest.QTest.keyPress(canvas, Qt.Key_Space)
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30))
    assert overlay.edit.editor.pairs == ()
    QtTest.QTest.keyRelease(canvas, Qt.Key_Space)
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30))
    assert len(overlay.edit.editor.pairs) == 1


def test_keys_are_taken_from_wherever_the_focus_was(overlay: CanvasOverlay, canvas: Canvas, settle: Any) -> None:
    canvas.setFocusPolicy(Qt.StrongFocus)
    window = QtWidgets.QWidget()
    button = QtWidgets.QPushButton("Drag", window)
    canvas.setParent(window)
    window.show()
    window.activateWindow()
    button.setFocus()
    at = QtCore.QPointF(5, 5)
    QtWidgets.QApplication.sendEvent(overlay, QtGui.QEnterEvent(at, at, at))
    assert window.focusWidget() is canvas
    text = QtWidgets.QLineEdit(window)
    text.show()
    text.setFocus()
    QtWidgets.QApplication.sendEvent(overlay, QtGui.QEnterEvent(at, at, at))
    assert window.focusWidget() is text, "somebody writes"
    overlay.set_editing(False)
    button.setFocus()
    QtWidgets.QApplication.sendEvent(overlay, QtGui.QEnterEvent(at, at, at))
    assert window.focusWidget() is button
    canvas.setParent(None)


def ring_pixels(overlay: CanvasOverlay, doubtful: bool, anchor: bool = False) -> int:
    """How many pixels the ring around the place of the only handle paints."""
    handle = Point(30, 30)
    overlay.edit.editor.replace((Pair(1, handle, handle if anchor else Point(10, 10)),))
    shots = []
    for followed in (Places(), Places(overlay.edit.editor.pairs, [Point(45, 20)], [doubtful])):
        overlay.edit.scene.places = followed
        shots.append(overlay.grab().toImage())
    bare, ringed = shots
    places = [(x, y) for x in range(bare.width()) for y in range(bare.height())]
    return sum(bare.pixel(x, y) != ringed.pixel(x, y) for x, y in places)


def test_a_handle_that_may_have_slipped_has_a_dotted_ring(overlay: CanvasOverlay) -> None:
    assert 0 < ring_pixels(overlay, doubtful=True) < ring_pixels(overlay, doubtful=False)
    assert ring_pixels(overlay, doubtful=True, anchor=True) > 0 == ring_pixels(overlay, doubtful=False, anchor=True)


def test_not_editing_lets_the_brush_through(overlay: CanvasOverlay) -> None:
    overlay.set_editing(False)
    assert overlay.testAttribute(Qt.WA_TransparentForMouseEvents)
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30))
    assert overlay.edit.editor.pairs == ()


def tablet(kind: Any, x: float, y: float, button: Any = Qt.LeftButton) -> QtGui.QTabletEvent:
    at = QtCore.QPointF(x, y)
    device, pen = QtGui.QTabletEvent.Stylus, QtGui.QTabletEvent.Pen
    return QtGui.QTabletEvent(kind, at, at, device, pen, 0.5, 0, 0, 0, 0, 0, Qt.NoModifier, 1, button, button)


def test_a_pen_is_finer_than_a_pixel(overlay: CanvasOverlay) -> None:
    for kind, x, y in (
        (QtCore.QEvent.TabletPress, 10.25, 10.5),
        (QtCore.QEvent.TabletMove, 20.0, 20.0),
        (QtCore.QEvent.TabletRelease, 30.75, 20.125),
    ):
        event = tablet(kind, x, y)
        QtWidgets.QApplication.sendEvent(overlay, event)
        assert event.isAccepted()
    (pair,) = overlay.edit.editor.pairs
    assert (pair.handle, pair.target) == (Point(10.25, 10.5), Point(30.75, 20.125))


def test_del_and_escape_are_ours_while_editing_and_kritas_otherwise(overlay: CanvasOverlay, canvas: Canvas) -> None:
    told = []
    overlay.delete_wanted.connect(lambda: told.append("delete"))
    overlay.leave_wanted.connect(lambda: told.append("leave"))
    for key in (Qt.Key_Delete, Qt.Key_Escape):
        override = QtGui.QKeyEvent(QtCore.QEvent.ShortcutOverride, key, Qt.NoModifier)
        override.ignore()
        QtWidgets.QApplication.sendEvent(canvas, override)
        assert override.isAccepted()
        QtTest.QTest.keyPress(canvas, key)
    assert told == ["delete", "leave"]
    assert QtCore.QEvent.KeyPress not in canvas.got
    overlay.set_editing(False)
    QtTest.QTest.keyPress(canvas, Qt.Key_Delete)
    assert told == ["delete", "leave"] and QtCore.QEvent.KeyPress in canvas.got


def test_the_overlay_follows_the_size_of_the_canvas(overlay: CanvasOverlay, canvas: Canvas, settle: Any) -> None:
    canvas.resize(321, 123)
    settle(lambda: overlay.size() == canvas.size())


def test_preview_and_pairs_are_drawn_where_they_belong(overlay: CanvasOverlay, canvas: Canvas, view: Any) -> None:
    view.canvas().zoom = 4 * 300 / 72
    green = Patch(Box(10, 10, 20, 20), (2, 2), bytes((0, 255, 0, 255)) * 4)
    overlay.edit.scene.preview = (to_image(green), green.box)
    overlay.edit.editor.replace([Pair(1, Point(50, 10), Point(60, 40))])
    shot = canvas.grab().toImage()
    assert shot.pixelColor(80, 80) == QtGui.QColor(0, 255, 0)
    assert shot.pixelColor(30, 30) != QtGui.QColor(0, 255, 0) != shot.pixelColor(130, 130)
    assert shot.pixelColor(200, 40).red() > 200 and shot.pixelColor(240, 160).blue() > 200


def test_a_half_transparent_patch_is_mixed_with_what_is_below() -> None:
    image = to_image(Patch(Box(0, 0, 1, 1), (1, 1), bytes((0, 0, 200, 128))))
    assert image.pixelColor(0, 0).alpha() == 128
    assert abs(image.pixelColor(0, 0).red() - 200) <= 1


def test_nothing_leaves_the_overlay_when_the_document_is_gone(overlay: CanvasOverlay, view: Any, settle: Any) -> None:
    view.document = lambda: None
    drag(overlay, QtCore.QPoint(10, 10), QtCore.QPoint(40, 30))
    overlay.grab()
    settle()
