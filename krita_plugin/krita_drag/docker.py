"""The docker: one narrow column of widgets bound to the edit of the document in front."""

from __future__ import annotations

from krita import DockWidget

from .guard import guarded
from .qt import QtWidgets


class DragDocker(DockWidget):
    """Krita makes one for each window."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Drag")
        self._body = QtWidgets.QLabel("Open a picture to start.")
        self.setWidget(self._body)

    @guarded
    def canvasChanged(self, canvas: object) -> None:  # noqa: N802 Krita's name
        """Krita calls this when another document, or none, comes to the front."""
