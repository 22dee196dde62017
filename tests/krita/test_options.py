"""What a drag and its result can be besides the usual: live, as frames on the timeline, with a mask of its own.

One photo in one Krita, prepared once; the tests are told in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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


PLACES = """
places = set()

def look():
    lasting = [button("Place points"), button("Apply as new layer"), button("Drag") or button("Stop")]
    body = docker.findChildren(QScrollArea)[0].widget()
    frames = [body if body.isAncestorOf(one) else docker for one in lasting]
    places.add(tuple(one.mapTo(frame, QPoint(0, 0)).y() for one, frame in zip(lasting, frames)))

from PyQt5.QtWidgets import QScrollArea
watch = QTimer()
watch.timeout.connect(look)
watch.start(50)
"""


@pytest.fixture(scope="module")
def krita(
    template: Profile, desktop: Desktop, models_folder: Path, photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PluginSession]:
    folder = tmp_path_factory.mktemp("options")
    with plugin_running(template, desktop, folder, models_folder, document=photo) as session:
        session.run("photo = k.activeDocument().pixelData(0, 0, 512, 512).data()")
        session.run(PLACES)
        session.prepare(steps=6)
        session.view(2)
        session.until("edit().editing and docker._overlay is not None and docker._overlay.editing")
        session.run(
            "from krita_drag.wire import messages as wire\n"
            "previews = []\n"
            "docker._desk.link.event.connect(lambda e: previews.append(e) if isinstance(e, wire.Preview) else None)"
        )
        yield session
        session.run("watch.stop()")


def document_is_the_photo(krita: PluginSession) -> bool:
    """Whether the document is as it was opened, apart from the markers."""
    krita.run("edit().markers.set_visible(False); k.activeDocument().refreshProjection()")
    same = krita.run("k.activeDocument().pixelData(0, 0, 512, 512).data() == photo")
    krita.run("edit().markers.set_visible(edit().editing); k.activeDocument().refreshProjection()")
    return bool(same)


def difference(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    return float(np.abs(before - after).max(axis=-1).mean())


def until_seen(krita: PluginSession, condition: Callable[[NDArray[np.int64]], bool]) -> None:
    """Wait until the lips on the screen meet a condition."""
    deadline = time.monotonic() + 60
    while not condition(krita.screen(LIPS)):
        assert time.monotonic() < deadline, "the screen does not show it"


def test_live_mode_follows_the_pointer_on_the_overlay(krita: PluginSession) -> None:
    krita.click_button(LIVE)
    krita.until("docker._desk.settings.live")
    still = krita.screen(LIPS)
    krita.hold(CORNER_OF_MOUTH, TARGET)
    krita.until("edit().session.stage.value == 'live' and edit().scene.preview is not None")
    until_seen(krita, lambda lips: difference(still, lips) > 3)
    held = krita.screen(LIPS)
    assert krita.run("edit().editor.held is not None"), "the picture follows while the button is held"
    assert krita.run("k.activeDocument().pixelData(0, 0, 512, 512).data() == photo")
    shown = krita.run("len(previews)")
    krita.move_on(TARGET, (215.0, 150.0))  # the other way
    krita.until("len(previews) > shown", shown=shown)
    until_seen(krita, lambda lips: difference(held, lips) > 3)
    krita.move_on((215.0, 150.0), TARGET)
    krita.desktop.release()
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == 1", 120)
    assert krita.run("edit().session.problem") is None, krita.message
    assert krita.run("edit().session.shown.distance_px") < 2
    assert krita.pairs[0][1] == pytest.approx(TARGET, abs=1)
    assert krita.run("[n.name() for n in layers()]") == ["Background", "Drag markers"]
    assert document_is_the_photo(krita)


def test_escape_takes_a_live_gesture_back_and_the_picture_with_it(krita: PluginSession) -> None:
    before, pairs, shown = krita.screen(LIPS), krita.pairs, krita.run("len(previews)")
    krita.hold(TARGET, (215.0, 150.0))  # the end of the pair that is there
    krita.until("edit().session.stage.value == 'live' and len(previews) > shown", shown=shown)
    krita.until("edit().session.shown.distance_px is not None and edit().session.shown.step > 0")
    krita.desktop.key("Escape")
    krita.until("edit().session.stage.value == 'ready' and edit().session.shown.undos == 1")
    krita.desktop.release()
    assert krita.pairs == pairs
    until_seen(krita, lambda lips: difference(before, lips) < 3)


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
    until_seen(krita, lambda lips: difference(on_overlay, lips) < 3)
    assert krita.run("[n.name() for n in layers()]") == ["Background", name, "Drag markers"]
    assert krita.run("layer('Background').pixelData(0, 0, 512, 512).data() == photo")
    assert np.frombuffer(krita.pixels(name, WHOLE), np.uint8).reshape(512, 512, 4)[..., 3].max() == 255
    krita.click_button(LIVE)
    krita.until("not docker._desk.settings.live")
    krita.run("k.action('edit_undo').trigger()")
    krita.until("len(layers()) == 2")


def painted(krita: PluginSession) -> NDArray[np.int64]:
    """Return the document as it is, (height, width, BGR)."""
    data = krita.run("k.activeDocument().pixelData(0, 0, 512, 512)")
    return np.frombuffer(data, np.uint8).reshape(512, 512, 4)[..., :3].astype(int)


def at_frame(krita: PluginSession, time_: int) -> NDArray[np.int64]:
    """Go to a frame of the timeline and return the document there, (height, width, BGR)."""
    krita.run("k.activeDocument().setCurrentTime(time)", time=time_)
    krita.until("k.activeDocument().currentTime() == time", time=time_)
    krita.settle()
    return painted(krita)


def test_the_way_there_becomes_frames_on_the_timeline(krita: PluginSession) -> None:
    krita.click_button("Advanced")
    krita.click_button("Apply as animation")
    krita.until("docker._desk.settings.animation")
    krita.click_button("Place points")
    krita.click_button("Apply as new layer")
    krita.until("edit().session.stage.value == 'applying'")
    krita.until("not edit().editing")  # Krita takes the frames in a loop of its own events, in which nothing may wait
    krita.settle()
    name = "[Drag] faces 1 point"
    krita.run("k.action('edit_undo').trigger()")
    krita.until("[n.name() for n in layers()] == ['Background', 'Drag markers']")
    krita.settle()
    krita.run("k.action('edit_redo').trigger()")
    krita.until("sorted(n.name() for n in layers()) == sorted(names)", names=["Background", name, "Drag markers"])
    krita.settle()
    assert krita.run("[layer(name).hasKeyframeAtTime(t) for t in range(13)]", name=name) == [True] * 12 + [False]
    y, x = slice(int(LIPS[1]), int(LIPS[3])), slice(int(LIPS[0]), int(LIPS[2]))
    first, middle, last = (at_frame(krita, time_)[y, x] for time_ in (0, 6, 11))
    photo = np.frombuffer(krita.run("photo"), np.uint8).reshape(512, 512, 4)[..., :3]
    assert np.array_equal(first, photo[y, x]), "the first frame is the photo"
    assert difference(first, last) > 3
    assert difference(first, middle) < difference(first, last) and difference(middle, last) > 1
    krita.run("k.activeDocument().setCurrentTime(0); layer(name).remove()", name=name)
    krita.settle()
    krita.click_button("Apply as animation")
    krita.until("not docker._desk.settings.animation")


def test_the_soft_edge_as_a_mask_to_paint_on_is_still_one_undo_step(krita: PluginSession) -> None:
    krita.click_button("Edge as a mask of its own")
    krita.until("not docker._desk.settings.separate_mask")
    name = krita.apply()
    assert krita.run("layer(name).childNodes()", name=name) == []
    plain = painted(krita)
    krita.run("k.action('edit_undo').trigger()")
    krita.until("[n.name() for n in layers()] == ['Background', 'Drag markers']")
    krita.settle()
    krita.click_button("Edge as a mask of its own")
    krita.until("docker._desk.settings.separate_mask")
    krita.click_button("Apply as new layer")
    krita.until("len(layers()) == 3")
    krita.settle()
    tree = [["Background", []], [name, ["transparencymask"]], ["Drag markers", []]]
    as_tree = "[[n.name(), [m.type() for m in n.childNodes()]] for n in k.activeDocument().topLevelNodes()]"
    assert krita.run(as_tree) == tree
    masked = painted(krita)
    assert np.abs(masked - plain).max() <= 2
    krita.run("k.action('edit_undo').trigger()")
    krita.until("[n.name() for n in layers()] == ['Background', 'Drag markers']")
    krita.settle()
    assert np.array_equal(painted(krita), np.frombuffer(krita.run("photo"), np.uint8).reshape(512, 512, 4)[..., :3])
    krita.run("k.action('edit_redo').trigger()")
    krita.until(f"{as_tree} == tree", tree=tree)
    krita.settle()
    assert np.array_equal(painted(krita), masked)
    krita.run("select(layer(name).childNodes()[0]); k.action('KritaShape/KisToolBrush').trigger()", name=name)
    krita.until("k.activeDocument().activeNode().type() == 'transparencymask'")
    krita.pull((220.0, 146.0), (240.0, 146.0))  # black, as a new Krita paints: hides
    krita.settle()
    y, x = slice(143, 149), slice(222, 238)
    photo = np.frombuffer(krita.run("photo"), np.uint8).reshape(512, 512, 4)[..., :3].astype(int)
    assert difference(photo[y, x], masked[y, x]) > 3 > difference(photo[y, x], painted(krita)[y, x])


def test_no_button_has_moved_away_under_the_pointer(krita: PluginSession) -> None:
    krita.run("k.activeDocument().setSelection(None); select(layer('Drag markers'))")
    krita.click_button("Prepare again")
    krita.run("edit().stop()")
    krita.wait_for_stage("ready", "empty")
    assert krita.run("len(places)") == 1, krita.run("list(places)")
