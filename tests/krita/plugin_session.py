"""A Krita with the plugin in it, used as an artist does: the mouse on buttons and on the picture."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from desktop import Desktop
from krita_session import KritaSession, Profile
from numpy.typing import NDArray
from PIL import Image

from engine import krita_finder

SOURCE = Path(__file__).parents[2] / "krita_plugin"
if str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))

from installing import kritarc, plugin  # noqa: E402

Point = tuple[float, float]
Box = tuple[float, float, float, float]

# Runs in Krita once: short ways to what the tests look at.
_SCOPE = """
from PyQt5.QtCore import QPointF, QPoint, QTimer, Qt
from PyQt5.QtWidgets import QAbstractButton, QApplication, QWidget
from krita_drag import canvas_view
from krita_drag.geometry import Point as DocumentPoint

docker = [docker for docker in k.dockers() if docker.objectName() == "krita_drag"][0]

def edit():
    return docker._edit

def canvas():
    return canvas_view.front_canvas(k.activeWindow(), 0.9)

def to_screen(points):
    found = canvas()
    transform = found.transform()
    origin, ratio = found.canvas.mapToGlobal(QPoint(0, 0)), found.canvas.devicePixelRatioF()
    mapped = [transform.map(DocumentPoint(x, y)) for x, y in points]
    return [[(point.x + origin.x()) * ratio, (point.y + origin.y()) * ratio] for point in mapped]

def on_screen(widget):
    corner, ratio = widget.mapToGlobal(QPoint(0, 0)), widget.devicePixelRatioF()
    return [value * ratio for value in (corner.x(), corner.y(), widget.width(), widget.height())]

def button(text):
    found = [b for b in docker.findChildren(QAbstractButton) if b.isVisible() and b.text().replace("&", "") == text]
    return found[0] if found else None

def layers(parent=None):
    parent = parent or k.activeDocument().rootNode()
    children = [child for child in parent.childNodes() if child.type().endswith("layer")]
    return [node for child in children for node in [child, *layers(child)]]

def layer(name):
    return [node for node in layers() if node.name() == name][0]

def select(node):
    k.activeDocument().setActiveNode(node)

def dialogs():
    return [w.windowTitle() for w in QApplication.topLevelWidgets() if w.isVisible() and w.isModal()]
"""


def install_plugin(profile: Profile, home: Path, settings: dict[str, object]) -> None:
    """Put the plugin into a profile by the installer's code, with these choices of the user."""
    place = krita_finder.Profile("usual", profile.resources, profile.kritarc)
    plugin.install(place, SOURCE, home, lambda vendor: None)
    kritarc.put(profile.kritarc, "krita_drag", "settings", json.dumps(settings))


def install_engine(home: Path, models: Path | None) -> None:
    """Make a data folder whose engine is the one that runs these tests."""
    home.mkdir(parents=True)
    record = {"python": sys.executable, "state": "complete", "done": {"engine": "tests"}}
    (home / "install.json").write_text(json.dumps(record))
    if models:
        (home / "models").symlink_to(models)


