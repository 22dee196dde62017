"""What `krita-drag drag` writes and says, with a tiny model in this process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.service import tiny_home
from engine.align import centre_crop
from engine.cli import main
from engine.commands import searching
from engine.progress import StopRequest

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with the tiny model."""
    tiny_home.install(home)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def drag() -> Callable[..., dict[str, Any]]:
    """Run a drag with a model that has learnt nothing; returns its JSON."""

    def run(*words: str) -> dict[str, Any]:
        base = ("--model", tiny_home.NAME, "-o", "out.png", "--json", "way.json")
        assert main(["drag", *words, *base]) == 0
        return json.loads(Path("way.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize("name", ["-o", "--report"])
def test_no_output_is_taken_for_a_frame(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["drag", "--model", tiny_home.NAME, "--seed", "3", "--point", "30,30:60,90", "-o", "out.png"]
    Path("frames").mkdir()
    assert main([*words, name, "frames/step_0005.png", "--frames", "frames"]) == 1
    assert "name of a frame" in capsys.readouterr().err and not list(Path("frames").iterdir())


def test_without_steps_a_mask_says_nothing() -> None:
    words = photo()
    assert main([*words, *mask(60, 90), "--steps", "0", "--inversion-steps", "2", "--quiet"]) == 0


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before the long search for a photo, and that only."""

    def begin(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "invert", begin)


def photo() -> tuple[str, ...]:
    """Write a photo of 96 x 80 px, and return the words of a drag in its left half."""
    Image.linear_gradient("L").resize((96, 80)).convert("RGB").save("photo.png")
    return ("drag", "photo.png", "--model", tiny_home.NAME, "--crop", "0,0,40,0,40,40,0,40", "-o", "out.png")


def mask(left: int, right: int) -> tuple[str, ...]:
    """Paint what may move, these columns, and return the words that name it."""
    painted = np.zeros((80, 96), np.uint8)
    painted[:, left:right] = 255
    Image.fromarray(painted).save("mask.png")
    return ("--mask", "mask.png")


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_frames_end_with_the_picture_and_leave_other_files_alone(
    drag: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    frames = Path("frames")
    frames.mkdir()
    for name in ("step_0999.png", "step_note.png", "other.png"):
        (frames / name).touch()
    words = ("--seed", "3", "--point", "30,30:60,90", "--solver", "draggan", "--steps", "30", "--frame-every", "1")
    found = drag(*words, "--frames", str(frames))
    assert found["shown_step"] < found["steps"] == 30, "else this test shows nothing"
    ours = [f"step_{number:04d}.png" for number in range(found["shown_step"] + 1)]
    assert {path.name for path in frames.iterdir()} == {*ours, "step_0999.png", "step_note.png", "other.png"}
    assert "step_0999.png, 1 in all" in capsys.readouterr().err, "a film of the folder would end in it"
    assert np.array_equal(pixels(frames / ours[-1]), pixels("out.png"))
    assert found["end_mean_distance"] == found["history"][found["shown_step"]]["mean_distance"]


def test_a_mask_beside_what_the_model_sees_is_refused_before_the_search(no_search: None, capsys: Said) -> None:
    assert main([*photo(), *mask(50, 96), "--point", "10,10:20,20"]) == 1
    assert "The mask leaves nothing to move" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("points", "named"),
    [(["10,10:30,20"], "Point 1 lies outside"), (["10,10:30,20", "35,9:9,9", "9,9:30,30"], "Points 1, 3 lie outside")],
)
def test_handles_outside_the_mask_are_named_before_the_search(
    points: list[str], named: str, no_search: None, capsys: Said
) -> None:
    assert main([*photo(), *mask(20, 96), *(f"--point={point}" for point in points), "--anchor=5,5"]) == 130
    assert f"note: {named} the mask" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["drag", "invert"])
def test_what_was_found_of_a_face_is_said_before_the_search(
    command: str, no_search: None, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    square = centre_crop(96, 80, tiny_home.RESOLUTION)
    monkeypatch.setattr(searching, "find_crop", lambda *arguments, **more: (square, ("No face was found.",)))
    photo()
    words = ("photo.png", "--model", tiny_home.NAME, "-o", "out.png")
    assert main([command, *words, *(("--point", "40,40:50,50") if command == "drag" else ())]) == 130
    assert "note: No face was found." in capsys.readouterr().err


def test_notes_are_in_the_json_and_said_once(drag: Callable[..., dict[str, Any]], capsys: Said) -> None:
    found = drag(*photo()[1:2], *photo()[4:6], *mask(20, 96), "--point=9,9:30,30", "--inversion-steps=1", "--steps=1")
    said = capsys.readouterr().err
    assert found["notes"]
    assert [said.count(note) for note in found["notes"]] == [1] * len(found["notes"])


def test_the_json_holds_all_that_was_asked_for(drag: Callable[..., dict[str, Any]]) -> None:
    words = ("--point=10,10:13,14@2", "--anchor=30,30", "--stay-close=2", "--inversion-steps=3", "--steps=2")
    found = drag(*photo()[1:2], *photo()[4:6], *mask(0, 96), *words)
    assert found["search"] == {"preset": "balanced", "steps": 3, "loss": found["search"]["loss"], "stopped": False}
    assert found["search"]["loss"] > 0
    assert found["crop"] == [pytest.approx(corner) for corner in ([0, 0], [40, 0], [40, 40], [0, 40])]
    assert (found["stay_close"], found["mask"]) == (2, "mask.png")
    assert [point["weight"] for point in found["points"]] == [2, 1]
    assert found["start_mean_distance"] == pytest.approx(2.5)
    assert {point["lost"] for point in found["points"]} <= {True, False}
    assert len(found["history"][-1]["lost"]) == len(found["history"][-1]["confidence"]) == 2
    assert all(0 <= point["confidence"] <= 1 for point in found["points"])
    ends = [point["distance"] for point in found["points"]]
    assert np.mean(ends) == pytest.approx(found["end_mean_distance"])
    assert found["history"][found["shown_step"]]["distances"] == pytest.approx(ends)


def test_ctrl_c_in_the_search_is_in_the_json(
    drag: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def stopped(progress: object) -> Iterator[StopRequest]:
        yield request

    request = StopRequest()
    request.wanted = True
    monkeypatch.setattr(searching, "stop_on_interrupt", stopped)
    found = drag(*photo()[1:2], *photo()[4:6], "--point=10,10:13,14", "--preset=fast", "--steps=1")
    assert found["search"]["stopped"] is True
    assert found["search"]["steps"] == 1


@pytest.mark.parametrize("onward", [False, True])
def test_a_session_is_dragged_on_with_the_same_outputs(
    onward: bool, drag: Callable[..., dict[str, Any]], capsys: Said
) -> None:
    drag("--seed=3", "--point=30,30:33,34", "--steps=2", "--session=kept.safetensors")
    capsys.readouterr()
    base = ("session", "drag", "kept.safetensors", "-o", "on.png", "--session=kept.safetensors")
    words = ("--point=30,30:36,38", "--solver=draggan", "--steps=2", *(["--onward"] if onward else []))
    extras = ("--json=on.json", "--gif=on.gif", "--frames=frames", "--report=report.png")
    assert main([*base, *words, *extras]) == 0
    found = json.loads(Path("on.json").read_text(encoding="utf-8"))
    assert (found["source"], found["solver"]) == ({"session": "kept.safetensors"}, "draggan")
    first = pixels("frames/step_0000.png")
    assert np.array_equal(first, pixels("out.png")) == onward, "onward begins where the first drag ended"
    assert f"mean distance 10.0 -> {found['end_mean_distance']:.1f} px in 2 steps" in capsys.readouterr().out
    assert {"on.gif", "report.png", "on.png"} <= {path.name for path in Path().iterdir()}


def test_the_result_is_printed_as_large_as_the_photo(drag: Callable[..., dict[str, Any]]) -> None:
    words = photo()
    Image.open("photo.png").save("photo.png", dpi=(240, 240))
    keep = "--session=kept.safetensors"
    drag(*words[1:2], *words[4:6], "--point=10,10:13,14", "--inversion-steps=1", "--steps=1", keep)
    assert main(["session", "render", "kept.safetensors", "-o", "again.jpg"]) == 0
    for name in ("out.png", "again.jpg"):
        with Image.open(name) as picture:
            assert picture.info["dpi"] == pytest.approx((240, 240), rel=1e-3)
