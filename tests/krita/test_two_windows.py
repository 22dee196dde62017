"""Two windows of one Krita: each docker is bound to the document in front of its own window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desktop import Desktop
from krita_session import Profile
from PIL import Image
from plugin_session import PluginSession, plugin_running

CORNER_OF_MOUTH, TARGET = (209.0, 144.0), (203.0, 138.0)
NAMES = "[n.name() for n in layers()]"


@pytest.fixture(scope="module")
def krita(
    template: Profile, desktop: Desktop, models_folder: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSession]:
    """The photo in the first window, another picture in the second."""
    folder = tmp_path_factory.mktemp("windows")
    other = folder / "other.png"
    Image.new("RGB", (300, 200), (250, 240, 230)).save(other)
    with plugin_running(template, desktop, folder, models_folder, document=photo) as session:
        session.wait_for_engine()
        session.run("windows = [k.activeWindow()]; windows.append(k.openWindow())")
        session.run("windows[1].qwindow().show()")
        use(session, 1)
        session.run("other = k.openDocument(path); windows[1].addView(other)", path=str(other))
        session.until("edit() is not None and edit().document.krita == other")
        yield session


def use(krita: PluginSession, number: int) -> None:
    """Bring a window to the front; buttons and canvas are its own from then on."""
    krita.run(
        "from PyQt5.QtWidgets import QDockWidget\n"
        "window = windows[number].qwindow()\n"
        "docker = window.findChild(QDockWidget, 'krita_drag')\n"
        "[d.setVisible(d is docker) for d in window.findChildren(QDockWidget)]\n"
        "window.showMaximized(); window.raise_(); window.activateWindow()",
        number=number,
    )
    krita.until("k.activeWindow() is not None and k.activeWindow().qwindow() is window")
    krita.until("docker.isVisible() and docker.height() > 250")


def test_each_docker_has_the_document_of_its_window(krita: PluginSession) -> None:
    use(krita, 0)
    krita.until("edit() is not None and edit().document.krita.width() == 512")
    first = krita.run("docker.view().source_text")
    use(krita, 1)
    assert krita.run("edit().document.krita.width()") == 300
    use(krita, 0)
    assert krita.run("edit().document.krita.width()") == 512
    assert first == krita.run("docker.view().source_text") == "Background"


def test_a_drag_in_one_window_leaves_the_other_alone(krita: PluginSession) -> None:
    use(krita, 0)
    krita.prepare(steps=6)
    krita.view(2)
    krita.place_pair(CORNER_OF_MOUTH, TARGET)
    use(krita, 1)
    before = krita.run("other.pixelData(0, 0, 300, 200)")
    assert krita.run("[edit().session.stage.value, docker._overlay, edit().editor.pairs]") == ["empty", None, []]
    use(krita, 0)
    krita.drag()
    use(krita, 1)
    assert krita.run("[edit().session.stage.value, docker._overlay]") == ["empty", None]
    krita.click_button("Place points")
    krita.until("docker._overlay is not None and docker._overlay.editing")
    krita.pull((100.0, 100.0), (150.0, 120.0))
    krita.until("len(edit().editor.pairs) == 1")
    assert krita.pairs[0][0] == pytest.approx((100, 100), abs=1)
    krita.click_button("Clear")
    krita.click_button("Place points")
    krita.until("docker._overlay is None")
    assert krita.run("other.pixelData(0, 0, 300, 200)") == before
    use(krita, 0)
    assert krita.pairs[0][1] == pytest.approx(TARGET, abs=1)
    assert krita.run("edit().session.stage.value") == "ready"


def test_one_document_in_both_windows_is_one_edit(krita: PluginSession) -> None:
    krita.run("photo = edit().document.krita; windows[1].addView(photo)")
    use(krita, 1)
    krita.until("edit() is not None and edit().document.krita == photo")
    krita.until("docker._overlay is not None and docker._overlay.editing")
    krita.view(1)
    krita.pull((300.0, 300.0), (320.0, 310.0))
    krita.until("len(edit().editor.pairs) == 2")
    assert krita.pairs[1][0] == pytest.approx((300, 300), abs=1)
    krita.desktop.key("Delete")
    krita.until("len(edit().editor.pairs) == 1")
    name = krita.apply()
    use(krita, 0)
    assert krita.run(NAMES) == ["Background", name, "Drag markers"]
    krita.until("docker._overlay is None and not edit().editing")


def test_a_window_that_is_closed_takes_nothing_along(krita: PluginSession) -> None:
    use(krita, 1)
    krita.run("other.setModified(False); windows[1].qwindow().close()")
    krita.until("len(k.windows()) == 1")
    use(krita, 0)
    krita.until("edit() is not None and edit().document.krita == photo")
    krita.click_button("Place points")
    krita.until("docker._overlay is not None and docker._overlay.editing")
    krita.drag()