class PluginSession:
    """Wraps a running Krita whose plugin is loaded."""

    def __init__(self, krita: KritaSession, home: Path) -> None:
        self.krita, self.home, self.desktop = krita, home, krita.desktop
        self.run, self.until = krita.run, krita.until
        self.run(_SCOPE)
        self.run("k.activeWindow().qwindow().showMaximized()")
        self.run("[other.setVisible(other is docker) for other in k.dockers()]; docker.raise_()")
        self.until("docker.isVisible() and docker.height() > 250")

    @property
    def stage(self) -> str:
        """What the edit in front is doing."""
        return str(self.run("edit().session.stage.value"))

    @property
    def message(self) -> str:
        """What the docker says, with its hint."""
        return str(self.run("(lambda m: f'{m.text} {m.hint}' if m else '')(docker.view().message)"))

    @property
    def pairs(self) -> list[tuple[Point, Point]]:
        """Handle and target of every pair, document pixels."""
        found = self.run("[[*p.handle, *p.target] for p in edit().editor.pairs]")
        return [((a, b), (c, d)) for a, b, c, d in found]

    def wait_for_stage(self, *stages: str, timeout_s: float = 120) -> str:
        """Wait until the edit does one of these things."""
        code = "edit() is not None and edit().session.stage.value in stages and edit().session.stage.value"
        return str(self.until(code, timeout_s, stages=list(stages)))

    def wait_for_engine(self) -> None:
        """Wait until the docker says that the engine is ready."""
        self.until("docker.view().engine_text.startswith('Engine ready')", 120)

    def click_button(self, text: str) -> None:
        """Click a button of the docker with the mouse, once it can be clicked."""
        self.until("button(text) is not None and button(text).isEnabled()", 30, text=text)
        self.run(
            "from PyQt5.QtWidgets import QScrollArea\n"
            "docker.findChildren(QScrollArea)[0].ensureWidgetVisible(button(text))",
            text=text,
        )
        x, y, width, height = self.settle_layout("button(text)", text=text)
        # of a switch, only the box and the text take a click
        middle = (
            height / 2
            if self.run(
                "button(text).isCheckable() and button(text).metaObject().className() == 'QCheckBox'", text=text
            )
            else width / 2
        )
        self.desktop.click((x + middle, y + height / 2))

    def settle_layout(self, widget: str, **given: object) -> list[float]:
        """Wait until a widget stays where it is, as after scrolling, and return its box on the screen."""
        place, before = self.run(f"on_screen({widget})", **given), None
        while place != before:
            time.sleep(0.15)
            place, before = self.run(f"on_screen({widget})", **given), place
        return list(place)

    def pull(self, handle: Point, target: Point, steps: int = 8, modifiers: Sequence[str] = ()) -> None:
        """Press on the picture and pull, as far as whole pixels of the screen allow; document pixels."""
        (x0, y0), (x1, y1) = self.run("to_screen(points)", points=[handle, target])
        way = [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps + 1)]
        self.desktop.drag(way, modifiers=modifiers)

    def place_pair(self, handle: Point, target: Point) -> None:
        """Pull a new pair, once the canvas takes points."""
        self.until("edit().editing and docker._overlay is not None and docker._overlay.editing")
        count = len(self.pairs)
        self.pull(handle, target)
        self.until("len(edit().editor.pairs) == count", count=count + 1)

    def hold(self, *way: Point) -> None:
        """Press on the picture at the first of these places, pull to the others, and keep holding; document pixels."""
        self.desktop.press(self.run("to_screen(points)", points=way[:1])[0])
        self.move_on(*way)

    def move_on(self, *way: Point, steps: int = 8) -> None:
        """Pull what is held through these places, document pixels."""
        places = self.run("to_screen(points)", points=way)
        smooth = [
            (x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps)
            for (x0, y0), (x1, y1) in pairwise(places)
            for i in range(1, steps + 1)
        ]
        self.desktop.move(smooth or places)

    def screen(self, box: Box) -> NDArray[np.int64]:
        """Return what the screen shows of a part (x0, y0, x1, y1) of the document, (height, width, RGB)."""
        (x0, y0), (x1, y1) = self.run("to_screen(points)", points=[box[:2], box[2:]])
        path = self.krita.folder / "part.png"
        self.desktop.screenshot(path, [round(value) for value in (x0, y0, x1 - x0, y1 - y0)])
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB")).astype(int)

    def prepare(self, steps: int = 20) -> None:
        """Press Prepare and wait for its end.

        Args:
            steps: fewer than any preset has; enough for what is tested here.
        """
        self.wait_for_engine()
        self.run(
            "import dataclasses\n"
            "def send(message, to_engine=edit().session._send):\n"
            "    quick = type(message).__name__ == 'Invert'\n"
            "    to_engine(dataclasses.replace(message, steps=steps) if quick else message)\n"
            "edit().session._send = send",
            steps=steps,
        )
        self.click_button("Prepare photo")
        self.wait_for_stage("opening", "preparing")
        self.wait_for_stage("ready", "empty", timeout_s=900)
        assert self.stage == "ready", self.message

    def drag(self, timeout_s: float = 300) -> None:
        """Press Drag and wait for its end."""
        history = self.run("edit().session.shown.undos")
        self.click_button("Drag")
        done = "edit().session.stage.value == 'ready' and edit().session.shown.undos == history + 1"
        self.until(f"{done} or edit().session.problem is not None", timeout_s, history=history)
        assert self.run("edit().session.problem") is None, self.message

    def apply(self, timeout_s: float = 60) -> str:
        """Press Apply and return the name of the new layer."""
        before = self.run("[n.uniqueId().toString() for n in layers()]")
        self.click_button("Apply as new layer")
        new = "[n.name() for n in layers() if n.uniqueId().toString() not in before]"
        (name,) = self.until(new, timeout_s, before=before)
        self.settle()
        return str(name)

    def view(self, zoom: float, degrees: float = 0, mirrored: bool = False) -> None:
        """Turn the canvas; the middle of the picture stays in the middle."""
        self.run(
            "view = k.activeWindow().activeView().canvas()\n"
            "view.resetZoom(); view.resetRotation(); view.setMirror(mirrored)\n"
            "view.setRotation(degrees); view.setZoomLevel(zoom)",
            zoom=zoom,
            degrees=degrees,
            mirrored=mirrored,
        )
        time.sleep(0.3)  # the scroll bars follow
        shown = self.run("canvas().transform().scale * canvas().canvas.devicePixelRatioF()")
        assert abs(shown / zoom - 1) < 1e-6, f"the canvas shows {shown}, not {zoom}"

    def pixels(self, name: str, box: Iterable[int]) -> bytes:
        """Return the pixels of a layer, its masks applied, as Krita stores them."""
        data = self.run("layer(name).projectionPixelData(*box)", name=name, box=list(box))
        assert isinstance(data, bytes)
        return data

    def save_as(self, path: Path) -> None:
        """Save the document in front without a dialog."""
        self.run("k.activeDocument().setBatchmode(True); answer = k.activeDocument().saveAs(path)", path=str(path))
        self.settle()
        assert path.exists()

    def settle(self) -> None:
        """Wait until Krita has done what it does behind our back."""
        self.run("k.activeDocument().waitForDone()")
        time.sleep(0.3)

    def no_dialog(self) -> None:
        """See that nothing was put in the artist's way; a Python error would be a dialog."""
        assert self.run("dialogs()") == []

    def engine_pid(self) -> int:
        """Return the process of the running engine."""
        return int(json.loads((self.home / "engine" / "connection.json").read_text())["pid"])

    def facts(self) -> dict[str, Any]:
        """Return what helps to see why a test failed."""
        return {"stage": self.stage, "message": self.message, "printed": self.krita.printed()[-2000:]}


