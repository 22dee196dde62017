"""The docker: one narrow column of panels bound to the edit of the document in front."""

from __future__ import annotations

from typing import Any

from krita import DockWidget, Krita

from .canvas import CanvasOverlay
from .canvas_view import front_canvas, tool_buttons
from .desk import Desk
from .docker_view import DockerView
from .edit import Edit
from .guard import guarded
from .panels.advanced import AdvancedPanel
from .panels.engine import EnginePanel, SourcePanel
from .panels.parts import Foot, KeyCatcher, column, scrolling
from .panels.points import HowPanel, PairList, PointsPanel
from .panels.result import ActionPanel, MessagePanel, StatesPanel
from .qt import Qt, QtCore, QtWidgets, is_alive
from .translate import tr

REFRESH_MS = 50  # what changes in between is shown together
SETTLE_MS = (0, 200, 600)  # Krita builds the widgets of a new view some time after it says so
MESSAGE_EM = 3  # of the message, which scrolls if it is longer and there is no room
SCROLLED_EM = 5  # of what scrolls, at least: below it the docker would be overlooked in Krita's column
WELCOME_MS = 1500  # a window that has just got its first document is still arranged
FIRST_EM = 40  # height that is asked for once; Krita gives a new docker what the others leave
WATCH_MS = 1000  # for what Krita has no signal for: the active layer and the selection


