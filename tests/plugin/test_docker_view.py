"""What the docker says and allows, for every state of engine and edit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from krita_drag import translate
from krita_drag.docker_view import PHASES, describe
from krita_drag.edit_state import BUSY, STOPPABLE, Patch, Stage
from krita_drag.geometry import Box, Point
from krita_drag.link_status import LinkState, LinkStatus, Remedy
from krita_drag.pairs import Pair
from krita_drag.point_map import Places
from krita_drag.session import EditSession
from krita_drag.wire.errors import NotInstalled, VersionMismatch
from krita_drag.wire.vocabulary import PHASES as WIRE_PHASES

READY = LinkStatus(LinkState.READY, "CPU")
PAIRS = (Pair(1, Point(0, 0), Point(30, 40)), Pair(2, Point(5, 5), Point(5, 5)))


def edit(stage: Stage = Stage.READY, **shown: Any) -> EditSession:
    session = EditSession(lambda message: None, lambda: None, lambda patch, file: None)
    session.stage = stage
    for name, value in shown.items():
        setattr(session.shown, name, value)
    return session


@pytest.mark.parametrize("state", LinkState)
def test_every_state_of_the_engine_has_a_text_and_trouble_a_button(state: LinkState) -> None:
    view = describe(LinkStatus(state), edit(), PAIRS)
    assert view.engine_text
    works = state in (LinkState.READY, LinkState.STARTING, LinkState.CONNECTING)
    assert (view.remedy is Remedy.NONE) == works
    assert view.can_prepare == view.can_drag == (state is LinkState.READY)


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_allows_what_makes_sense(stage: Stage) -> None:
    patch = Patch(Box(0, 0, 1, 1), (1, 1), b"abcd")
    view = describe(READY, edit(stage, undos=1, patch=patch), PAIRS)
    assert view.drag_stops == (stage in STOPPABLE)
    assert view.can_drag == (stage in STOPPABLE | {Stage.EMPTY, Stage.READY})
    assert (view.progress is not None) == (stage in BUSY)
    assert bool(view.progress_text) == (stage in BUSY)
    assert view.can_prepare == (stage in (Stage.EMPTY, Stage.READY))
    assert view.can_apply == view.can_step == (stage is Stage.READY)


def test_reading_the_layer_can_be_stopped() -> None:
    view = describe(READY, edit(Stage.EMPTY), PAIRS, reading=0.25)
    assert (view.progress, view.drag_stops, view.can_prepare) == (0.25, True, False)


def test_the_rows_say_how_far_each_point_has_to_go() -> None:
    session = edit()
    session._map.places = Places(PAIRS, [Point(30, 20), PAIRS[1].handle], [False, True])
    first, second = describe(READY, session, PAIRS).rows
    assert (first.left_px, first.doubtful) == (20.0, False)
    assert (second.left_px, second.doubtful) == (None, True)
    assert describe(READY, edit(), PAIRS).rows[0].left_px == 50.0
    elsewhere = replace(PAIRS[0], handle=Point(20, 20))
    row = describe(READY, session, [elsewhere]).rows[0]
    assert row.left_px == elsewhere.handle.distance(elsewhere.target), "nobody has followed this one"


def test_without_anything_to_pull_there_is_no_drag_but_a_hint() -> None:
    for pairs in ((), PAIRS[1:]):
        view = describe(READY, edit(), pairs)
        assert not view.can_drag
        assert view.message is not None and "pull" in view.message.text and not view.message.is_problem


def test_without_a_document_only_the_engine_is_told() -> None:
    view = describe(READY, None)
    assert not (view.can_prepare or view.can_drag or view.can_edit or view.can_apply)
    assert view.message is not None and "Open a picture" in view.message.text


def test_failures_are_shown_with_their_way_out() -> None:
    failure = NotInstalled("The engine is not installed.", "Run install.py.")
    view = describe(LinkStatus(LinkState.NOT_INSTALLED, error=failure, details=("last line",)), edit())
    assert view.message is not None
    assert (view.message.text, view.message.code) == ("The engine is not installed.", "not-installed")
    assert view.message.hint == "Run install.py.\nlast line"
    assert not view.message.can_close
    session = edit()
    session.problem = VersionMismatch("The engine is of another version.", "Update.")
    view = describe(LinkStatus(LinkState.FAILED, error=failure), session)
    assert view.message is not None and view.message.code == "version-mismatch" and view.message.can_close


def test_a_document_that_holds_an_edit_says_how_to_reopen_it() -> None:
    view = describe(READY, edit(Stage.EMPTY), holds_edit=True)
    assert view.can_reopen and view.message is not None and "Reopen" in view.message.text
    assert not describe(READY, edit(Stage.EMPTY)).can_reopen


def test_progress_without_an_end_in_sight_is_told_apart() -> None:
    assert describe(READY, edit(Stage.OPENING)).progress == -1
    assert describe(READY, edit(Stage.PREPARING, step=3, of=4, phase="projecting")).progress == 0.75
    assert "3 of 4" in describe(READY, edit(Stage.PREPARING, step=3, of=4, phase="projecting")).progress_text
    for left_s, text in ((0.2, "about 1 s left"), (47.0, "about 50 s left"), (170.0, "about 3 min left")):
        assert text in describe(READY, edit(Stage.PREPARING, step=3, of=4, left_s=left_s)).progress_text
    assert describe(READY, edit(Stage.PREPARING, step=3, of=4, phase="of-tomorrow")).progress_text


def test_every_phase_of_the_protocol_has_a_text() -> None:
    assert set(PHASES) == set(WIRE_PHASES)


def test_texts_can_be_translated(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xx.json").write_text('{"Drag": "Ziehen 画", "Engine ready": "Bereit"}', "utf-8")
    monkeypatch.setattr(translate, "FOLDER", tmp_path)
    try:
        translate.load("xx_YY")
        assert describe(READY, edit(), PAIRS).drag_text == "Ziehen 画"
        translate.load("en_GB")
        assert describe(READY, edit(), PAIRS).drag_text == "Drag"
    finally:
        translate.load("")
