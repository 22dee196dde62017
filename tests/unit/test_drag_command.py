"""What `krita-drag drag` writes and says, with a tiny model in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.service import tiny_home
from engine.cli import main

Said = pytest.CaptureFixture[str]


@pytest.fixture
def drag(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run a drag with a model that has learnt nothing; returns its JSON."""
    tiny_home.install(home)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> dict[str, Any]:
        base = ("--model", tiny_home.NAME, "-o", "out.png", "--json", "way.json")
        assert main(["drag", *words, *base]) == 0
        return json.loads(Path("way.json").read_text(encoding="utf-8"))

    return run


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_frames_are_those_of_this_drag_and_end_with_the_picture(drag: Callable[..., dict[str, Any]]) -> None:
    frames = Path("frames")
    frames.mkdir()
    for name in ("step_0999.png", "step_note.png", "other.png"):
        (frames / name).touch()
    words = ("--seed", "3", "--point", "30,30:60,90", "--solver", "draggan", "--steps", "30", "--frame-every", "1")
    found = drag(*words, "--frames", str(frames))
    assert found["shown_step"] < found["steps"] == 30, "else this test shows nothing"
    ours = [f"step_{number:04d}.png" for number in range(found["shown_step"] + 1)]
    assert sorted(path.name for path in frames.iterdir()) == sorted([*ours, "step_note.png", "other.png"])
    assert np.array_equal(pixels(frames / ours[-1]), pixels("out.png"))
    assert found["end_mean_distance"] == found["history"][found["shown_step"]]["mean_distance"]