class DragDocker(DockWidget):
    """Krita makes one for each window.

    Args:
        desk: what all windows share.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._edit: Edit | None = None
        self._overlay: CanvasOverlay | None = None
        self._tools: list[Any] = []  # Krita's buttons for its tools
        self.setWindowTitle(tr("Drag"))
        self.setWidget(self._build())
        self._refresh = QtCore.QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._refresh.timeout.connect(self.refresh)
        self._watch = QtCore.QTimer(self)
        self._watch.setInterval(WATCH_MS)
        self._watch.timeout.connect(self._look_around)
        desk.changed.connect(self._later)
        self.refresh()

    def _build(self) -> QtWidgets.QWidget:
        body = QtWidgets.QWidget()
        em = body.fontMetrics().height()
        pad = round(0.4 * em)
        layout = column(body, spacing_em=0.6)
        layout.setContentsMargins(pad, pad, pad, pad)
        self._engine, self._source, self._points = EnginePanel(), SourcePanel(), PointsPanel()
        self._how, self._states, self._list = HowPanel(), StatesPanel(), PairList()
        self._advanced, self._message, self._actions = AdvancedPanel(), MessagePanel(), ActionPanel()
        panels = (self._engine, self._source, self._points, self._how, self._states, self._list, self._advanced)
        for panel in panels:
            layout.addWidget(panel)
        layout.addStretch(1)
        scroll = scrolling(body)
        scroll.setMinimumHeight(round(SCROLLED_EM * em))
        self._foot = Foot(self._message, round(MESSAGE_EM * em))
        self._all = KeyCatcher(lambda: self._edit is not None and self._edit.editing)
        parts = column(self._all, spacing_em=0)
        parts.addWidget(scroll, 1)
        parts.addWidget(self._foot)  # comes and goes, but no button moves away under the pointer
        parts.addWidget(self._actions)
        self._actions.setContentsMargins(pad, pad, pad, pad)
        bar = scroll.verticalScrollBar().sizeHint().width()
        self._all.setMinimumWidth(body.minimumSizeHint().width() + bar)  # else the arrows are cut off
        self._connect()
        return self._all

    def _connect(self) -> None:
        desk = self._desk
        self._engine.remedy_wanted.connect(guarded(desk.mend_engine))
        self._source.model_chosen.connect(guarded(lambda name: desk.choose("model", name)))
        for asks in (self._source.prepare_wanted, self._advanced.reopen_wanted):
            asks.connect(guarded(desk.dismiss))  # what the edit asks would not be seen below another message
        self._source.prepare_wanted.connect(self._to_edit(Edit.prepare))
        self._source.inverted_wanted.connect(self._to_edit(Edit.set_show_inverted))
        self._points.editing_wanted.connect(self._to_edit(Edit.set_editing))
        self._points.clear_wanted.connect(self._to_edit(Edit.clear_markers))
        self._how.live_chosen.connect(guarded(lambda on: desk.choose("live", on)))
        self._how.stay_close_chosen.connect(guarded(lambda value: desk.choose("stay_close", value)))
        self._states.state_chosen.connect(self._to_edit(Edit.go_to))
        self._actions.drag_wanted.connect(self._to_edit(Edit.drag))
        self._actions.stop_wanted.connect(self._to_edit(Edit.stop))
        self._actions.apply_wanted.connect(self._to_edit(Edit.apply))
        self._all.pressed.connect(guarded(self._key_pressed))
        self._message.dismissed.connect(self._to_edit(lambda edit: edit.session.dismiss()))
        self._message.dismissed.connect(guarded(desk.dismiss))
        self._advanced.chosen.connect(guarded(desk.choose))
        self._advanced.weight_chosen.connect(self._to_edit(Edit.set_weight))
        self._advanced.reopen_wanted.connect(self._to_edit(Edit.reopen))
        self._advanced.draw_wanted.connect(guarded(desk.draw))
        self._advanced.connect_wanted.connect(guarded(desk.connect_to))
        self._advanced.diagnostics_wanted.connect(guarded(self._copy_diagnostics))

    def _to_edit(self, command: Any) -> Any:
        """Return a slot that calls a command of the edit in front, if there is one."""

        def slot(*arguments: object) -> None:
            if self._edit is not None:
                command(self._edit, *arguments)

        # a clicked signal carries "checked", which no command without arguments wants
        takes = command.__code__.co_argcount - 1
        return guarded(lambda *arguments: slot(*arguments[:takes]))

    @guarded
    def canvasChanged(self, canvas: Any) -> None:  # noqa: N802 Krita's name
        """Krita calls this when another document, or none, comes to the front.

        Not now: while a document closes, its view can still be found but is half gone, and to touch it is a crash.
        """
        for delay_ms in SETTLE_MS:
            QtCore.QTimer.singleShot(delay_ms, self._follow_front)

    @guarded
    def showEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Begin to look around; the engine is started by the first docker that is seen."""
        super().showEvent(event)
        self._watch.start()
        self._watch_tools()
        self._desk.wake()

    def _watch_tools(self) -> None:
        """Let a tool that is chosen have the canvas: strokes of a brush must not become points.

        Krita also changes tools by itself when another layer becomes the active one, so `toggled` would tell too much.
        """
        if not self._tools and self.parent() is not None:
            self._tools = tool_buttons(self.parent())
            for button in self._tools:
                button.clicked.connect(guarded(self._tool_chosen))
                action = Krita.instance().action(button.objectName())
                if action is not None:  # its shortcut
                    action.triggered.connect(guarded(self._tool_chosen))

    def _tool_chosen(self) -> None:
        if self._edit is not None:
            self._edit.set_editing(False)

    @guarded
    def _ask_for_room(self) -> None:
        """Grow once at the expense of the dockers above; whoever sizes it otherwise later is left in peace."""
        window = self.parent()
        if not self.isVisible() or self.isFloating() or not isinstance(window, QtWidgets.QMainWindow):
            return
        if self._desk.is_first_sight():
            window.resizeDocks([self], [round(FIRST_EM * self.fontMetrics().height())], Qt.Orientation.Vertical)

    @guarded
    def hideEvent(self, event: Any) -> None:  # noqa: N802 Qt's name
        """Cost nothing while nobody looks."""
        super().hideEvent(event)
        self._watch.stop()

    @guarded
    def _follow_front(self) -> None:
        """Bind to the document in front of this docker's window."""
        window = self._window()
        view = window.activeView() if window is not None else None
        document = view.document() if view is not None else None
        edit = self._desk.edit_for(document) if document is not None else None
        if edit is not self._edit:
            if self._edit is not None:
                self._edit.changed.disconnect(self._later)
            self._edit = edit
            if edit is not None:
                edit.changed.connect(self._later)
                QtCore.QTimer.singleShot(WELCOME_MS, self._ask_for_room)
        self._cover_canvas()
        self._later()

    def _window(self) -> Any | None:
        """Return Krita's window that this docker is in."""
        windows = [window for window in Krita.instance().windows() if window.qwindow() is self.parent()]
        return windows[0] if windows else Krita.instance().activeWindow()

    def _cover_canvas(self) -> None:
        """Have an overlay on the canvas in front, if there is anything to show or to do on it."""
        edit, window = self._edit, self._window()
        wanted = self._overlay_wanted()
        found = front_canvas(window, self._desk.vast_scrolling()) if wanted and window is not None else None
        old = self._overlay
        if old is not None and is_alive(old):
            if found is not None and old.parent() is found.canvas and old.edit is edit:
                return
            old.edit.cancel_gesture()
            old.close_for_good()
        self._overlay = None
        if found is None or edit is None:
            return
        overlay = self._overlay = CanvasOverlay(found, edit)
        overlay.pressed.connect(edit.gestures.pressed)
        overlay.moved.connect(edit.gestures.moved)
        overlay.released.connect(edit.gestures.released)
        overlay.delete_wanted.connect(edit.delete_selected)
        overlay.leave_wanted.connect(edit.leave)

    def _overlay_wanted(self) -> bool:
        """Whether there is something to do or to compare; a brush must not paint below a picture that hides it."""
        return self._edit is not None and (self._edit.editing or self._edit.show_inverted)

    def _later(self) -> None:
        if not self._refresh.isActive():
            self._refresh.start()
        if self._overlay is not None and is_alive(self._overlay):
            self._overlay.update()

    @guarded
    def _look_around(self) -> None:
        self._follow_front()
        if self._edit is not None:
            self._edit.follow_markers()

    @guarded
    def refresh(self) -> None:
        """Show how things stand."""
        desk, edit = self._desk, self._edit
        view = self.view()
        self._engine.show_view(view)
        self._source.show_view(view, desk.models, desk.settings.model, edit is not None and edit.show_inverted)
        self._points.show_view(view, edit is not None and edit.editing)
        self._list.show_view(view)
        self._how.show_settings(desk.settings)
        self._states.show_view(view)
        self._actions.show_view(view)
        self._message.show_view(view)
        self._foot.follow(view.message is not None)
        self._advanced.show_view(view, desk.settings)
        has_overlay = self._overlay is not None and is_alive(self._overlay)
        if has_overlay != self._overlay_wanted():
            self._cover_canvas()
        overlay = self._overlay
        if overlay is not None and is_alive(overlay) and edit is not None and overlay.editing != edit.editing:
            overlay.set_editing(edit.editing)

    def view(self) -> DockerView:
        """Compute what to show."""
        return self._desk.view_of(self._edit)

    def _key_pressed(self, key: int) -> None:
        if self._edit is not None:
            (self._edit.delete_selected if key == Qt.Key.Key_Delete else self._edit.leave)()

    def _copy_diagnostics(self) -> None:
        QtWidgets.QApplication.clipboard().setText(self._desk.diagnostics())
