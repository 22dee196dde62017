"""The whole way in the real Krita with the real engine and the real face model: from a photo to a result and back.

One story in one Krita, told in order: the first test prepares the photo, which takes longest, the others go on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from desktop import Desktop
from krita_session import Profile
from numpy.typing import NDArray
from plugin_session import PluginSession, plugin_running

CORNER_OF_MOUTH, TARGET = (209.0, 144.0), (203.0, 138.0)
WHOLE = (0, 0, 512, 512)
BACKGROUND = "Background"


@pytest.fixture(scope="module")
def krita(
    template: Profile, desktop: Desktop, models_folder: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSession]:
    folder = tmp_path_factory.mktemp("story")
    with plugin_running(template, desktop, folder, models_folder, document=photo) as session:
        session.run("photo = k.activeDocument().pixelData(0, 0, 512, 512).data()")
        yield session


def picture(krita: PluginSession, layer: str) -> NDArray[np.uint8]:
    """Return a layer as (height, width, BGRA)."""
    return np.frombuffer(krita.pixels(layer, WHOLE), np.uint8).reshape(512, 512, 4)


def composite_is_the_photo(krita: PluginSession) -> bool:
    return bool(krita.run("k.activeDocument().pixelData(0, 0, 512, 512).data() == photo"))


def put_one_pair(krita: PluginSession) -> None:
    krita.view(2)
    krita.place_pair(CORNER_OF_MOUTH, TARGET)


def test_three_clicks_and_one_gesture(krita: PluginSession) -> None:
    krita.prepare()
    put_one_pair(krita)
    krita.drag()
    assert krita.run("edit().session.shown.distance_px") < 2
    assert krita.run("[n.name() for n in layers()]") == [BACKGROUND, "Drag markers"], "the preview is on the overlay"
    name = krita.apply()
    assert name == "[Drag] faces 1 point"
    result = picture(krita, name)
    assert result[..., 3].max() == 255
    rows, columns = np.nonzero(result[..., 3])
    assert len(rows) < 512 * 512 / 2, "only what moved is laid over"
    x, y = (round(value) for value in TARGET)
    assert columns.min() < x < columns.max() and rows.min() < y < rows.max()


def test_the_result_changes_what_it_should_and_nothing_else(krita: PluginSession) -> None:
    source = picture(krita, BACKGROUND)
    assert source.tobytes() == krita.run("photo")
    result = picture(krita, "[Drag] faces 1 point")
    data = krita.run("k.activeDocument().pixelData(0, 0, 512, 512)")
    shown = np.frombuffer(data, np.uint8).reshape(512, 512, 4)
    outside = result[..., 3] == 0
    assert np.array_equal(shown[outside], source[outside])
    assert np.array_equal(shown[result[..., 3] == 255], result[result[..., 3] == 255])
    changed = np.abs(shown[..., :3].astype(int) - source[..., :3]).max(axis=-1)
    mouth = changed[130:160, 195:245]
    assert mouth.max() > 30, "the corner of the mouth did not move"
    alpha = result[..., 3]
    assert ((alpha > 0) & (alpha < 255)).sum() > 100, "the edge is not feathered"


def test_one_undo_step(krita: PluginSession) -> None:
    names = krita.run("[n.name() for n in layers()]")
    assert names == [BACKGROUND, "[Drag] faces 1 point", "Drag markers"]
    krita.run("k.action('edit_undo').trigger()")
    krita.until("[n.name() for n in layers()] == ['Background', 'Drag markers']")
    krita.settle()
    assert composite_is_the_photo(krita)
    krita.run("k.action('edit_redo').trigger()")
    krita.until("len(layers()) == 3")
    krita.settle()
    assert not composite_is_the_photo(krita)
    krita.run("k.action('edit_undo').trigger()")
    krita.until("len(layers()) == 2")


def test_stop_keeps_what_is_shown_and_the_next_drag_goes_on(krita: PluginSession) -> None:
    krita.click_button("Place points")
    krita.until("docker._overlay is not None and docker._overlay.editing")
    krita.click_button("Clear")
    krita.until("not edit().editor.pairs")
    krita.view(2)
    krita.pull(CORNER_OF_MOUTH, (150.0, 100.0))  # farther than a face can go
    krita.until("len(edit().editor.pairs) == 1")
    history = krita.run("edit().session.shown.undos")
    krita.run("docker._desk.choose('solver', 'draggan')")  # which takes its time
    krita.click_button("Drag")
    krita.until("edit().session.stage.value == 'dragging' and edit().session.shown.step > 1")
    krita.click_button("Stop")
    krita.wait_for_stage("ready")
    assert krita.run("edit().session.shown.patch is not None"), "Stop keeps the frame"
    assert krita.run("edit().session.shown.undos") == history + 1
    krita.run("edit().session.go_to(history)", history=history)
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == history", history=history)


def test_an_engine_that_is_killed_comes_back_and_the_edit_goes_on(krita: PluginSession) -> None:
    krita.click_button("Drag")
    krita.wait_for_stage("dragging")
    krita.until("edit().session.shown.step > 2")
    old = krita.engine_pid()
    os.kill(old, signal.SIGKILL)
    krita.until("not docker.view().engine_text.startswith('Engine ready')")
    krita.wait_for_engine()
    assert krita.engine_pid() != old
    krita.wait_for_stage("dragging", "ready")
    if krita.stage == "dragging":
        krita.click_button("Stop")
    krita.wait_for_stage("ready", timeout_s=300)
    assert krita.run("edit().session.problem") is None, krita.message
    krita.run("docker._desk.choose('solver', 'newton')")
    krita.no_dialog()


def test_the_selection_limits_what_may_move(krita: PluginSession) -> None:
    krita.click_button("Clear")
    krita.view(2)
    krita.pull(CORNER_OF_MOUTH, TARGET)
    krita.until("len(edit().editor.pairs) == 1")
    krita.run("edit().session.go_to(0)")
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == 0")
    krita.run(
        "from krita import Selection\n"
        "selection = Selection(); selection.select(190, 125, 40, 35, 255)\n"
        "k.activeDocument().setSelection(selection)"
    )
    krita.drag()
    name = krita.apply()
    alpha = picture(krita, name)[..., 3]
    rows, columns = np.nonzero(alpha)
    assert rows.size
    assert columns.min() >= 190 and columns.max() < 230 and rows.min() >= 125 and rows.max() < 160
    krita.run("k.activeDocument().setSelection(None)")


def test_a_locked_source_is_read_and_stays_as_it_is(krita: PluginSession) -> None:
    krita.run("layer('Background').setLocked(True)")
    krita.click_button("Place points")
    krita.drag()
    krita.apply()
    assert picture(krita, BACKGROUND).tobytes() == krita.run("photo")
    assert krita.run("layer('Background').locked()")
    assert krita.run("[n.visible() for n in layers() if n.name().startswith('[Drag]')]") == [False, True], "the latest"


def test_saved_and_reopened(krita: PluginSession, template: Profile, desktop: Desktop, models_folder: Path) -> None:
    names = krita.run("[n.name() for n in layers()]")
    top = krita.run("k.activeDocument().pixelData(0, 0, 512, 512)")
    path = krita.krita.folder / "saved.kra"
    krita.save_as(path)
    folder = krita.krita.folder / "again"
    folder.mkdir()
    with plugin_running(template, desktop, folder, models_folder, document=path) as again:
        assert again.run("[n.name() for n in layers()]") == names
        assert again.run("k.activeDocument().pixelData(0, 0, 512, 512)") == top
        again.wait_for_engine()
        again.until("len(edit().editor.pairs) == 1")
        again.run("select(layer('[Drag] faces 1 point'))")
        again.run("edit().reopen()")
        again.wait_for_stage("ready", timeout_s=60)
        assert again.run("edit().session.shown.undos") >= 1


def test_the_edit_goes_with_its_layer(krita: PluginSession) -> None:
    box = "[edit().session.box.x, edit().session.box.y]"
    krita.run("layer('Background').setLocked(False)")
    krita.click_button("Place points")
    krita.run("layer('Background').move(7, -4)")
    krita.until(f"{box} == [7, -4]")
    krita.run("k.activeDocument().crop(10, 20, 400, 400)")
    krita.until(f"{box} == [-3, -24]")
    assert krita.run("edit().scene.corners[0].x") < 400
    krita.run("k.activeDocument().scaleImage(200, 200, 300, 300, 'Bicubic')")
    krita.settle()
    krita.click_button("Drag")
    krita.until("edit().session.problem is not None and 'scaled' in edit().session.problem.message")
    krita.run("edit().session.dismiss(); edit().set_editing(False)")
    krita.run("k.action('edit_undo').trigger()")
    krita.until("k.activeDocument().width() == 400")
    assert krita.run("edit()._follow_layer()")


def test_a_document_that_is_closed_during_a_drag(krita: PluginSession) -> None:
    engine = krita.engine_pid()
    krita.run("docker._desk.choose('solver', 'draggan')")  # which takes its time
    krita.click_button("Place points")
    krita.until("docker._overlay is not None and docker._overlay.editing")
    krita.click_button("Clear")
    krita.until("not edit().editor.pairs")
    krita.pull(CORNER_OF_MOUTH, (150.0, 100.0))
    krita.until("len(edit().editor.pairs) == 1")
    krita.click_button("Drag")
    krita.until("edit().session.stage.value == 'dragging' and edit().session.shown.step > 0")
    krita.run("doc = k.activeDocument(); doc.setModified(False); doc.close()")
    krita.until("len(k.documents()) == 0")
    krita.until("docker._edit is None and not docker._desk._edits")
    assert "Open a picture" in krita.message
    assert krita.engine_pid() == engine
    assert Path(f"/proc/{engine}").exists()
