"""The composition root: what Krita loads, and who holds what for how long."""

from __future__ import annotations

from typing import Any

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension

from . import translate
from .actions import create_actions
from .desk import Desk
from .docker import DragDocker
from .guard import guarded
from .link import EngineLink
from .places import data_dir
from .qt import QtCore

DOCKER_ID = "krita_drag"


class DragExtension(Extension):
    """What Krita knows of us besides the dockers: actions, and when documents and Krita itself close.

    Args:
        krita: `Krita.instance()`.
        desk: what all windows share.
    """

    def __init__(self, krita: Any, desk: Desk) -> None:
        super().__init__(krita)
        self._krita, self._desk = krita, desk
        self._notifier: Any | None = None

    def setup(self) -> None:
        """Krita calls this once; its notifier is not there yet."""

    @guarded
    def createActions(self, window: Any) -> None:  # noqa: N802 Krita's name
        """Krita calls this for each new window."""
        create_actions(window, self._desk)
        if self._notifier is None:
            self._notifier = self._krita.notifier()
            self._notifier.setActive(True)
            self._notifier.imageClosed.connect(self._image_closed)
            self._notifier.imageSaved.connect(guarded(self._desk.warn_saved))
            self._notifier.applicationClosing.connect(guarded(self._desk.close))

    @guarded
    def _image_closed(self) -> None:
        QtCore.QTimer.singleShot(0, self._desk.forget_closed)  # Krita still lists the document now


def register(krita: Any) -> None:
    """Add the docker and the actions to Krita.

    Args:
        krita: `Krita.instance()`.
    """
    translate.load(QtCore.QLocale().name())
    desk = Desk(krita, EngineLink(data_dir(), krita.version()))

    class Docker(DragDocker):
        """Krita makes dockers without arguments."""

        def __init__(self) -> None:
            super().__init__(desk)

    places = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase)
    krita.addDockWidgetFactory(DockWidgetFactory(DOCKER_ID, places.DockRight, Docker))
    krita.addExtension(DragExtension(krita, desk))
