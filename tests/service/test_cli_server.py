"""`krita-drag drag … --server`: what comes out is what the same drag in this process gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from krita_drag.client import StateChanged
from krita_drag.wire.errors import ConnectionLost
from krita_drag.wire.messages import Drag, Open, Progress, new_id
from PIL import Image

from benchmarks.service.running_engine import Engine, running, wait_for
from benchmarks.service.tiny_home import NAME, RESOLUTION
from engine import cli, remote
from engine.commands import drag_outputs, drag_remote
from engine.remote import RemoteEngine, finder


def command(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "engine", "drag", "--model", NAME, "--quiet", *words],
        env={**os.environ, "KRITA_DRAG_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    return out + errors


def pixels(path: Path) -> np.ndarray:
    """Return colours as far as they are seen."""
    with Image.open(path) as picture:
        found = np.asarray(picture.convert("RGBA")).astype(float)
    found[..., :3] *= found[..., 3:] / 255
    return found


@pytest.mark.parametrize("source", ["seed", "photo", "everything"])
def test_the_same_as_in_this_process(source: str, shared: Engine, tmp_path: Path) -> None:
    words = ["--seed", "3"]
    if source != "seed":
        photo = Image.effect_noise((96, 80), 60).convert("RGB")
        photo.putalpha(Image.linear_gradient("L").resize((96, 80)))
        photo.save(tmp_path / "photo.png")
        words = [str(tmp_path / "photo.png"), "--inversion-steps", "3", "--preset", "fast"]
    words += ["--point", "30,30:36,33", "--steps", "4"]
    if source == "everything":
        Image.linear_gradient("L").resize((96, 80)).save(tmp_path / "mask.png")
        words += ["--anchor", "50,50", "--point", "40,60:44,60@0.5", "--stay-close", "2", "--solver", "newton"]
        words += ["--crop", "4,4,70,4,70,70,4,70", "--mask", str(tmp_path / "mask.png")]
    here, there = tmp_path / "here.png", tmp_path / "there.png"
    finish(command(shared.home, *words, "-o", str(here), "--json", f"{here}.json"))
    told = finish(command(shared.home, *words, "-o", str(there), "--server", "local", "--json", f"{there}.json"))
    assert "px left after" in told
    assert np.abs(pixels(here) - pixels(there)).max() <= 1.5
    expected, found = (json.loads(Path(f"{path}.json").read_text()) for path in (here, there))
    assert found["steps"] == len(found["history"]) - 1 or found["history"]
    assert found["server"] == "local"
    assert set(expected) == {*found, "shown_step"} - {"server"}
    for key in ("model", "source", "solver", "stay_close", "mask", "unit", "steps", "reason"):
        assert found[key] == expected[key], key
    for key in ("crop", "start_mean_distance", "end_mean_distance"):
        assert np.allclose(found[key], expected[key], rtol=1e-2), key
    assert [set(point) for point in found["points"]] == [set(point) for point in expected["points"]]
    assert set(found["history"][0]) == set(expected["history"][0])
    assert found["points"][0]["distance"] == pytest.approx(expected["points"][0]["distance"], abs=0.1)
    if source != "seed":
        assert found["search"] == {"preset": "fast", "steps": 3, "loss": found["search"]["loss"], "stopped": False}
        assert found["search"].keys() == expected["search"].keys()
    assert found["device"] and expected["device"]


def test_the_session_comes_along(shared: Engine, tmp_path: Path) -> None:
    kept = tmp_path / "kept.safetensors"
    words = ["--seed", "3", "--point", "30,30:36,33", "--steps", "4", "--server", "local", "--session", str(kept)]
    finish(command(shared.home, *words, "-o", str(tmp_path / "out.png")))
    rendered = subprocess.run(
        [sys.executable, "-I", "-m", "engine", "session", "render", str(kept), "-o", str(tmp_path / "again.png")],
        env={**os.environ, "KRITA_DRAG_HOME": str(shared.home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    assert np.abs(pixels(tmp_path / "out.png") - pixels(tmp_path / "again.png")).max() <= 1


@pytest.mark.parametrize(
    ("where", "fails"),
    [
        (drag_outputs, "save_picture"),
        (drag_outputs, "save_session"),
        (drag_outputs, "write_extras"),
        (drag_remote, "save_picture"),
        (drag_remote, "write_session"),
    ],
)
def test_what_fails_costs_nothing_else(
    where: ModuleType, fails: str, shared: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("KRITA_DRAG_HOME", str(shared.home))
    monkeypatch.setattr(where, fails, fail)
    out, kept = tmp_path / "out.png", tmp_path / "kept.safetensors"
    words = ["drag", "--model", NAME, "--seed", "3", "--point", "30,30:36,33", "--steps", "2", "--quiet"]
    server = ["--server", "local"] if where is drag_remote else []
    assert cli.main([*words, "-o", str(out), "--session", str(kept), *server]) == 130
    assert [path.exists() for path in (out, kept)] == ["picture" not in fails, "session" not in fails]


def test_ctrl_c_keeps_what_was_reached(shared: Engine, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    sessions = len(shared.events("session closed"))
    process = command(
        shared.home, "--seed", "3", "--point", "5,5:60,60", "--steps", "100000", "--solver", "draggan", "-o", str(out),
        "--server", "local",
    )  # fmt: skip
    requests = len(shared.events("request"))
    wait_for(lambda: any(line.get("type") == "drag" for line in shared.events("request")[requests:]), "the drag")
    process.send_signal(signal.SIGINT)
    told = finish(process, 130)
    assert "stopped" in told
    assert pixels(out).shape == (RESOLUTION, RESOLUTION, 4)
    wait_for(lambda: len(shared.events("session closed")) > sessions, "the session to be closed")


def test_ctrl_c_ends_the_search_and_the_drag_starts_from_what_was_found(shared: Engine, tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(photo)
    process = command(
        shared.home, str(photo), "--inversion-steps", "100000", "--point", "40,40:46,44", "--steps", "2",
        "-o", str(out), "--server", "local",
    )  # fmt: skip
    searches = shared.folder / "sessions"
    wait_for(lambda: list(searches.glob("*/search.sealed")), "the search")
    process.send_signal(signal.SIGINT)
    told = finish(process, 0)
    assert "after 2 steps" in told
    assert pixels(out).shape[:2] == (90, 90)
    searched = [line["job"] for line in shared.events("request") if line["type"] == "invert"]
    ends = {line["job"]: line["end"] for line in shared.events("answer")}
    assert ends[searched[-1]] == "cancelled"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--report", "r.png"], "--report does not go with --server"),
        (["--device", "cpu"], "--device does not go with --server"),
        (["--server", "somewhere"], "not the address of an engine"),
        (["--solver", "magic"], "no solver"),
        (["--model", "no-such"], "no-such"),
    ],
)
def test_mistakes_are_sentences(words: list[str], sentence: str, shared: Engine, tmp_path: Path) -> None:
    base = ["--seed", "3", "--point", "5,5:9,9", "-o", str(tmp_path / "out.png"), "--server", "local"]
    assert sentence in finish(command(shared.home, *base, *words), 1)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("gone_s", "end"), [(0.3, ConnectionLost), (3600.0, KeyboardInterrupt)])
def test_an_engine_that_is_gone_is_not_waited_for(
    gone_s: float, end: type[BaseException], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRITA_DRAG_HOME", str(home))
    monkeypatch.setattr(remote, "_GONE_S", gone_s)
    heard: list[object] = []

    def on_event(event: object) -> None:
        heard.append(event)
        if isinstance(event, Progress) and event.phase == "dragging":
            engine.kill()

    def wanted() -> bool:  # Ctrl-C, once the user has been told that the engine is gone
        return gone_s < 1 or not any(isinstance(event, StateChanged) and event.reason for event in heard)

    with running(home) as engine, RemoteEngine(finder("local")) as reached:
        sid = new_id()
        reached.ask(Open(new_id(), sid, NAME, seed=1))
        drag = Drag(new_id(), sid, ((5.0, 5.0, 60.0, 60.0),), solver="draggan", max_steps=100_000)
        with pytest.raises(end):
            reached.ask(drag, on_event, wanted)


def test_without_an_engine(tmp_path: Path) -> None:
    words = ["--seed", "3", "--point", "5,5:9,9", "-o", str(tmp_path / "out.png"), "--server", "local"]
    assert "The engine does not run." in finish(command(tmp_path / "home", *words), 1)
