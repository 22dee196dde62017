"""The docker in a window: bound to the document in front, and readable at every scale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fake_krita
import krita_drag
import pytest
from krita_drag import extension
from krita_drag.actions import DESK_ACTIONS, EDIT_ACTIONS
from krita_drag.docker import DragDocker
from krita_drag.edit_state import Stage
from krita_drag.geometry import Point
from krita_drag.link_status import LinkState, LinkStatus
from krita_drag.pairs import Pair
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets

PLUGIN = Path(krita_drag.__file__).parent


@pytest.fixture
def registered(krita: Any, document: Any, home: Path) -> Iterator[Any]:
    extension.register(krita)
    yield krita
    krita.notifier().applicationClosing.emit()
    krita.extensions[0]._desk.close()


@pytest.fixture
def docker(registered: Any, settle: Any) -> Iterator[DragDocker]:
    made = registered.factories[0].make()
    window = registered.open_windows[0].qwindow()
    window.addDockWidget(QtCore.Qt.RightDockWidgetArea, made)
    made.canvasChanged(None)
    settle(lambda: made._edit is not None)
    made.refresh()
    yield made
    window.close()
    made.close()


def buttons(docker: DragDocker) -> dict[str, QtWidgets.QAbstractButton]:
    return {button.text(): button for button in docker.findChildren(QtWidgets.QAbstractButton)}


def test_the_docker_is_bound_to_the_document_in_front(
    docker: DragDocker, krita: Any, document: Any, settle: Any
) -> None:
    assert docker._edit is not None and docker._edit.document.krita is document
    other = fake_krita.Document()
    other.add(fake_krita.Node(other, "Other", "paintlayer")).setPixelData(b"abcd", 0, 0, 1, 1)
    window = krita.open_windows[0]
    window.view = fake_krita.View(other)
    docker.canvasChanged(None)
    settle(lambda: docker._edit.document.krita is other)
    window.view = None
    docker.canvasChanged(None)
    settle(lambda: docker._edit is None)
    docker.refresh()
    assert not buttons(docker)["Drag"].isEnabled()


def test_two_windows_show_the_document_that_is_in_front_of_each(registered: Any, document: Any, settle: Any) -> None:
    other = fake_krita.Document()
    other.add(fake_krita.Node(other, "Other", "paintlayer"))
    registered.open_windows.append(fake_krita.Window(fake_krita.View(other)))
    dockers = []
    for window in registered.open_windows:
        made = registered.factories[0].make()
        made.setParent(window.qwindow())
        made.canvasChanged(None)
        dockers.append(made)
    settle(lambda: all(made._edit for made in dockers))
    assert [made._edit.document.krita for made in dockers] == [document, other]
    registered.open_windows[1].view = fake_krita.View(document)
    dockers[1].canvasChanged(None)
    settle(lambda: dockers[1]._edit is dockers[0]._edit)


def test_the_engine_is_started_when_the_docker_is_seen(docker: DragDocker, settle: Any) -> None:
    assert docker._desk.link_status.state is LinkState.OFF
    docker.parent().show()
    settle(lambda: docker._desk.link_status.state is LinkState.NOT_INSTALLED)
    settle(lambda: "Install…" in buttons(docker))


def test_clicks_reach_the_edit(docker: DragDocker, document: Any, settle: Any) -> None:
    buttons(docker)["Place points"].click()
    assert docker._edit.editing
    settle(lambda: document.activeNode().name() == "Photo")
    docker.refresh()
    assert buttons(docker)["Place points"].isChecked()
    docker._desk.link.status = LinkStatus(LinkState.READY)
    docker.refresh()
    assert buttons(docker)["Prepare photo"].isEnabled()
    docker._edit.editor.press(Point(1, 1), 1)
    docker._edit.gestures.released(docker._edit.editor.release(Point(9, 9)))
    docker.refresh()
    assert buttons(docker)["Drag"].isEnabled() and buttons(docker)["Clear"].isEnabled()
    buttons(docker)["Clear"].click()
    assert docker._edit.editor.pairs == ()
    live = buttons(docker)["Live: follow while I pull"]
    live.click()
    assert docker._desk.settings.live


def test_a_docker_without_a_document_takes_clicks_without_a_word(
    docker: DragDocker, krita: Any, settle: Any, caplog: pytest.LogCaptureFixture
) -> None:
    krita.open_windows[0].view = None
    docker.canvasChanged(None)
    settle(lambda: docker._edit is None)
    for button in docker.findChildren(QtWidgets.QAbstractButton):
        button.setEnabled(True)
        if button.text() != "Install…":
            button.click()
    assert not caplog.records, "slots log what fails in them"


@pytest.mark.parametrize("key", [QtCore.Qt.Key_Delete, QtCore.Qt.Key_Escape])
def test_keys_on_a_button_are_the_points_while_they_are_placed(docker: DragDocker, key: int) -> None:
    """Krita would clear the layer: the focus is on the button that was pressed last."""
    button = buttons(docker)["Place points"]
    asked = QtGui.QKeyEvent(QtCore.QEvent.ShortcutOverride, key, QtCore.Qt.NoModifier)
    asked.ignore()
    QtWidgets.QApplication.sendEvent(button, asked)
    assert not asked.isAccepted(), "nobody places points"
    button.click()
    docker._edit.editor.replace([Pair(1, Point(5, 5), Point(9, 8))])
    QtWidgets.QApplication.sendEvent(button, asked)
    assert asked.isAccepted()
    QtTest.QTest.keyClick(button, key)
    assert (docker._edit.editing, len(docker._edit.editor.pairs)) == (
        (True, 0) if key == QtCore.Qt.Key_Delete else (False, 1)
    )


def test_the_great_buttons_are_in_sight_however_low_the_docker_is(docker: DragDocker, settle: Any) -> None:
    docker.setFloating(True)
    docker.resize(300, docker.minimumSizeHint().height())
    docker._edit.session.note("A long note. " * 20)
    docker.show()
    docker.refresh()
    settle()
    for text in ("Drag", "Apply as new layer"):
        button = buttons(docker)[text]
        assert button.visibleRegion().boundingRect() == button.rect()


def test_a_docker_asks_for_room_when_it_is_first_seen(docker: DragDocker, krita: Any) -> None:
    assert docker._desk.is_first_sight() and not docker._desk.is_first_sight()


def test_a_message_can_be_copied(docker: DragDocker) -> None:
    from krita_drag.wire.errors import NoLayer

    docker._edit.session.report(NoLayer("No layer is selected.", "Select one."))
    docker.refresh()
    buttons(docker)["Copy"].click()
    assert QtWidgets.QApplication.clipboard().text() == "No layer is selected. [no-layer]\nSelect one."
    buttons(docker)["Close"].click()
    docker.refresh()
    assert docker._edit.session.problem is None


def test_diagnostics_hold_neither_address_nor_code_however_wrong_they_are(docker: DragDocker, settle: Any) -> None:
    desk = docker._desk
    desk.connect_to("drag://studio.example:70000/" + "ab" * 32 + "#SECRETCODE")
    settle(lambda: desk.link_status.state is LinkState.FAILED)
    told = desk.diagnostics()
    assert "[bad-option]" in told
    assert "studio" not in told and "SECRETCODE" not in told and "abab" not in told


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_nothing_is_cut_off_in_a_narrow_column(docker: DragDocker, application: Any, settle: Any, scale: float) -> None:
    font = QtGui.QFont(application.font())
    font.setPixelSize(round(13 * scale))
    docker.setFont(font)
    docker._desk.choose("advanced_open", True)
    docker.setFloating(True)
    docker.resize(round(16 * QtGui.QFontMetrics(font).height()), 900)
    docker.show()
    docker.refresh()
    settle()
    area = docker.findChild(QtWidgets.QScrollArea)
    assert area.widget().width() <= area.viewport().width()
    for button in docker.findChildren(QtWidgets.QPushButton):
        if button.isVisible():
            text_px = button.fontMetrics().horizontalAdvance(button.text())
            assert text_px <= button.width(), button.text()


def test_no_button_moves_whatever_is_told(docker: DragDocker, settle: Any) -> None:
    from krita_drag.wire.errors import NoLayer

    docker.setFloating(True)
    docker.resize(260, 700)
    docker.show()
    lasting = ("Place points", "Clear", "Live: follow while I pull", "Apply as new layer", "Advanced")
    session, places = docker._edit.session, set()

    def look() -> None:
        docker.refresh()
        settle()
        there = buttons(docker)
        drag = next(button for text, button in there.items() if text in ("Drag", "Stop"))
        shown = [there[text] for text in lasting] + [drag]
        places.add(tuple(button.mapTo(docker, QtCore.QPoint(0, 0)).y() for button in shown))

    states = [
        LinkStatus(state, error=NoLayer("Gone. " * 20, "Do. " * 20) if state is LinkState.FAILED else None)
        for state in LinkState
    ]
    for status in states:
        docker._desk.link.status = status
        look()
    docker._desk.link.status = LinkStatus(LinkState.READY)
    for stage in (Stage.EMPTY, Stage.PREPARING, Stage.READY, Stage.DRAGGING, Stage.APPLYING):
        session.stage, session.shown.of, session.shown.step, session.shown.phase = stage, 20, 3, "projecting"
        look()
    session.report(NoLayer("No layer is selected.", "Select one. " * 30))
    look()
    assert len(places) == 1, places


class Lent(fake_krita.Window):
    """The window that Krita hands over for its actions: its C++ half is gone afterwards."""

    def activeView(self) -> Any:  # noqa: N802 Krita's name
        raise RuntimeError("wrapped C/C++ object of type Window has been deleted")


def test_every_action_exists_and_is_in_the_file(registered: Any) -> None:
    window = Lent()
    registered.extensions[0].createActions(window)
    known = set(EDIT_ACTIONS) | set(DESK_ACTIONS)
    assert set(window.actions) == known and all(name.startswith("krita_drag_") for name in known)
    tree = ElementTree.parse(PLUGIN.parent / "krita_drag.action")
    assert {action.get("name") for action in tree.iter("Action")} == known
    assert all(not shortcut.text for shortcut in tree.iter("shortcut"))


def test_actions_reach_the_edit_in_front(registered: Any, document: Any, caplog: pytest.LogCaptureFixture) -> None:
    window = Lent()
    registered.extensions[0].createActions(window)
    edit = registered.extensions[0]._desk.edit_for(document)
    window.actions["krita_drag_place_points"].trigger()
    assert edit.editing
    for action in window.actions.values():
        action.trigger()
    registered.open_windows[0].view = None
    for action in window.actions.values():
        action.trigger()
    assert not caplog.records


def test_a_shortcut_does_nothing_while_its_button_is_off(registered: Any, document: Any) -> None:
    window = Lent()
    registered.extensions[0].createActions(window)
    desk = registered.extensions[0]._desk
    edit = desk.edit_for(document)
    for state in (LinkState.FAILED, LinkState.CONNECTING, LinkState.READY):
        desk.link.status = LinkStatus(state)
        for name in ("toggle", "undo", "redo", "compare", "apply", "reopen"):
            window.actions[f"krita_drag_{name}"].trigger()
        assert edit.session.stage is Stage.EMPTY and edit.session.problem is None and not edit.show_inverted
    desk.link.status = LinkStatus(LinkState.CONNECTING)
    window.actions["krita_drag_prepare"].trigger()
    assert edit.reader.fraction is None, "the layer is read, but there is nobody to send it to"
    desk.link.status = LinkStatus(LinkState.READY)
    window.actions["krita_drag_prepare"].trigger()
    assert edit.reader.fraction is not None
    window.actions["krita_drag_toggle"].trigger()
    assert edit.reader.fraction is None, "the button says Stop meanwhile"


def test_closing_a_document_ends_its_edit(docker: DragDocker, registered: Any, document: Any, settle: Any) -> None:
    registered.extensions[0].createActions(Lent())
    edit = docker._edit
    document.close()
    registered.open_windows[0].view = None
    registered.notifier().imageClosed.emit("photo")
    settle(lambda: edit.session.stage.value == "closed")
    docker.canvasChanged(None)
    settle(lambda: docker._edit is None)


def test_a_plugin_that_cannot_be_loaded_says_so(krita: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krita_drag.extension", None)
    monkeypatch.delattr(krita_drag, "extension", raising=False)
    krita_drag.start(krita)
    docker = krita.factories[0].make()
    assert "could not be loaded" in docker.widget().text() and "install.py" in docker.widget().text()
    docker.canvasChanged(None)
