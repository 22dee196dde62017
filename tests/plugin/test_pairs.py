"""Gestures: any sequence of them leaves sensible pairs, and each can be taken back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from krita_drag.geometry import Point
from krita_drag.pairs import MAX_POINTS, End, Grip, Pair, PairEditor, nearest

PLACES = st.builds(Point, st.floats(0, 1000), st.floats(0, 1000))
GESTURES = st.tuples(PLACES, PLACES, st.booleans())


def pull(editor: PairEditor, start: Point, end: Point, anchor: bool = False) -> bool:
    editor.press(start, 5.0, anchor)
    editor.move(Point((start.x + end.x) / 2, (start.y + end.y) / 2))
    return editor.release(end)


def test_press_is_the_handle_and_release_the_target() -> None:
    editor = PairEditor()
    assert pull(editor, Point(10, 20), Point(50, 60))
    assert editor.pairs == (Pair(1, Point(10, 20), Point(50, 60)),)
    assert not editor.pairs[0].is_anchor


def test_a_click_makes_nothing_and_shift_makes_an_anchor() -> None:
    editor = PairEditor()
    assert not pull(editor, Point(10, 20), Point(10.4, 20))
    assert editor.pairs == ()
    assert pull(editor, Point(10, 20), Point(10, 20), anchor=True)
    assert editor.pairs[0].is_anchor


def test_each_end_can_be_pulled_and_keeps_its_distance_to_the_pointer() -> None:
    editor = PairEditor([Pair(1, Point(10, 10), Point(50, 50)), Pair(2, Point(90, 90), Point(90, 90))])
    pull(editor, Point(52, 51), Point(72, 51))
    assert editor.pairs[0] == Pair(1, Point(10, 10), Point(70, 50))
    pull(editor, Point(10, 10), Point(12, 10))
    assert editor.pairs[0] == Pair(1, Point(12, 10), Point(70, 50))
    pull(editor, Point(90, 90), Point(80, 80))
    assert editor.pairs[1] == Pair(2, Point(80, 80), Point(80, 80))


def test_escape_in_a_gesture_takes_it_back() -> None:
    editor = PairEditor([Pair(1, Point(10, 10), Point(50, 50))])
    editor.press(Point(50, 50), 5)
    editor.move(Point(99, 99))
    assert editor.cancel()
    assert editor.pairs == (Pair(1, Point(10, 10), Point(50, 50)),)
    assert not editor.cancel()


def test_delete_removes_the_selected_pair_and_then_the_last() -> None:
    editor = PairEditor([Pair(1, Point(10, 10), Point(50, 50)), Pair(2, Point(90, 90), Point(70, 70))])
    editor.press(Point(10, 10), 5)
    editor.release(Point(10, 10))
    assert editor.delete_selected()
    assert [pair.key for pair in editor.pairs] == [2]
    assert editor.delete_selected()
    assert not editor.delete_selected()


def test_pairs_from_outside_wait_for_the_end_of_a_gesture() -> None:
    editor = PairEditor()
    editor.press(Point(10, 10), 5)
    editor.replace([])
    assert len(editor.pairs) == 1
    editor.release(Point(30, 30))
    editor.replace([])
    assert editor.pairs == () and editor.selected is None


@given(st.lists(GESTURES, max_size=12))
def test_keys_stay_unique_and_nothing_is_held_afterwards(gestures: list[tuple[Point, Point, bool]]) -> None:
    editor = PairEditor()
    for start, end, anchor in gestures:
        before = editor.pairs
        changed = pull(editor, start, end, anchor)
        assert changed == (editor.pairs != before)
        assert editor.held is None
        assert len({pair.key for pair in editor.pairs}) == len(editor.pairs)
        assert len(editor.pairs) - len(before) in (0, 1)


@given(st.lists(PLACES, min_size=2, max_size=20), PLACES, st.floats(0, 500))
def test_the_nearest_end_is_the_nearest(places: list[Point], at: Point, reach: float) -> None:
    pairs = [Pair(key, start, end) for key, (start, end) in enumerate(pairwise(places))]
    distances = [pair.end(end).distance(at) for pair in pairs for end in End if end is End.HANDLE or not pair.is_anchor]
    found = nearest(pairs, at, reach)
    if found is None:
        assert min(distances) > reach
    else:
        chosen = next(pair for pair in pairs if pair.key == found.key)
        assert chosen.end(found.end).distance(at) == min(distances) <= reach


def test_a_target_is_taken_before_a_handle_under_it() -> None:
    pair = Pair(1, Point(10, 10), Point(12, 10))
    assert nearest([pair], Point(11, 10), 5) == Grip(1, End.TARGET)


def test_there_is_a_most() -> None:
    pairs = [Pair(key, Point(key, 0), Point(key, 9)) for key in range(MAX_POINTS)]
    editor = PairEditor(pairs)
    assert not pull(editor, Point(500, 500), Point(600, 600))
    assert editor.pairs == tuple(pairs)
