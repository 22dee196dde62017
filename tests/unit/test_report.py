"""The pictures that tell about a drag: report, points, curve and animation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.animation import MOST_FRAMES, chosen_steps, gif_frame, save_gif
from engine.chart import nice_ticks
from engine.overlay import HANDLE, TARGET, TRACKED, Markers, with_markers
from engine.report import WIDTH, Report, draw_report

GREY = 128


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def markers(count: int = 2) -> Markers:
    handles = np.array([[20.0 + 9 * i, 30.0] for i in range(count)])
    return Markers(handles, handles + np.array([0, 40]), handles + np.array([0, 22]))


def report(height: int = 100, width: int = 100, **changes: object) -> Report:
    distances = [40.0 * 0.9**step for step in range(30)]
    values: dict = {
        "before": grey(height, width),
        "after": grey(height, width),
        "markers": markers(),
        "steps": list(range(30)),
        "mean_distances": distances,
        "title": "faces",
        "facts": [("model", "faces")],
    }
    return Report(**(values | changes))


def has_colour(picture: Image.Image, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    difference = np.abs(np.asarray(picture).astype(int) - colour).max(axis=2)
    return bool((difference <= tolerance).any())


def test_report_shows_both_pictures_with_all_three_kinds_of_points() -> None:
    picture = draw_report(report())
    assert picture.mode == "RGB"
    assert picture.width == WIDTH
    assert 600 <= picture.height <= 1000
    before, after = picture.crop((0, 80, 640, 700)), picture.crop((640, 80, 1220, 700))
    assert has_colour(before, HANDLE)
    assert has_colour(before, TARGET)
    assert not has_colour(before, TRACKED)
    for colour in (HANDLE, TARGET, TRACKED):
        assert has_colour(after, colour)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1024, 1024), (60, 900), (900, 60)])
def test_report_takes_pictures_of_any_shape(height: int, width: int) -> None:
    assert draw_report(report(height, width, markers=Markers())).width == WIDTH


def test_report_without_steps_and_with_a_single_step() -> None:
    draw_report(report(steps=[], mean_distances=[], markers=Markers()))
    draw_report(report(steps=[0], mean_distances=[12.0]))


def test_report_with_distances_that_are_not_finite_or_zero() -> None:
    draw_report(report(steps=[0, 1, 2], mean_distances=[12.0, math.nan, math.inf]))
    draw_report(report(steps=[0, 1], mean_distances=[0.0, 0.0]))


def test_report_with_68_points_and_a_title_beyond_ascii() -> None:
    draw_report(report(1024, 1024, markers=markers(68), title="Jürgen 画", facts=[("picture", "Jürgen 画.png")]))


def test_markers_lie_where_the_points_are() -> None:
    picture = Image.fromarray(grey(200, 300))
    drawn = with_markers(picture, Markers(np.array([[60.0, 50.0]]), np.array([[220.0, 150.0]])))
    assert drawn.getpixel((59, 49)) == HANDLE
    assert drawn.getpixel((219, 149)) == TARGET
    assert drawn.getpixel((60, 150)) == (GREY,) * 3
    assert picture.getpixel((59, 49)) == (GREY,) * 3, "the picture itself stays as it is"


def test_markers_scale_about_the_corner_of_the_first_pixel() -> None:
    moved = Markers(np.array([[0.5, 0.5]]), np.array([[10.0, 4.0]])).scaled(2.0)
    assert moved.handles.tolist() == [[1.0, 1.0]]
    assert moved.targets.tolist() == [[20.0, 8.0]]
    assert moved.tracked.shape == (0, 2)


@given(st.floats(1e-6, 1e6))
def test_ticks_cover_the_values_and_are_few(highest: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * 0.998
    assert 2 <= len(ticks) <= 8


@given(st.integers(1, 2000), st.none() | st.integers(1, 50))
def test_chosen_steps_hold_both_ends(count: int, every: int | None) -> None:
    steps = chosen_steps(count, every)
    assert steps[0] == 0
    assert steps[-1] == count - 1
    assert steps == sorted(set(steps))
    if every is None:
        assert len(steps) <= MOST_FRAMES + 1


def test_animation_has_every_frame_and_rests_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "drag.gif"
    frames = [gif_frame(Image.new("RGB", (960, 480), (10 * i, 90, 200)), markers()) for i in range(5)]
    save_gif(path, frames)
    with Image.open(path) as animation:
        assert animation.size == (480, 240)
        assert animation.n_frames == 5
        assert animation.info["loop"] == 0
        durations = []
        for number in range(5):
            animation.seek(number)
            durations.append(animation.info["duration"])
    assert durations[-1] > durations[1]


def test_animation_keeps_the_colours_of_the_points(tmp_path: Path) -> None:
    path = tmp_path / "dark.gif"
    noise = np.random.default_rng(0).integers(0, 60, (200, 200, 3), dtype=np.uint8)
    save_gif(path, [gif_frame(Image.fromarray(noise), markers())] * 2)
    with Image.open(path) as animation:
        frame = animation.convert("RGB")
    for colour in (HANDLE, TARGET, TRACKED):
        assert has_colour(frame, colour)


@pytest.mark.parametrize("count", [1, 2])
def test_animation_of_one_or_two_frames(tmp_path: Path, count: int) -> None:
    path = tmp_path / "short.gif"
    save_gif(path, [Image.new("RGB", (8, 8), (90 * i, 0, 0)) for i in range(count)])
    with Image.open(path) as animation:
        assert getattr(animation, "n_frames", 1) == count
