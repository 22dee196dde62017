"""What the tests of the plugin share: Qt without a screen, and a stand-in for Krita."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import krita_drag
import pytest

assert krita_drag.Krita is None, "the plugin must be inert outside Krita"
try:
    import PyQt5.QtWidgets

    HAS_QT = PyQt5.QtWidgets is not None
except ImportError:  # not there, or without the system's libraries that it needs, such as libGL
    HAS_QT = False
NEED_QT = ("canvas", "docker", "plugin_document", "plugin_edit", "link", "plugin_markers")
collect_ignore = [] if HAS_QT else [f"test_{name}.py" for name in NEED_QT]

if HAS_QT:
    sys.path.insert(0, str(Path(__file__).parent))
    import fake_krita

    sys.modules["krita"] = fake_krita


@pytest.fixture(scope="session")
def application() -> Any:
    """Qt, running without a screen."""
    from PyQt5 import QtWidgets

    # by argument, not by environment: the tests inside the real Krita start programs that need a screen
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["tests", "-platform", "offscreen"])


@pytest.fixture
def krita(application: Any) -> Any:
    """A Krita without documents."""
    fake_krita.Krita.the_instance = fake_krita.Krita()
    return fake_krita.Krita.the_instance


@pytest.fixture
def document(krita: Any) -> Any:
    """A document of 64 x 48 pixels with one layer that has a picture, in a window of its own."""
    made = fake_krita.Document()
    layer = made.add(fake_krita.Node(made, "Photo", "paintlayer"))
    layer.setPixelData(bytes(range(256)) * 48, 0, 0, 64, 48)
    krita.open_documents.append(made)
    krita.open_windows.append(fake_krita.Window(fake_krita.View(made)))
    return made


@pytest.fixture
def settle(application: Any) -> Any:
    """Let Qt do what is due, and return; with a condition: until it holds."""
    from PyQt5 import QtCore

    def run(until: Any = None) -> None:
        for _ in range(200):
            application.processEvents()
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
            if until is None or until():
                return
            QtCore.QThread.msleep(10)
        raise AssertionError("what was waited for did not happen")

    return run
