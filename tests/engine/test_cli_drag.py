"""The command line with the real face model, in processes of its own, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

from engine.models import ModelStore

ROOT = Path(__file__).parents[2]
ON_WINDOWS = sys.platform == "win32"
STEPS = 6
TIMEOUT_S = 300


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "engine", *map(str, words)]


def environment(data: Path, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "krita_plugin")])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "KRITA_DRAG_"))}
    return inherited | {"PYTHONPATH": path, "KRITA_DRAG_HOME": str(data), "PIP_CONFIG_FILE": os.devnull} | more


def run(data: Path, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment(data), capture_output=True, text=True, timeout=TIMEOUT_S, **options
    )


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@dataclass(frozen=True)
class Drag:
    """One finished drag of the mouth's corner of seed 3, with every output there is."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def json(self) -> dict[str, Any]:
        return json.loads((self.folder / "way.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drag(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Drag:
    folder = tmp_path_factory.mktemp("Jürgen 画")
    mask = np.zeros((1024, 1024), np.uint8)
    mask[:, 300:] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    done = run(
        store.root,
        *("drag", "--seed", "3", "--point", "415,665:385,630", "--steps", str(STEPS), "--device", "cpu"),
        *("--solver", "draggan"),
        *("--mask", folder / "mask.png", "-o", folder / "out.png", "--report", folder / "report.png"),
        *("--frames", folder / "frames", "--gif", folder / "way.gif", "--frame-every", "3"),
        *("--json", folder / "way.json"),
    )
    return Drag(done, folder)


def test_a_drag_succeeds_and_says_so(drag: Drag) -> None:
    assert drag.done.returncode == 0, drag.done.stderr
    assert f"in {STEPS} steps" in drag.done.stdout
    assert f"wrote {drag.folder / 'out.png'}" in drag.done.stdout
    assert {path.name for path in drag.folder.iterdir()} == {
        *("mask.png", "out.png", "report.png", "way.gif", "way.json", "frames")
    }, "no temporary file stays behind"


def test_json_tells_every_step(drag: Drag) -> None:
    found = drag.json
    assert [step["step"] for step in found["history"]] == list(range(STEPS + 1))
    assert found["end_mean_distance"] < found["start_mean_distance"] == pytest.approx(np.hypot(30, 35), abs=1e-3)
    assert found["points"][0]["handle"] == [415, 665]
    assert found["points"][0]["target"] == [385, 630]
    assert found["source"] == {"seed": 3, "psi": 0.7}
    assert found["model"] == {"name": "faces", "resolution": 1024}
    assert found["solver"] == "draggan"
    assert found["reason"] == "steps"
    assert set(found["versions"]) == {"krita-drag", "torch", "python"}


def test_the_picture_moved_where_the_mask_allows_it(drag: Drag) -> None:
    before, after = pixels(drag.folder / "frames" / "step_0000.png"), pixels(drag.folder / "out.png")
    assert after.shape == (1024, 1024, 3)
    assert (before != after).any()
    assert np.array_equal(before[:, :280], after[:, :280])


def test_frames_and_animation_show_the_way(drag: Drag) -> None:
    names = sorted(path.name for path in (drag.folder / "frames").iterdir())
    assert names == ["step_0000.png", "step_0003.png", "step_0006.png"]
    with Image.open(drag.folder / "way.gif") as animation:
        assert animation.n_frames == 3
        assert animation.size == (480, 480)
    with Image.open(drag.folder / "report.png") as report:
        assert report.width == 1600


def test_the_default_solver_lands(store: ModelStore, tmp_path: Path) -> None:
    words = ("drag", "--seed", "3", "--point", "415,665:395,640", "--device", "cpu", "--json", tmp_path / "way.json")
    done = run(store.root, *words, "-o", tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "way.json").read_text(encoding="utf-8"))
    assert found["solver"] == "newton"
    assert found["reason"] == "landed"
    assert found["end_mean_distance"] <= 2


def test_no_steps_write_the_undragged_picture_of_the_seed(drag: Drag, store: ModelStore, tmp_path: Path) -> None:
    done = run(store.root, "drag", "--seed", "3", "--steps", "0", "--device", "cpu", "-o", tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pixels(tmp_path / "out.png"), pixels(drag.folder / "frames" / "step_0000.png"))


@pytest.mark.skipif(ON_WINDOWS, reason="needs a pseudo-terminal, and a Ctrl-C for one process only")
def test_ctrl_c_keeps_the_best_result_so_far(store: ModelStore, tmp_path: Path) -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    words = ("drag", "--seed", "3", "--point", "415,665:215,430", "-o", tmp_path / "out.png")
    with subprocess.Popen(
        command(*words, "--json", tmp_path / "way.json"),
        env=environment(store.root),
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while b"px left" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        drain = threading.Thread(target=_drain, args=(ours,), daemon=True)  # a full terminal would block it
        drain.start()
        said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert b"stopped" in said
    assert pixels(tmp_path / "out.png").shape == (1024, 1024, 3)
    found = json.loads((tmp_path / "way.json").read_text(encoding="utf-8"))
    assert found["reason"] == "stopped"
    assert 0 < len(found["history"]) < 300


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:  # the other end is closed: how Linux ends a pseudo-terminal
        pass
    finally:
        os.close(descriptor)


def test_a_photo_keeps_its_size_and_everything_outside_the_face(store: ModelStore, tmp_path: Path) -> None:
    photo = skimage.data.astronaut()  # the face is in the upper left half
    Image.fromarray(photo).save(tmp_path / "photo.png")
    done = run(
        store.root,
        *("drag", tmp_path / "photo.png", "--point", "205,145:195,135", "--steps", "1", "--inversion-steps", "2"),
        *("-o", tmp_path / "out.png", "--json", tmp_path / "way.json", "--report", tmp_path / "report.png"),
    )
    assert done.returncode == 0, done.stderr
    after = pixels(tmp_path / "out.png")
    assert after.shape == photo.shape
    assert np.array_equal(after[400:], photo[400:])
    found = json.loads((tmp_path / "way.json").read_text(encoding="utf-8"))
    assert found["source"] == {"photo": "photo.png"}
    assert found["points"][0]["handle"] == [205, 145]
    assert found["history"][0]["handles"] == [pytest.approx([205, 145])]
    assert found["unit"] == "pixels of the picture"
    pulled = pytest.approx(np.hypot(10, 10))
    assert found["start_mean_distance"] == found["history"][0]["mean_distance"] == pulled
    assert found["history"][0]["distances"] == [pulled]
    assert "mean distance 14.1 -> " in done.stdout
    assert (tmp_path / "report.png").exists()


def test_invert_says_when_there_is_no_face(store: ModelStore, tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((300, 200)).save(tmp_path / "photo.png")
    done = run(
        store.root,
        *("invert", tmp_path / "photo.png", "--steps", "1", "-o", tmp_path / "out.png"),
        *("--aligned", tmp_path / "aligned.png", "--json", tmp_path / "found.json"),
    )
    assert done.returncode == 0, done.stderr
    assert "No face was found" in done.stderr
    assert pixels(tmp_path / "out.png").shape == pixels(tmp_path / "aligned.png").shape == (1024, 1024, 3)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["steps"] == 1
    assert found["crop"] == {"origin": [50, 0], "right": [200, 0], "down": [0, 200]}
    assert "No face" in " ".join(found["notes"])


@pytest.mark.skipif(ON_WINDOWS, reason="needs a limit of file sizes")
def test_an_output_that_does_not_fit_leaves_nothing_behind(store: ModelStore, tmp_path: Path) -> None:
    import resource

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = run(store.root, "drag", "--seed", "3", "--steps", "0", "-o", tmp_path / "out.png", preexec_fn=limit_files)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def silent_index() -> Iterator[tuple[str, threading.Event]]:
    """A package index that takes connections and never answers: its address, and whether somebody came."""
    came = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            try:
                kept.append(server.accept()[0])
            except OSError:
                return
            came.set()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple/", came
        for connection in kept:
            connection.close()


def test_no_model_and_no_network_is_a_sentence(home: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        unreachable = f"http://127.0.0.1:{server.getsockname()[1]}/simple/"  # free once the server is closed
    done = subprocess.run(
        command("drag", "--seed", "1", "--point", "9,9:40,40", "-o", tmp_path / "out.png"),
        env=environment(home, PIP_INDEX_URL=unreachable, PIP_RETRIES="0", PIP_NO_CACHE_DIR="1"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 1
    assert done.stderr.index("CC BY-NC-SA") < done.stderr.index("error: "), "the licence note comes first"
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.png").exists()
    assert not (home / "models" / "faces").exists()


@pytest.mark.skipif(ON_WINDOWS, reason="needs a Ctrl-C for one process only")
def test_ctrl_c_while_fetching_is_a_sentence(home: Path, silent_index: tuple[str, threading.Event]) -> None:
    address, came = silent_index
    with subprocess.Popen(
        command("models", "fetch", "faces"),
        env=environment(home, PIP_INDEX_URL=address, PIP_NO_CACHE_DIR="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert came.wait(TIMEOUT_S)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    assert not (home / "models" / "faces").exists()


@pytest.mark.skipif(ON_WINDOWS, reason="needs a Ctrl-C for one process only")
def test_ctrl_c_ends_the_search_and_the_drag_starts_from_what_was_found(store: ModelStore, tmp_path: Path) -> None:
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "photo.png")
    words = ("drag", tmp_path / "photo.png", "--point", "205,145:199,140", "--steps", "1", "-o", tmp_path / "out.png")
    with subprocess.Popen(
        command(*words), env=environment(store.root), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "takes about" in line:
                break
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, complaints
    assert complaints.index("Ctrl-C again ends at once") < complaints.index("starts from what was found")
    assert (tmp_path / "out.png").exists()
