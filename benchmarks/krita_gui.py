"""What the plugin costs the real Krita: stalls of its window during a drag, start-up, and the error of markers.

    python -m benchmarks.krita_gui [--images DIR] [--json FILE]

Needs Krita and the programs of tests/krita. A timer of 5 ms in Krita's own event loop tells for how long the window
could not react; its figures while nothing goes on are those of the machine. With `--images`, pictures of the docker and
of a finished edit are taken instead.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data

from benchmarks.timing import machine, print_table, write_json
from engine.models import ModelStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "krita"))

import test_markers
from desktop import Desktop
from krita_session import KritaSession, template_profile
from plugin_session import PluginSession, install_engine, install_plugin, plugin_running

SECONDS = 3  # each; the drag that all of them watch takes about ten
FACE = (70, 0, 390, 270)
HEARTBEAT = """
import time
class Heart(QTimer):
    def __init__(self):
        super().__init__()
        self.setTimerType(Qt.PreciseTimer)
        self.timeout.connect(self.beat)
        self.gaps, self.last = [], time.perf_counter()
        self.start(5)
    def beat(self):
        now = time.perf_counter()
        self.gaps.append((now - self.last) * 1000)
        self.last = now
heart = Heart()
"""
# Previews go in where the client's thread hands them over, so that everything on the window's thread is measured.
FEED = """
import os, threading, time
from krita_drag.wire import messages as wire
def feed(seconds, hz, size):
    session, link = edit().session, docker._desk.link
    frame = wire.Frame("u1", (size, size, 4), os.urandom(4 * size * size))
    job, sid, end, number = session._job, session.sid, time.monotonic() + seconds, 10**6
    while time.monotonic() < end:
        number += 1
        preview = wire.Preview(re=job, sid=sid, seq=number, rect=(0, 0, 512, 512), patch=frame)
        link._client_said.emit(link._generation, preview)
        time.sleep(1 / hz)
