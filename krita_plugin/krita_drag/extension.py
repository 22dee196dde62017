"""The composition root: what Krita loads, and who holds what for how long."""

from __future__ import annotations

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from .docker import DragDocker
from .guard import guarded

DOCKER_ID = "krita_drag"


class DragExtension(Extension):
    """What Krita knows of us besides the dockers: the actions of its menus and shortcuts."""

    def setup(self) -> None:
        """Krita calls this once; nothing is needed before the first window."""

    @guarded
    def createActions(self, window: object) -> None:  # noqa: N802 Krita's name
        """Krita calls this for each new window."""


def register(krita: Krita) -> None:
    """Add the docker and the actions to Krita.

    Args:
        krita: `Krita.instance()`.
    """
    places = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase)
    krita.addDockWidgetFactory(DockWidgetFactory(DOCKER_ID, places.DockRight, DragDocker))
    krita.addExtension(DragExtension(krita))