@contextmanager
def plugin_running(
    template: Profile,
    desktop: Desktop,
    folder: Path,
    models: Path,
    *,
    document: Path | None = None,
    settings: dict[str, object] | None = None,
    engine: bool = True,
    home: Path | None = None,
    opengl: str = "none",
    env: Mapping[str, str] | None = None,
) -> Iterator[PluginSession]:
    """Run a Krita with the plugin, and close it as an artist would: without a dialog, a crash or a Python error.

    Args:
        template: profile to copy.
        desktop: where to show it.
        folder: for its files; must exist.
        models: folder with the face model.
        document: file to open.
        settings: choices of the user.
        engine: whether an engine is installed.
        home: krita-drag's data folder; made if missing.
        opengl: Krita's canvas: none, desktop or auto.
        env: more environment variables.
    """
    home = home or folder / "krita-drag"
    if engine and not home.exists():
        install_engine(home, models)
    profile = template.copy_to(folder / "profile").make(opengl)
    install_plugin(profile, home, {"preset": "fast", **(settings or {})})
    with KritaSession(folder, desktop, profile, document, {"KRITA_DRAG_HOME": str(home), **(env or {})}) as krita:
        session = PluginSession(krita, home)
        yield session
        if krita.running:
            session.no_dialog()
            code = krita.quit()
            assert code == 0, f"Krita ended with {code}.\n{krita.printed()}"
        assert "Traceback" not in krita.printed(), krita.printed()
