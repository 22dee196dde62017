"""Pairs on the canvas: where the mouse was is where they are, in every view, and they live on a layer of the document.

Krita's own line tool, used with the same mouse on the same pixels of the screen, says where that is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from plugin_session import PluginSession, Point

Open = Callable[..., PluginSession]
LINES = "layer('lines').shapes()"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (600, 400), (250, 240, 230)).save(path, dpi=(300, 300))
    return path


@pytest.fixture
def krita(open_plugin: Open, picture: Path) -> PluginSession:
    """A document in front, the docker open, no engine needed."""
    return open_plugin(document=picture, engine=False)


def place_points(krita: PluginSession, on: bool = True) -> None:
    """Switch the mode with its button."""
    if krita.run("edit().editing") is not on:
        krita.click_button("Place points")
    krita.until("edit().editing is on and (not on or docker._overlay is not None and docker._overlay.editing)", on=on)


def drawn_line(krita: PluginSession) -> tuple[Point, Point]:
    """Return the ends of the newest line on the layer `lines`, document pixels."""
    svg = krita.run(f"{LINES}[-1].toSvg()")
    scale = krita.run("k.activeDocument().xRes() / 72")
    number = r"(-?[\d.e+-]+)"
    origin = re.search(rf'transform="translate\({number}, {number}\)"', svg)
    ends = re.search(rf'd="M{number} {number}L{number} {number}"', svg)
    assert origin and ends, svg
    x, y = map(float, origin.groups())
    x0, y0, x1, y1 = map(float, ends.groups())
    return ((x + x0) * scale, (y + y0) * scale), ((x + x1) * scale, (y + y1) * scale)


def with_the_line_tool(krita: PluginSession, handle: Point, target: Point) -> tuple[Point, Point]:
    """Draw the same gesture with Krita's own tool, and return where Krita put it."""
    before = krita.run("len([n for n in layers() if n.name() == 'lines']) and len(layer('lines').shapes())")
    krita.run(
        "doc = k.activeDocument()\n"
        "if not [n for n in layers() if n.name() == 'lines']:\n"
        "    doc.rootNode().addChildNode(doc.createVectorLayer('lines'), None)\n"
        "doc.setActiveNode(layer('lines')); doc.waitForDone()\n"
        "k.action('KritaShape/KisToolLine').trigger()"
    )
    krita.settle()
    krita.pull(handle, target)
    krita.until(f"len({LINES}) > before", before=before)
    return drawn_line(krita)


def same_places(some: list[tuple[Point, Point]], others: list[tuple[Point, Point]]) -> bool:
    ends = zip(sum(some, ()), sum(others, ()), strict=True)
    return all(distance(a, b) < 0.01 for a, b in ends)


def distance(a: Point, b: Point) -> float:
    return math.dist(a, b)


View = tuple[float, float, bool]  # zoom, rotation in degrees, mirrored
VIEWS = [(0.5, 0, False), (1, 0, True), (1.33, 33, False), (2, 90, True), (4, -120, False), (8, 210, True)]


Ends = tuple[Point, Point]


def one_gesture(krita: PluginSession, zoom: float, degrees: float, mirrored: bool) -> tuple[Ends, Ends]:
    """Make a pair and a line with the same gesture in a view, and return where the plugin and Krita put them."""
    krita.view(zoom, degrees, mirrored)
    reach = 60 / zoom
    handle, target = (300 - reach, 200 - reach / 2), (300 + reach, 200 + reach)
    place_points(krita)
    krita.pull(handle, target)
    krita.until("len(edit().editor.pairs) == 1")
    pair = krita.pairs[0]
    # the mouse can only be on whole pixels of the screen, and Qt tells in whole pixels where widgets are
    assert distance(pair[0], handle) < 2.5 / zoom
    place_points(krita, on=False)
    line = with_the_line_tool(krita, handle, target)
    krita.click_button("Clear")
    krita.until("len(edit().editor.pairs) == 0")
    return pair, line


@pytest.mark.parametrize(
    ("opengl", "scale", "views"),
    [("none", "1", VIEWS), ("desktop", "1", VIEWS[2:4]), ("none", "2", VIEWS[2:4])],
    ids=["painter canvas", "OpenGL canvas", "HiDPI"],
)
def test_markers_are_where_krita_itself_would_draw(
    opengl: str, scale: str, views: list[View], open_plugin: Open, picture: Path
) -> None:
    krita = open_plugin(document=picture, engine=False, opengl=opengl, env={"QT_SCALE_FACTOR": scale})
    assert krita.run("canvas().canvas.devicePixelRatioF()") == float(scale)
    for view in views:
        for ours, kritas in zip(*one_gesture(krita, *view), strict=True):
            assert distance(ours, kritas) <= 0.05


