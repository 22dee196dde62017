"""Transforms, boxes and the part of a canvas that is sent: properties, and Qt as the judge of the algebra."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krita_drag.geometry import Affine, Box, CanvasView, Point, box_around, document_to_widget, part_to_send

COORDINATE = st.floats(-40_000, 40_000)
POINTS = st.builds(Point, COORDINATE, COORDINATE)
BOXES = st.builds(Box, *[st.integers(-500, 500)] * 2, *[st.integers(1, 40_000)] * 2)
VIEWS = st.builds(
    CanvasView,
    document_wh=st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)),
    widget_wh=st.tuples(st.integers(100, 4000), st.integers(100, 4000)),
    zoom=st.floats(0.01, 40),
    mirrored=st.booleans(),
    rotation_deg=st.floats(-360, 360),
    scroll_xy=st.tuples(st.integers(-20_000, 20_000), st.integers(-20_000, 20_000)),
    vast_scrolling=st.floats(0, 1),
)


@given(VIEWS, POINTS)
def test_a_click_on_a_shown_point_finds_the_point(view: CanvasView, point: Point) -> None:
    there = document_to_widget(view)
    assert there.inverse().map(there.map(point)).distance(point) < 1e-4


@given(VIEWS)
def test_zoom_is_the_scale_and_mirroring_turns_the_orientation(view: CanvasView) -> None:
    there = document_to_widget(view)
    assert there.scale == pytest.approx(view.zoom)
    determinant = there.m11 * there.m22 - there.m12 * there.m21
    assert (determinant < 0) == view.mirrored


@given(VIEWS)
def test_with_vast_scrolling_the_scroll_bars_place_the_picture(view: CanvasView) -> None:
    vast = view._replace(vast_scrolling=1.0)
    left, top, _, _ = document_to_widget(vast).bounds(*vast.document_wh)
    assert (left, top) == pytest.approx((-vast.scroll_xy[0], -vast.scroll_xy[1]), abs=1e-3)


@given(st.floats(-360, 360), st.floats(0.1, 9), POINTS, POINTS)
def test_the_algebra_is_that_of_qt(degrees: float, scale: float, shift: Point, point: Point) -> None:
    qt_gui = pytest.importorskip("PyQt5.QtGui", exc_type=ImportError)
    ours = Affine.scaling(-scale, scale).then(Affine.rotation(degrees)).then(Affine.translation(*shift))
    turned = qt_gui.QTransform()
    turned.rotate(degrees)
    theirs = qt_gui.QTransform.fromScale(-scale, scale) * turned * qt_gui.QTransform.fromTranslate(*shift)
    assert theirs.map(*point) == pytest.approx(ours.map(point), abs=1e-4)


@given(BOXES, BOXES)
def test_intersection_is_inside_both(one: Box, other: Box) -> None:
    both = one.intersect(other)
    assert both == other.intersect(one)
    if not both.empty:
        assert both.intersect(one) == both.intersect(other) == both


@given(BOXES, st.integers(1, 9000))
def test_bands_cover_every_row_once(box: Box, count: int) -> None:
    bands = box.rows(count)
    assert sum(band.h for band in bands) == box.h
    assert all(above.y + above.h == below.y for above, below in pairwise(bands))
    assert all((band.x, band.w) == (box.x, box.w) and 0 < band.h <= count for band in bands)


@given(BOXES, POINTS)
def test_clamped_points_are_inside(box: Box, point: Point) -> None:
    assert box.contains(box.clamp(point))
    inner = box.clamp(point)
    assert box.clamp(inner) == inner


@given(st.lists(POINTS, min_size=1))
def test_a_box_around_points_holds_them(points: list[Point]) -> None:
    box = box_around(points)
    assert box is not None
    assert all(box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h for x, y in points)
    assert box_around([]) is None


@given(BOXES, st.one_of(st.none(), BOXES), st.integers(64, 4096))
def test_the_part_to_send_fits_and_holds_the_interest(available: Box, interest: Box | None, limit: int) -> None:
    part = part_to_send(available, interest, limit)
    if part is None:
        assert max(available.w, available.h) > limit
        return
    assert part.intersect(available) == part
    assert part.w <= limit and part.h <= limit
    if interest is not None:
        wanted = interest.intersect(available)
        assert wanted.empty or wanted.intersect(part) == wanted


def test_small_layers_are_sent_whole_and_unknown_interest_in_big_ones_is_refused() -> None:
    assert part_to_send(Box(-5, 3, 800, 600), None, 4096) == Box(-5, 3, 800, 600)
    assert part_to_send(Box(0, 0, 30_000, 30_000), None, 4096) is None
    assert part_to_send(Box(0, 0, 30_000, 300), Box(29_900, 10, 50, 50), 4096) == Box(25_904, 0, 4096, 300)


def test_rotation_is_clockwise_on_the_screen() -> None:
    assert Affine.rotation(90).map(Point(1, 0)) == pytest.approx((0, 1))
    assert math.isclose(Affine.scaling(3, 3).then(Affine.rotation(30)).scale, 3)
