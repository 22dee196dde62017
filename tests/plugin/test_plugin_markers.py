"""Pairs on the vector layer: exact there and back, one undo step a gesture, moved by hand, saved with their weights."""

from __future__ import annotations

from typing import Any

import fake_krita
import pytest
from hypothesis import given
from hypothesis import strategies as st
from krita_drag.geometry import Point
from krita_drag.marker_shapes import Mark, parse, to_pairs, to_svg
from krita_drag.markers import LAYER_NAME, MarkerLayer
from krita_drag.pairs import Pair

A, B = Pair(1, Point(10.25, 20.5), Point(30, 40)), Pair(2, Point(5, 6), Point(5, 6))
PLACES = st.builds(Point, st.floats(0, 30_000), st.floats(0, 30_000))


def near(one: Any, other: Any) -> bool:
    return [pair.key for pair in one] == [pair.key for pair in other] and all(
        a.handle.distance(b.handle) < 1e-3 and a.target.distance(b.target) < 1e-3
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def layer(document: Any, settle: Any) -> MarkerLayer:
    markers = MarkerLayer(document)
    markers.ensure()
    settle()
    return markers


def test_what_is_written_is_read(layer: MarkerLayer) -> None:
    layer.write([A, B])
    assert near(layer.read(), [A, B])
    assert layer.read()[1].is_anchor


def test_a_gesture_is_one_undo_step_and_undo_takes_exactly_it_back(layer: MarkerLayer, document: Any) -> None:
    moved = Pair(1, A.handle, Point(33, 44))
    history = [[A], [A, B], [moved, B], [B], [B, Pair(3, Point(1, 1), Point(9, 9))]]
    for number, pairs in enumerate(history, 2):
        layer.write(pairs)
        assert len(document.steps) == number
    for pairs in reversed(history):
        assert near(layer.read(), pairs)
        document.undo()
    assert layer.read() == ()


def test_only_the_versions_that_count_are_visible(layer: MarkerLayer, document: Any) -> None:
    layer.write([A])
    layer.write([Pair(1, A.handle, Point(33, 44))])
    shapes = layer.find().shapes()
    assert [shape.visible() for shape in shapes] == [False] * 3 + [True] * 3
    document.undo()
    layer.read()
    assert [shape.visible() for shape in layer.find().shapes()] == [True] * 3


def test_shapes_moved_with_kritas_own_tool_are_read_where_they_are(layer: MarkerLayer) -> None:
    layer.write([A])
    target = next(shape for shape in layer.find().shapes() if shape.name().endswith("target"))
    target.move_by_hand(12.0, 6.0)  # points at 300 dpi
    assert layer.read()[0].target == pytest.approx((50.0, 25.0))
    layer.write(layer.read())
    assert layer.read()[0].target == pytest.approx((50.0, 25.0))


def test_nothing_is_written_when_nothing_changed(layer: MarkerLayer, document: Any) -> None:
    layer.write([A, B])
    steps = len(document.steps)
    layer.write(layer.read())
    assert len(document.steps) == steps


def test_the_artists_layer_stays_active(document: Any, settle: Any) -> None:
    active = document.activeNode()
    MarkerLayer(document).ensure()
    settle(lambda: document.activeNode() is active)
    assert document.root.childNodes()[-1].name() == LAYER_NAME


def test_weights_are_kept_and_wrong_ones_ignored(layer: MarkerLayer, document: Any) -> None:
    layer.write([Pair(1, A.handle, A.target, 2.5), B])
    assert [pair.weight for pair in MarkerLayer(document).read()] == [2.5, 1.0]
    from PyQt5.QtCore import QByteArray

    for wrong in (b"{", b"[1]", b'{"1": "x"}', b'{"1": -1}'):
        document.setAnnotation("krita_drag/weights", "", QByteArray(wrong))
        assert [pair.weight for pair in layer.read()] == [1.0, 1.0]


def test_an_end_deleted_by_hand_takes_its_pair_along() -> None:
    marks = [Mark(1, 1, "handle", A.handle), Mark(2, 1, "handle", A.handle), Mark(2, 1, "target", A.target)]
    assert [pair.key for pair in to_pairs(marks)] == [2]


@pytest.mark.parametrize(
    "name", ["", "circle1", "drag-1-handle", "drag-1.1-nose", "xdrag-1.1-handle", "drag-1.1-handle2"]
)
def test_foreign_shapes_are_left_alone(name: str) -> None:
    assert parse(name, Point(0, 0)) is None


@given(st.lists(st.tuples(PLACES, PLACES), max_size=8), st.lists(st.tuples(PLACES, PLACES), max_size=8))
def test_any_pairs_can_follow_any_others(before: list, after: list) -> None:
    document = fake_krita.Document(30_000, 30_000)
    layer = document.add(fake_krita.VectorLayer(document, LAYER_NAME))
    for ends in (before, after):
        wanted = [Pair(key, *both) for key, both in enumerate(ends, 1)]
        marks = [mark for shape in layer.shapes() if (mark := _mark(shape, document)) is not None]
        if svg := to_svg(wanted, marks, (30_000, 30_000), 5.0):
            layer.addShapesFromSvg(svg)
        found = MarkerLayer(document).read()
        assert [pair.key for pair in found] == [pair.key for pair in wanted]
        for pair, there in zip(wanted, found, strict=True):
            assert pair.handle.distance(there.handle) < 1e-2
            assert pair.target.distance(there.target) < (1.001 if pair.is_anchor else 1e-2)  # an anchor is one place
        marks = [mark for shape in layer.shapes() if (mark := _mark(shape, document)) is not None]
        assert to_svg(wanted, marks, (30_000, 30_000), 5.0) is None


def _mark(shape: fake_krita.Shape, document: fake_krita.Document) -> Mark | None:
    middle = shape.boundingBox().center() * document.xRes() / 72
    return parse(shape.name(), Point(middle.x(), middle.y()))
