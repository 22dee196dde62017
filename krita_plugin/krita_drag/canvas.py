"""The overlay on Krita's canvas: shows pairs and preview, and turns mouse and pen into gestures.

A child widget of the canvas, because a filter on the canvas itself stops working when views are switched. What it does
not take (wheel, middle button, modifiers) goes on to Krita, so zooming and panning work as ever.
"""

from __future__ import annotations

from typing import Any, Protocol

from . import marker_painting
from .canvas_view import CanvasWidgets
from .geometry import Affine, Box, Point
from .guard import guarded
from .pairs import PairEditor
from .qt import Qt, QtCore, QtGui, QtWidgets, Signal, event_position
from .scene import Scene

FOLLOW_MS = 33  # Krita has no signal for zoom and pan
REACH_EM = 0.8  # how close to an end counts as on it, in heights of the font
Type = QtCore.QEvent.Type


class Shows(Protocol):
    """What an overlay needs of an edit."""

    editor: PairEditor
    scene: Scene

    def cancel_gesture(self) -> bool:
        """Take a gesture back that cannot be ended any more."""


class CanvasOverlay(QtWidgets.QWidget):
    """Covers one canvas; one per view.

    Args:
        widgets: the canvas to cover.
        edit: whose pairs and pictures are shown.

    Signals:
        pressed, moved, released: a gesture; the last says whether it changed the pairs.
        delete_wanted, leave_wanted: Del and Esc on the canvas.
    """

    pressed = Signal()
    moved = Signal()
    released = Signal(bool)
    delete_wanted = Signal()
    leave_wanted = Signal()

    def __init__(self, widgets: CanvasWidgets, edit: Shows) -> None:
        super().__init__(widgets.canvas)
        self.setObjectName("krita_drag_overlay")
        self.edit = edit
        self._widgets, self._editor, self._scene = widgets, edit.editor, edit.scene
        self._editing, self._space = False, False
        self._shown: Affine | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMouseTracking(True)
        self.set_editing(False)
        self._listen()
        self.setGeometry(widgets.canvas.rect())
        self._follow = QtCore.QTimer(self)
        self._follow.setInterval(FOLLOW_MS)
        self._follow.timeout.connect(self._follow_canvas)
        self._follow.start()
        self.show()
        self.raise_()

    @property
    def editing(self) -> bool:
        """Whether presses make and move pairs; otherwise the brush paints through the overlay."""
        return self._editing

    def set_editing(self, on: bool) -> None:
        """Take presses, or let them through."""
        self._editing = on
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, not on)
        if on:
            self.setCursor(Qt.CursorShape.CrossCursor)
        else:
            self.unsetCursor()
        self.update()

    def close_for_good(self) -> None:
        """Leave the canvas."""
        self._follow.stop()
        self._widgets.canvas.removeEventFilter(self)
        self.hide()
        self.deleteLater()

    # What follows is called by Qt.

    @guarded
    def _follow_canvas(self) -> None:
        if not self.isVisible():
            return
        if self._editing:
            self._listen()
        transform = self._widgets.transform()
        if transform != self._shown:
            self._shown = transform
            self.update()

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 Qt's name
        """Watch the canvas: its size, and the keys that belong to the editing mode."""
        return bool(self._filter(watched, event))

    @guarded
    def _filter(self, watched: Any, event: Any) -> bool:
        kind = event.type()
        if kind == Type.Resize:
            self.setGeometry(self._widgets.canvas.rect())
        elif kind == Type.FocusOut:
            self._space = False
        elif kind in (Type.ShortcutOverride, Type.KeyPress, Type.KeyRelease):
            return self._key(kind, event)
        return False

    def _key(self, kind: Any, event: Any) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Space:  # space and a drag stay Krita's way to pan
            self._space = kind != Type.KeyRelease or event.isAutoRepeat()
            return False
        mine = {Qt.Key.Key_Delete: self.delete_wanted, Qt.Key.Key_Escape: self.leave_wanted}.get(key)
        if mine is None or not self._editing or event.modifiers() != Qt.KeyboardModifier.NoModifier:
            return False
        event.accept()  # else Del would also clear the layer
        if kind == Type.KeyPress:
            mine.emit()
        return True

    @guarded
    def enterEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Take the keys: else Del clears the layer while the focus is still on a button of the docker."""
        if not self._editing:
            return
        self._listen()
        writes = isinstance(self.window().focusWidget(), (QtWidgets.QLineEdit, QtWidgets.QTextEdit))
        if not writes:  # it takes Del itself
            self._widgets.canvas.setFocus(Qt.FocusReason.MouseFocusReason)

    def _listen(self) -> None:
        """Become the first filter again: Krita puts its own in front when views are switched or one pans."""
        self._widgets.canvas.removeEventFilter(self)
        self._widgets.canvas.installEventFilter(self)

    @guarded
    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Begin a gesture with the left button."""
        event.setAccepted(self._begin(event))

    @guarded
    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Pull what is held."""
        event.setAccepted(self._pull(event))

    @guarded
    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """End the gesture."""
        event.setAccepted(self._end(event))

    @guarded
    def tabletEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Do the same with a pen, which is finer than a pixel."""
        steps = {Type.TabletPress: self._begin, Type.TabletMove: self._pull, Type.TabletRelease: self._end}
        step = steps.get(event.type())
        event.setAccepted(step is not None and step(event))

    def _begin(self, event: Any) -> bool:
        modifiers = event.modifiers()
        shift = modifiers == Qt.KeyboardModifier.ShiftModifier
        plain = modifiers == Qt.KeyboardModifier.NoModifier
        if not self._editing or self._space or event.button() != Qt.MouseButton.LeftButton or not (plain or shift):
            return False
        self._listen()
        transform = self._widgets.transform()
        reach = REACH_EM * self.fontMetrics().height() / transform.scale
        self._editor.press(self._document_point(event, transform), reach, anchor=shift)
        self.update()
        self.pressed.emit()
        return True

    def _pull(self, event: Any) -> bool:
        if self._editor.held is None:
            return False
        self._editor.move(self._document_point(event, self._widgets.transform()))
        self.update()
        self.moved.emit()
        return True

    def _end(self, event: Any) -> bool:
        if self._editor.held is None or event.button() != Qt.MouseButton.LeftButton:
            return False
        changed = self._editor.release(self._document_point(event, self._widgets.transform()))
        self.update()
        self.released.emit(changed)
        return True

    def _document_point(self, event: Any, transform: Affine) -> Point:
        at = event_position(event)
        document = self._widgets.view.document()
        inside = Box(0, 0, document.width(), document.height())
        return inside.clamp(transform.inverse().map(Point(at.x(), at.y())))

    @guarded
    def paintEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Draw preview, square and pairs."""
        transform = self._widgets.transform()
        painter = QtGui.QPainter(self)
        try:
            painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
            if self._scene.preview is not None:
                marker_painting.draw_preview(painter, transform, *self._scene.preview)
            if self._editing:
                marker_painting.draw_square(painter, transform, self._scene.corners)
                size = self.fontMetrics().height() * 0.45
                marker_painting.draw_pairs(painter, transform, self._editor, self._scene, size)
        finally:
            painter.end()