threading.Thread(target=feed, args=(seconds, hz, size), daemon=True).start()
"""
START_UP = """
import sys, time
sys.path.insert(0, plugins)
clock, cpu = time.perf_counter(), time.thread_time()
import krita_drag
imported = (time.perf_counter() - clock, time.thread_time() - cpu)
from krita_drag.desk import Desk
from krita_drag.docker import DragDocker
from krita_drag.link import EngineLink
from krita_drag.places import data_dir
clock, cpu = time.perf_counter(), time.thread_time()
desk = Desk(k, EngineLink(data_dir()))
docker = DragDocker(desk)
docked = (time.perf_counter() - clock, time.thread_time() - cpu)
clock, cpu = time.perf_counter(), time.thread_time()
desk.wake()
woken = (time.perf_counter() - clock, time.thread_time() - cpu)
answer = [[1000 * value for value in pair] for pair in (imported, docked, woken)]
desk.close()
"""


@contextmanager
def opened(folder: Path, picture: Image.Image, **options: Any) -> Iterator[PluginSession]:
    """Run Krita with the plugin and a picture in front."""
    store = ModelStore()
    store.fetch("faces")
    photo = folder / "picture.png"
    picture.save(photo)
    with Desktop(folder) as desktop, plugin_running(
        template_profile(), desktop, folder, store.root / "models", document=photo, **options
    ) as session:  # fmt: skip
        yield session


def astronaut() -> Image.Image:
    """Return the public-domain portrait of scikit-image."""
    return Image.fromarray(data.astronaut())


def gaps(session: PluginSession, seconds: float) -> dict[str, float]:
    """Watch Krita's event loop for a while; milliseconds between beats of a timer of 5 ms."""
    session.run("heart.gaps, heart.last = [], time.perf_counter()")
    time.sleep(seconds)
    found = sorted(session.run("heart.gaps"))
    return {"p50": found[len(found) // 2], "p99": found[int(len(found) * 0.99)], "max": found[-1]}


def stalls() -> dict[str, dict[str, float]]:
    """Compare an idle window with one that shows ten previews a second during a drag."""
    with tempfile.TemporaryDirectory() as name, opened(Path(name), astronaut()) as session:
        session.run(HEARTBEAT)
        session.prepare(steps=2)  # what is shown does not matter here
        session.view(2)
        found = {"idle": gaps(session, SECONDS)}
        session.place_pair((209, 144), (150, 100))
        session.run("docker._desk.choose('solver', 'draggan')")
        session.click_button("Drag")
        session.until("edit().session.stage.value == 'dragging' and edit().session.shown.step > 0")
        found["drag, previews of this machine's engine"] = gaps(session, SECONDS)
        for size in (512, 1024):
            session.run(FEED, seconds=SECONDS, hz=10, size=size)
            found[f"drag, 10 previews/s of {size} px"] = gaps(session, SECONDS)
        if not session.run("edit().session.stage.value == 'dragging'"):
            raise SystemExit("The drag ended before the previews did: pull farther, or measure for a shorter time.")
        session.click_button("Stop")
        session.wait_for_stage("ready", timeout_s=300)
        return found


def start_up() -> dict[str, tuple[float, float]]:
    """Load the plugin into a Krita that runs without it; milliseconds: (wall clock, processor)."""
    found = {}
    with tempfile.TemporaryDirectory() as name, Desktop(Path(name)) as desktop:
        folder = Path(name)
        install_engine(folder / "home", None)
        plugins = template_profile().copy_to(folder / "other").make()
        install_plugin(plugins, folder / "home", {})
        profile = template_profile().copy_to(folder / "profile").make()
        env = {"KRITA_DRAG_HOME": str(folder / "home"), "PYTHONDONTWRITEBYTECODE": ""}
        for start in ("first start, compiled then", "later starts"):
            with KritaSession(folder, desktop, profile, env=env) as krita:
                times = krita.run(START_UP, plugins=str(plugins.resources / "pykrita"))
                krita.quit()
            parts = ("import and register", "docker", "docker seen first")
            found |= {f"{start}: {part}": pair for part, pair in zip(parts, times, strict=True)}
    return found


def marker_error() -> float:
    """Return the largest distance between a marker and Krita's own line tool over all views, document pixels."""
    with (
        tempfile.TemporaryDirectory() as name,
        opened(Path(name), Image.new("RGB", (600, 400)), engine=False) as session,
    ):
        gestures = [test_markers.one_gesture(session, *view) for view in test_markers.VIEWS]
        return max(math.dist(a, b) for ours, kritas in gestures for a, b in zip(ours, kritas, strict=True))


def take_pictures(target: Path, steps: int) -> None:
    """Edit the astronaut, and save what an artist sees while the points are there and after Apply."""
    with tempfile.TemporaryDirectory() as name, opened(Path(name), astronaut().crop(FACE)) as session:
        session.prepare(steps)
        session.run("[other.setVisible(True) for other in k.dockers() if other.objectName() == 'KisLayerBox']")
        session.view(3)
        session.place_pair((139, 144), (133, 138))
        session.run(
            "from krita import Selection\n"
            "mouth = Selection(); mouth.select(112, 112, 84, 68, 255); mouth.feather(8)\n"
            "k.activeDocument().setSelection(mouth)"
        )
        session.drag(timeout_s=900)
        time.sleep(1)
        session.desktop.screenshot(target / "docker.png")
        session.apply()
        bars = "k.activeWindow().qwindow().statusBar().findChildren(QProgressBar)"
        session.run("from PyQt5.QtWidgets import QProgressBar")
        session.until(f"not any(bar.isVisible() for bar in {bars})")  # Krita's, which outlasts what it shows
        session.desktop.screenshot(target / "edit.png")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, metavar="DIR", help="only take pictures, into this folder")
    parser.add_argument("--steps", type=int, default=150, help="of preparing the photo for the pictures")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.images:
        take_pictures(options.images, options.steps)
        return
    loop, start, error = stalls(), start_up(), marker_error()
    print(machine())
    print_table(("window", "p50 ms", "p99 ms", "max ms"), [(name, *row.values()) for name, row in loop.items()])
    print_table(("start-up", "ms", "processor ms"), [(name, *pair) for name, pair in start.items()])
    print(f"largest marker error: {error:.4f} document pixels in {len(test_markers.VIEWS)} views")
    write_json(options.json, {"window": loop, "start_up": start, "marker_error_px": error})


if __name__ == "__main__":
    main()
