"""Where Krita's canvas is among its widgets, and how it maps document pixels to widget pixels."""

from __future__ import annotations

from typing import Any

from .geometry import Affine, CanvasView, document_to_widget
from .qt import QtWidgets

CANVAS_CLASSES = ("KisOpenGLCanvas2", "KisQPainterCanvas")
POINTS_PER_INCH = 72


class CanvasWidgets:
    """The widgets of the view in front of one main window.

    Attributes:
        view: Krita's view.
        controller: the scroll area around the canvas.
        canvas: the widget that shows the picture.
    """

    def __init__(self, view: Any, controller: Any, canvas: Any, vast_scrolling: float) -> None:
        self.view, self.controller, self.canvas = view, controller, canvas
        self._exact = hasattr(view, "flakeToCanvasTransform")  # Krita 5.2
        self._vast = vast_scrolling

    def transform(self) -> Affine:
        """Return the transform from document pixels to pixels of the canvas widget."""
        if self._exact:
            back, _ = self.view.flakeToImageTransform().inverted()
            both = back * self.view.flakeToCanvasTransform()
            return Affine(both.m11(), both.m12(), both.m21(), both.m22(), both.dx(), both.dy())
        document, canvas = self.view.document(), self.view.canvas()
        return document_to_widget(
            CanvasView(
                document_wh=(document.width(), document.height()),
                widget_wh=(self.canvas.width(), self.canvas.height()),
                zoom=canvas.zoomLevel() * POINTS_PER_INCH / document.xRes(),
                mirrored=canvas.mirror(),
                rotation_deg=canvas.rotation(),
                scroll_xy=(
                    self.controller.horizontalScrollBar().value(),
                    self.controller.verticalScrollBar().value(),
                ),
                vast_scrolling=self._vast,
            )
        )


def front_canvas(window: Any, vast_scrolling: float) -> CanvasWidgets | None:
    """Find the canvas in front of a Krita window; None while there is none.

    Args:
        window: Krita's window.
        vast_scrolling: the user's setting of that name.
    """
    view = window.activeView()
    if view is None or view.document() is None:
        return None
    area = _descendant(window.qwindow().centralWidget(), ("QMdiArea",), 2)
    frame = area.activeSubWindow() or area.currentSubWindow() if area is not None else None
    controller = _descendant(frame, ("KisCanvasController",), 3)
    canvas = _descendant(controller, CANVAS_CLASSES, 2)
    return CanvasWidgets(view, controller, canvas, vast_scrolling) if canvas is not None else None


def tool_buttons(main_window: Any) -> list[Any]:
    """Return the buttons of Krita's toolbox; none if this Krita has it otherwise."""
    box = main_window.findChild(QtWidgets.QDockWidget, "ToolBox")
    buttons = box.findChildren(QtWidgets.QToolButton) if box is not None else []
    return [button for button in buttons if button.isCheckable() and "Tool" in button.objectName()]


def _descendant(parent: Any | None, class_names: tuple, depth: int) -> Any | None:
    """Find a widget by its C++ class, nearest first.

    `findChildren` would look at every widget of Krita's window, which takes a tenth of a second.
    """
    level = [parent] if parent is not None else []
    for _ in range(depth):
        level = [child for one in level for child in one.children()]
        for child in level:
            if child.metaObject().className() in class_names:
                return child
    return None
