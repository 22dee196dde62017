"""Points and masks: every row of what can be wrong with them, and what then happens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from krita_drag.wire.errors import BadMask, BadPoints
from krita_drag.wire.messages import Frame
from krita_drag.wire.validate import check_points, is_anchor

WH = (40, 30)
MOVE = (5.5, 6.5, 10.5, 6.5)


def mask(value: int, *spots: tuple[int, int], spot: int = 255, wh: tuple[int, int] = WH) -> Frame:
    data = bytearray([value]) * (wh[0] * wh[1])
    for x, y in spots:
        data[y * wh[0] + x] = spot
    return Frame("u1", (wh[1], wh[0]), data)


def test_sound_points_stay_as_they_are() -> None:
    checked = check_points([MOVE, (20, 20, 20, 20)], WH, weights=(1, 3))
    assert checked.points == (MOVE, (20, 20, 20, 20))
    assert (checked.weights, checked.numbers, checked.moving) == ((1, 3), (0, 1), [0])
    assert (checked.use_mask, checked.notes) == (False, ())


@pytest.mark.parametrize(
    ("points", "sentence", "at"),
    [
        ([], "no point", None),
        ([MOVE] * 65, "65 points", None),
        ([MOVE, (1, 2, 3)], "Point 2 has an impossible", 1),
        ([(1, 2, 3, math.nan)], "Point 1 has an impossible", 0),
        ([(1, 2, math.inf, 3)], "Point 1 has an impossible", 0),
        ([MOVE, (40, 2, 3, 3)], r"Handle 2 at \(40, 2\) lies outside", 1),
        ([(2, -0.1, 3, 3)], "Handle 1", 0),
        ([MOVE, (1, 1, 9, 9), (5.9, 6.1, 20, 20)], "Handles 1 and 3 start at the same pixel", 2),
        ([(1, 1, 1.5, 1), (9, 9, 9, 9)], "already at its target", None),
    ],
)
def test_senseless_points_are_refused(points: list[tuple[float, ...]], sentence: str, at: int | None) -> None:
    with pytest.raises(BadPoints, match=sentence) as refused:
        check_points(points, WH)
    assert refused.value.at == at
    assert refused.value.hint


def test_careless_points_are_repaired_and_told() -> None:
    checked = check_points([(5, 5, -50, 300), (5.2, 5.2, -51, 301), (9, 9, 12, 12)], WH, weights=(1, 2, 3))
    assert checked.points == ((5, 5, 0.5, 29.5), (9, 9, 12, 12))
    assert (checked.weights, checked.numbers) == ((1, 3), (0, 2))
    assert [note.split()[:2] for note in checked.notes] == [["Target", "1"], ["Target", "2"], ["Point", "2"]]


def test_masks() -> None:
    assert check_points([MOVE], WH, mask=mask(0, (5, 6))).use_mask
    full = check_points([MOVE], WH, mask=mask(255))
    assert not full.use_mask
    assert "no effect" in full.notes[0]
    with pytest.raises(BadMask, match="30 x 40 pixels, the picture 40 x 30"):
        check_points([MOVE], WH, mask=mask(255, wh=(30, 40)))
    with pytest.raises(BadMask, match="lets nothing move"):
        check_points([MOVE], WH, mask=mask(0))
    with pytest.raises(BadMask, match="must not change"):
        check_points([MOVE, (1.5, 1.5, 1.5, 1.5)], WH, mask=mask(0, (1, 1)))
    with pytest.raises(BadMask, match="must not change"):
        check_points([(5, 6, 5, 6)], WH, mask=mask(255, (5, 6), spot=0), live=True)


def test_a_gesture_begins_without_a_way_to_go() -> None:
    assert check_points([(5, 5, 5, 5)], WH, live=True).moving == []


COORDINATE = st.floats(-60, 60) | st.floats() | st.integers(-50, 50)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=6),
    st.none() | st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.booleans(),
)
def test_whatever_is_given_is_sound_or_refused(
    points: list[tuple[float, ...]], shade: tuple[int, int] | None, live: bool
) -> None:
    region = None if shade is None else mask(shade[0], (5, 6), (0, 0), spot=shade[1])
    try:
        checked = check_points(points, WH, mask=region, live=live)
    except (BadPoints, BadMask) as refused:
        assert refused.message.endswith(".")
        return
    for hx, hy, tx, ty in checked.points:
        assert 0 <= hx < WH[0] and 0 <= tx < WH[0] and 0 <= hy < WH[1] and 0 <= ty < WH[1]
    handles = [(math.floor(point[0]), math.floor(point[1])) for point in checked.points]
    assert len(set(handles)) == len(handles)
    assert live or not all(is_anchor(point) for point in checked.points)
    assert len(checked.points) == len(checked.numbers)