def test_gestures_with_the_mouse_and_keys(krita: PluginSession) -> None:
    krita.view(1.2)
    place_points(krita)
    krita.pull((100, 100), (200, 150))
    krita.pull((300, 200), (300, 200), modifiers=["shift"])
    krita.until("len(edit().editor.pairs) == 2")
    assert krita.run("[pair.is_anchor for pair in edit().editor.pairs]") == [False, True]
    krita.pull((200, 150), (250, 250))  # each end stays draggable
    krita.until("edit().editor.pairs[0].target.distance(DocumentPoint(250, 250)) < 2")
    assert distance(krita.pairs[0][0], (100, 100)) < 1
    assert len(krita.pairs) == 2
    krita.desktop.key("Delete")
    krita.until("len(edit().editor.pairs) == 1")
    assert krita.run("edit().editor.pairs[0].is_anchor")
    krita.desktop.key("Escape")
    krita.until("not edit().editing")
    paper = bytes((230, 240, 250, 255)) * 600 * 400
    assert krita.run("layers()[0].pixelData(0, 0, 600, 400)") == paper, "a gesture painted on the picture"


def test_keys_and_tools_while_points_are_placed(krita: PluginSession) -> None:
    """The focus is on the docker's button, and the pointer on the picture: Del must not clear the layer."""
    paper = krita.run("layers()[0].pixelData(0, 0, 600, 400)")
    krita.view(1)
    place_points(krita)
    krita.pull((100, 100), (200, 150))
    krita.until("len(edit().editor.pairs) == 1")
    for where in ("button('Place points')", "canvas().canvas"):
        krita.run("button('Place points').setFocus()")
        x, y, width, height = krita.run(f"on_screen({where})")
        krita.desktop.move([(x + width / 2, y + height / 2)])
        krita.desktop.key("Delete")
        krita.until("not edit().editor.pairs")
        assert krita.run("layers()[0].pixelData(0, 0, 600, 400)") == paper
        krita.pull((100, 100), (200, 150))
        krita.until("len(edit().editor.pairs) == 1")
    other = krita.run(
        "found = docker._tools\n"
        "free = [b.objectName() for b in found if not b.isChecked()]\n"
        "answer = [name for name in free if 'Brush' in name] or free"
    )
    click = "[b for b in docker._tools if b.objectName() == name][0].click()"
    for choose in (click, "k.action(name).trigger()"):
        place_points(krita)
        krita.run(choose, name=other[0])
        krita.until("not edit().editing")


def test_krita_takes_a_pair_back_and_saves_it(krita: PluginSession, open_plugin: Open, tmp_path: Path) -> None:
    krita.view(1)
    place_points(krita)
    krita.pull((100, 100), (200, 150))
    krita.until("len(edit().editor.pairs) == 1")
    krita.pull((400, 300), (350, 250))
    krita.until("len(edit().editor.pairs) == 2")
    both = krita.pairs
    krita.desktop.key("ctrl+z")
    krita.until("len(edit().editor.pairs) == 1")
    krita.desktop.key("ctrl+shift+z")
    krita.until("len(edit().editor.pairs) == 2")
    assert same_places(krita.pairs, both)
    layer = "[n for n in layers() if n.type() == 'vectorlayer'][0]"
    assert krita.run(f"{layer}.name()") == "Drag markers"
    saved = tmp_path / "saved.kra"
    krita.save_as(saved)
    assert krita.krita.quit() == 0
    again = open_plugin(document=saved, engine=False)
    again.until("edit() is not None and len(edit().editor.pairs) == 2")
    assert same_places(again.pairs, both)


def test_markers_moved_with_kritas_own_tools_are_read_back(krita: PluginSession) -> None:
    krita.view(1)
    place_points(krita)
    krita.pull((100, 100), (200, 150))
    krita.until("len(edit().editor.pairs) == 1")
    before = krita.pairs[0]
    krita.run("k.activeDocument().resizeImage(-10, -20, 640, 440)")
    krita.until("abs(edit().editor.pairs[0].handle.x - x) < 0.01", x=before[0][0] + 10)
    moved = krita.pairs[0]
    assert moved[1] == pytest.approx((before[1][0] + 10, before[1][1] + 20), abs=0.01)
