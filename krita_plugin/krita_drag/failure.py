"""The docker that is shown when the plugin itself could not be loaded; it needs nothing of it but Qt."""

from __future__ import annotations

from typing import Any

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase

from .qt import QtWidgets

HINT = "Run `python3 install.py` of krita-drag again, then restart Krita. It brings every part to the same version."


def register(krita: Any, reason: Exception) -> None:
    """Add the docker.

    Args:
        krita: `Krita.instance()`.
        reason: what went wrong.
    """

    class FailedDocker(DockWidget):
        """A sentence and a way out."""

        def __init__(self) -> None:
            super().__init__()
            self.setWindowTitle("Drag")
            label = QtWidgets.QLabel(f"The Drag plugin could not be loaded: {reason}.\n\n{HINT}")
            label.setWordWrap(True)
            self.setWidget(label)

        def canvasChanged(self, canvas: Any) -> None:  # noqa: N802 Krita's name
            """Krita calls this when another document comes to the front."""

    places = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase)
    krita.addDockWidgetFactory(DockWidgetFactory("krita_drag", places.DockRight, FailedDocker))
