"""What a drag and its result can be besides the usual: live, as frames on the timeline, with a mask of its own.

One photo in one Krita, prepared once; the tests are told in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from desktop import Desktop
from krita_session import Profile
from numpy.typing import NDArray
from plugin_session import PluginSession, plugin_running

CORNER_OF_MOUTH, TARGET = (209.0, 144.0), (203.0, 138.0)
LIPS = (216.0, 134.0, 246.0, 158.0)  # what moves along, free of markers
WHOLE = (0, 0, 512, 512)
LIVE = "Live: follow while I pull"


@pytest.fixture(scope="module")
def krita(
    template: Profile, desktop: Desktop, models_folder: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSession]:
    folder = tmp_path_factory.mktemp("options")
    with plugin_running(template, desktop, folder, models_folder, document=photo) as session:
        session.run("photo = k.activeDocument().pixelData(0, 0, 512, 512).data()")
        session.prepare(steps=6)
        session.view(2)
        session.until("edit().editing and docker._overlay is not None and docker._overlay.editing")
        yield session


def document_is_the_photo(krita: PluginSession) -> bool:
    """Whether the document is as it was opened, apart from the markers."""
    krita.run("edit().markers.set_visible(False); k.activeDocument().refreshProjection()")
    same = krita.run("k.activeDocument().pixelData(0, 0, 512, 512).data() == photo")
    krita.run("edit().markers.set_visible(edit().editing); k.activeDocument().refreshProjection()")
    return bool(same)


def difference(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    return float(np.abs(before - after).max(axis=-1).mean())


def test_live_mode_follows_the_pointer_on_the_overlay(krita: PluginSession) -> None:
    krita.click_button(LIVE)
    krita.until("docker._desk.settings.live")
    still = krita.screen(LIPS)
    krita.hold(CORNER_OF_MOUTH, TARGET)
    krita.until("edit().session.stage.value == 'live' and edit().scene.preview is not None")
    try:
        krita.until("edit().session.shown.distance_px < 2", 20)
    except BaseException:
        print(
            krita.run(
                "[repr(edit().session.shown.__dict__)[:2000], edit().session.stage.value, edit().session.tracked]"
            )
        )
    held = krita.screen(LIPS)
    assert difference(still, held) > 3, "nothing is seen of the preview"
    assert krita.run("edit().editor.held is not None"), "the picture follows while the button is held"
    assert krita.run("k.activeDocument().pixelData(0, 0, 512, 512).data() == photo")
    shown = krita.run("len(edit().session.shown.frames)")
    krita.move_on(TARGET, (215.0, 150.0))  # the other way
    krita.until("len(edit().session.shown.frames) > shown", shown=shown)
    assert difference(held, krita.screen(LIPS)) > 3, "the preview does not follow"
    krita.move_on((215.0, 150.0), TARGET)
    krita.desktop.release()
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == 1", 120)
    assert krita.run("edit().session.problem") is None, krita.message
    assert krita.run("edit().session.shown.distance_px") < 2
    assert krita.pairs[0][1] == pytest.approx(TARGET, abs=1)
    assert krita.run("[n.name() for n in layers()]") == ["Background", "Drag markers"]
    assert document_is_the_photo(krita)


def test_escape_takes_a_live_gesture_back_and_the_picture_with_it(krita: PluginSession) -> None:
    before, pairs = krita.screen(LIPS), krita.pairs
    krita.hold(TARGET, (215.0, 150.0))  # the end of the pair that is there
    krita.until("edit().session.stage.value == 'live' and len(edit().session.shown.frames) > 0")
    krita.until("edit().session.shown.distance_px is not None and edit().session.shown.step > 0")
    krita.desktop.key("Escape")
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == 1")
    krita.desktop.release()
    assert krita.pairs == pairs
    krita.until("not docker._refresh.isActive()")
    assert difference(before, krita.screen(LIPS)) < 3, "the picture has kept what was taken back"


def test_a_click_in_live_mode_changes_nothing(krita: PluginSession) -> None:
    pairs = krita.pairs
    (place,) = krita.run("to_screen([[250.0, 100.0]])")
    krita.desktop.click(place)
    krita.until("edit().editor.held is None and edit().session.stage.value == 'ready'")
    krita.settle()
    assert krita.run("[edit().session.stage.value, edit().session.shown.undos]") == ["ready", 1]
    assert krita.run("edit().session.problem") is None, krita.message
    assert krita.pairs == pairs


def test_what_was_dragged_live_becomes_a_layer(krita: PluginSession) -> None:
    on_overlay = krita.screen(LIPS)
    name = krita.apply()
    assert krita.run("edit().scene.preview is None")
    krita.until("docker._overlay is None")
    assert difference(on_overlay, krita.screen(LIPS)) < 3, "the layer is not what the overlay showed"
    assert krita.run("[n.name() for n in layers()]") == ["Background", name, "Drag markers"]
    assert krita.run("layer('Background').pixelData(0, 0, 512, 512).data() == photo")
    assert np.frombuffer(krita.pixels(name, WHOLE), np.uint8).reshape(512, 512, 4)[..., 3].max() == 255
    krita.click_button(LIVE)
    krita.until("not docker._desk.settings.live")
    krita.run("k.action('edit_undo').trigger()")
    krita.until("len(layers()) == 2")
