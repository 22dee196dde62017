"""The PyQt that the running Krita carries: PyQt5 in Krita 5, PyQt6 in Krita 6.

Never found by trying: Krita 5.0 to 5.2 would load a second Qt into the same process. Enums are written in their
scoped form (`Qt.MouseButton.LeftButton`), which both understand.
"""

from __future__ import annotations

try:
    import pykrita

    MAJOR = pykrita.qt_major_version() if hasattr(pykrita, "qt_major_version") else 5
except ImportError:  # outside Krita: the tests
    MAJOR = 5

if MAJOR == 6:
    from PyQt6 import QtCore, QtGui, QtWidgets, sip
else:
    from PyQt5 import QtCore, QtGui, QtWidgets, sip

__all__ = ["MAJOR", "Qt", "QtCore", "QtGui", "QtWidgets", "Signal", "event_position", "give_back", "is_alive"]

Qt = QtCore.Qt
Signal = QtCore.pyqtSignal


def event_position(event: QtGui.QInputEvent) -> QtCore.QPointF:
    """Return where a mouse or pen event is, with its sub-pixel part, in its widget's frame."""
    for name in ("position", "localPos", "posF"):  # Qt 6; Qt 5 mouse; Qt 5 pen
        if hasattr(event, name):
            return QtCore.QPointF(getattr(event, name)())
    raise TypeError(f"{type(event).__name__} has no position")


def give_back(wrappers: list) -> list:
    """Let Python own what Krita returned in a list: its lists leave every wrapper to nobody, which leaks."""
    for wrapper in wrappers:
        if isinstance(wrapper, sip.wrapper):
            sip.transferback(wrapper)
    return wrappers


def is_alive(widget: object) -> bool:
    """Whether the C++ half of a Qt object still exists."""
    return not sip.isdeleted(widget)
