"""The state machine of an edit, driven by the messages that a real engine would send."""

from __future__ import annotations

from typing import Any

import pytest
from krita_drag.drag_messages import LOOSEST, TIGHTEST, drag_options
from krita_drag.edit_state import DragOptions, Patch, Stage
from krita_drag.geometry import Box, Point
from krita_drag.pairs import Pair
from krita_drag.session import EditSession
from krita_drag.settings import Settings
from krita_drag.wire import messages as wire
from krita_drag.wire.errors import BadPoints

from engine.drag.newton import NewtonSettings

BOX = Box(100, 50, 4, 3)
PULL = Pair(1, Point(101, 51), Point(103, 52))
HOLD = Pair(2, Point(102, 51), Point(102, 51))
PIXELS = wire.Frame("u1", (2, 2, 4), bytes(16))


class Engine:
    """Stands at the other end of `send`, and answers when told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.saved: list[tuple[Patch, bytes | None]] = []
        self.changes = 0
        self.session = EditSession(self.sent.append, self._changed, lambda *result: self.saved.append(result))

    def _changed(self) -> None:
        self.changes += 1

    def last(self, kind: type) -> Any:
        return next(message for message in reversed(self.sent) if isinstance(message, kind))

    def answer(self, kind: type, **fields: Any) -> None:
        request = next(message for message in reversed(self.sent) if isinstance(message, wire.Request))
        if kind in (wire.Preview, wire.Progress):
            fields.setdefault("seq", 1)
        self.session.handle(kind(re=request.id, sid=self.session.sid, **fields))

    def state(self, undos: int, redos: int = 0, **fields: Any) -> None:
        patch = {"rect": (1, 0, 2, 2), "patch": PIXELS} if undos else {}
        self.answer(wire.Done, undos=undos, redos=redos, **patch, **fields)

    def prepared(self) -> Engine:
        image = wire.Frame("u1", (BOX.h, BOX.w, 4), bytes(48))
        self.session.prepare(image, BOX, "faces", "balanced")
        self.answer(wire.Done, size=(4, 3))
        self.answer(wire.Done, corners=((0, 0), (4, 0), (4, 3), (0, 3)), notes=("Found a face.",))
        return self

    def dragged(self) -> Engine:
        self.prepared().session.drag([PULL, HOLD], DragOptions())
        self.state(1, reason="landed", handles=((2.5, 2.0), (2.0, 1.0)))
        return self


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_preparing_opens_and_inverts(engine: Engine) -> None:
    image = wire.Frame("u1", (3, 4, 4), bytes(48))
    engine.session.prepare(image, BOX, "faces", "fast")
    assert engine.session.stage is Stage.OPENING
    assert (engine.last(wire.Open).order, engine.last(wire.Open).image) == ("BGRA", image)
    engine.answer(wire.Accepted)
    engine.answer(wire.Done, size=(4, 3), notes=("Small picture.",))
    assert engine.session.stage is Stage.PREPARING
    assert engine.last(wire.Invert).preset == "fast"
    engine.answer(wire.Progress, phase="projecting", step=3, of=9)
    assert (engine.session.shown.phase, engine.session.shown.step, engine.session.shown.of) == ("projecting", 3, 9)
    engine.answer(wire.Preview, rect=(0, 0, 4, 3), patch=PIXELS)
    assert engine.session.shown.inverted == Patch(BOX, (2, 2), PIXELS.data)
    engine.answer(wire.Done, corners=((0, 0), (4, 0), (4, 3), (0, 3)), notes=("Found a face.",))
    assert engine.session.stage is Stage.READY
    assert engine.session.notes == ("Small picture.", "Found a face.")
    assert engine.session.shown.corners[2] == Point(104, 53)
    assert engine.session.shown.patch is None


def test_a_drag_counts_from_the_corner_of_what_was_sent(engine: Engine) -> None:
    engine.prepared().session.drag([PULL, HOLD], DragOptions("draggan", 9, 1.5, 256), bytes(12))
    sent = engine.last(wire.Drag)
    assert sent.points == ((1, 1, 3, 2), (2, 1, 2, 1))
    assert (sent.solver, sent.max_steps, sent.reach, sent.preview_px, sent.onward) == ("draggan", 9, 1.5, 256, False)
    assert sent.mask.shape == (3, 4)
    assert engine.session.stage is Stage.DRAGGING


def test_previews_and_progress_show_where_the_handles_are(engine: Engine) -> None:
    engine.prepared().session.drag([PULL, HOLD], DragOptions())
    engine.answer(wire.Progress, phase="dragging", step=1, of=9, distance_px=1.5, handles=((1.5, 1), (2, 1)))
    assert [engine.session.places.of(pair) for pair in (PULL, HOLD)] == [Point(101.5, 51), Point(102, 51)]
    assert engine.session.shown.distance_px == 1.5
    engine.answer(
        wire.Preview, rect=(1, 0, 2, 2), patch=PIXELS, handles=((2, 1), (2, 1)), confidence=(1, 1), lost=(True, False)
    )
    assert engine.session.shown.patch == Patch(Box(101, 50, 2, 2), (2, 2), PIXELS.data)
    assert not engine.session.shown.patch_is_full
    assert [engine.session.places.is_doubtful(pair) for pair in (PULL, HOLD)] == [True, False]


def test_a_finished_drag_is_a_state_of_the_history(engine: Engine) -> None:
    engine.dragged()
    assert engine.session.stage is Stage.READY
    assert (engine.session.shown.undos, engine.session.shown.redos) == (1, 0)
    assert engine.session.shown.patch_is_full
    assert engine.session.places.of(PULL) == Point(102.5, 52)


def test_the_next_drag_goes_on_from_where_the_handle_is(engine: Engine) -> None:
    further = Pair(1, PULL.handle, Point(103.5, 52.5))
    engine.dragged().session.drag([further, HOLD], DragOptions())
    assert engine.last(wire.Drag).onward
    assert engine.last(wire.Drag).points[0] == (2.5, 2.0, 3.5, 2.5)


def test_a_handle_put_elsewhere_means_that_place_of_the_picture_shown(engine: Engine) -> None:
    engine.dragged().session.drag([Pair(1, Point(100.5, 50.5), PULL.target)], DragOptions())
    assert engine.last(wire.Drag).points == ((0.5, 0.5, 3, 2),)


def test_rounding_of_the_markers_is_no_other_place(engine: Engine) -> None:
    rounded = Pair(1, PULL.handle.shifted(1e-4, 0), Point(103.5, 52.5))
    engine.dragged().session.drag([rounded, HOLD], DragOptions())
    assert engine.last(wire.Drag).points[0] == (2.5, 2.0, 3.5, 2.5)


def test_another_pair_with_the_same_number_has_not_been_followed(engine: Engine) -> None:
    session = engine.dragged().session
    other = Pair(1, Point(100.5, 50.5), PULL.target)
    assert session.places.of(PULL) is not None and session.places.of(other) is None


def test_each_state_has_the_pairs_that_led_to_it(engine: Engine) -> None:
    session, other = engine.dragged().session, Pair(1, Point(100.5, 50.5), Point(103, 50.5))
    session.drag([other, HOLD], DragOptions())
    engine.state(2, handles=((3, 0.5), (2, 1)))
    assert session.places.of(other) == Point(103, 50.5) and session.places.of(PULL) is None
    session.go_to(1)
    engine.state(1, 1, handles=((2.5, 2), (2, 1)))
    assert session.places.of(PULL) == Point(102.5, 52) and session.places.of(other) is None
    session.drag([other, HOLD], DragOptions())
    assert engine.last(wire.Drag).points[0] == (0.5, 0.5, 3, 0.5), "of this state, nobody has followed it"
    engine.answer(wire.Cancelled, undos=1, redos=1, rect=(0, 0, 2, 2), patch=PIXELS, handles=((2.5, 2), (2, 1)))
    assert session.places.of(PULL) == Point(102.5, 52), "stopped before its first step"


def test_the_engine_forgets_its_oldest_state(engine: Engine) -> None:
    session, pairs = engine.prepared().session, [Pair(1, Point(101, 51 + n), PULL.target) for n in range(3)]
    for pair, undos in zip(pairs, (1, 2, 2), strict=True):  # it keeps two
        session.drag([pair], DragOptions())
        engine.state(undos, handles=((2, 2),))
    session.go_to(1)
    engine.state(1, 1, handles=((2, 2),))
    assert [session.places.of(pair) is not None for pair in pairs] == [False, True, False]


def test_a_failed_drag_shows_the_state_that_is_there(engine: Engine) -> None:
    session = engine.prepared().session
    session.drag([PULL], DragOptions())
    engine.answer(wire.Preview, rect=(1, 0, 2, 2), patch=PIXELS)
    engine.answer(wire.Error, code="out-of-memory", message="Too large.")
    assert session.stage is Stage.STEPPING and isinstance(engine.sent[-1], wire.Render)
    engine.state(0)
    assert session.stage is Stage.READY and session.shown.patch is None
    assert session.problem is not None and session.problem.code == "out-of-memory"


def test_a_failed_drag_leaves_each_state_its_handles(engine: Engine) -> None:
    session = engine.dragged().session
    session.go_to(0)
    engine.state(0, 1)
    session.drag([HOLD, Pair(7, Point(100.5, 50.5), Point(103, 50.5))], DragOptions())
    engine.answer(wire.Progress, phase="dragging", step=1, of=9, handles=((1, 1), (2, 2)))
    engine.answer(wire.Error, code="out-of-memory", message="Too large.")
    assert session.stage is Stage.READY
    session.go_to(1)
    engine.state(1, 0, handles=((2.5, 2.0), (2.0, 1.0)))
    assert session.places.of(PULL) == Point(102.5, 52)


def test_a_result_without_a_picture_is_none(engine: Engine) -> None:
    session = engine.dragged().session
    session.shown.patch_is_full = False
    session.apply()
    engine.state(0)
    assert session.stage is Stage.READY and not engine.saved
    assert isinstance(session.problem, BadPoints)


def test_a_frame_that_fails_is_no_result(engine: Engine) -> None:
    session = engine.dragged().session
    session.apply(frames=2)
    engine.answer(wire.Error, code="out-of-memory", message="Too large.")
    assert session.stage is Stage.READY and not engine.saved
    assert session.problem is not None and session.problem.code == "out-of-memory"


def test_reopening_forgets_the_search_that_was_to_follow(engine: Engine) -> None:
    engine.session.prepare(wire.Frame("u1", (BOX.h, BOX.w, 4), bytes(48)), BOX, "faces", "balanced")
    engine.session.restore(b"file", BOX, "faces", [PULL])
    engine.state(1, size=(4, 3), handles=((3, 2),))
    assert engine.session.stage is Stage.READY and not any(isinstance(m, wire.Invert) for m in engine.sent)


def test_stop_keeps_the_state_that_was_reached(engine: Engine) -> None:
    engine.prepared().session.drag([PULL], DragOptions())
    engine.session.stop()
    assert engine.last(wire.Cancel).re == engine.last(wire.Drag).id
    engine.answer(wire.Cancelled, step=3, undos=1, redos=0, rect=(0, 0, 2, 2), patch=PIXELS, handles=((2, 2),))
    assert engine.session.stage is Stage.READY
    assert engine.session.shown.patch_is_full and engine.session.shown.undos == 1


def test_a_stop_without_a_picture_asks_for_it(engine: Engine) -> None:
    engine.dragged().session.drag([PULL], DragOptions())
    engine.session.stop()
    engine.answer(wire.Cancelled, step=3, undos=2, redos=0)
    assert engine.session.stage is Stage.STEPPING and engine.session.shown.patch is not None
    assert isinstance(engine.sent[-1], wire.Render)
    engine.answer(wire.Done, undos=2, redos=0, rect=(0, 0, 2, 2), patch=PIXELS)
    assert engine.session.stage is Stage.READY
    assert engine.session.shown.patch_is_full and engine.session.shown.undos == 2


def test_stopping_the_preparation_leaves_nothing_prepared(engine: Engine) -> None:
    engine.session.prepare(wire.Frame("u1", (3, 4, 4), bytes(48)), BOX, "faces", "fast")
    engine.session.stop()
    engine.answer(wire.Done, size=(4, 3))  # it was faster
    assert engine.session.stage is Stage.EMPTY and engine.last(wire.Close).sid == engine.session.sid
    assert not any(isinstance(message, wire.Invert) for message in engine.sent)


def test_stopping_the_search_keeps_what_was_found(engine: Engine) -> None:
    engine.session.prepare(wire.Frame("u1", (3, 4, 4), bytes(48)), BOX, "faces", "fast")
    engine.answer(wire.Done, size=(4, 3))
    engine.answer(wire.Progress, phase="projecting", step=3, of=9, left_s=12.5)
    assert engine.session.shown.left_s == 12.5
    engine.session.stop()
    engine.answer(wire.Cancelled, step=3, corners=((0, 0), (4, 0), (4, 3), (0, 3)), notes=("Found a face.",))
    assert engine.session.stage is Stage.READY and engine.session.notes == ("Found a face.",)
    assert engine.session.shown.corners[2] == Point(104, 53) and engine.session.shown.left_s == 12.5
    engine.session.drag([PULL], DragOptions())
    assert engine.session.shown.left_s is None
    assert engine.last(wire.Drag).sid == engine.last(wire.Invert).sid


def test_stopping_before_anything_was_found_prepares_nothing(engine: Engine) -> None:
    engine.session.prepare(wire.Frame("u1", (3, 4, 4), bytes(48)), BOX, "faces", "fast")
    engine.answer(wire.Done, size=(4, 3))
    engine.session.stop()
    engine.answer(wire.Cancelled, step=0)
    assert engine.session.stage is Stage.EMPTY


def test_a_live_gesture_is_one_request(engine: Engine) -> None:
    session = engine.prepared().session
    pressed = Pair(1, PULL.handle, PULL.handle)
    session.live_press([pressed], DragOptions(reach=2.0), bytes(12))
    session.live_move([PULL])
    session.live_release([PULL])
    press, move, release = (message for message in engine.sent if isinstance(message, wire.Live))
    assert [message.phase for message in (press, move, release)] == ["press", "move", "release"]
    assert press.id == move.id == release.id and [press.seq, move.seq, release.seq] == [0, 1, 2]
    assert press.points == ((1, 1, 1, 1),) and move.points == release.points == ((1, 1, 3, 2),)
    assert press.mask is not None and move.mask is None
    engine.state(1, reason="released", handles=((3, 2),))
    assert session.stage is Stage.READY and session.places.of(pressed) == Point(103, 52)


@pytest.mark.parametrize("end", [wire.Cancelled, wire.Done], ids=["stopped", "it was faster"])
def test_a_live_gesture_taken_back_is_undone(engine: Engine, end: type) -> None:
    session = engine.dragged().session
    session.live_press([PULL, HOLD], DragOptions())
    session.live_cancel()
    assert engine.last(wire.Cancel).re == engine.last(wire.Live).id
    engine.answer(end, undos=2, redos=0, rect=(1, 0, 2, 2), patch=PIXELS)
    assert engine.last(wire.Undo).sid == session.sid and session.stage is Stage.STEPPING
    engine.state(1, 1)
    assert session.stage is Stage.READY and session.shown.undos == 1


def test_a_live_gesture_that_moved_nothing_leaves_nothing_to_undo(engine: Engine) -> None:
    session = engine.prepared().session
    session.live_press([PULL], DragOptions())
    session.live_cancel()
    engine.answer(wire.Cancelled, undos=0, redos=0)
    engine.state(0)  # of the render that asks for the picture
    assert session.stage is Stage.READY
    assert not any(isinstance(message, wire.Undo) for message in engine.sent)


def test_the_scrubber_steps_until_the_state_is_there(engine: Engine) -> None:
    engine.dragged()
    engine.session.shown.undos = 3
    engine.session.go_to(1)
    engine.state(2, 1)
    assert engine.session.stage is Stage.STEPPING
    engine.state(1, 2)
    assert engine.session.stage is Stage.READY
    assert sum(isinstance(message, wire.Undo) for message in engine.sent) == 2
    engine.session.go_to(2)
    engine.state(2, 1)
    assert sum(isinstance(message, wire.Redo) for message in engine.sent) == 1
    engine.session.go_to(7)
    assert engine.session.stage is Stage.READY


def test_the_first_state_is_the_picture_itself(engine: Engine) -> None:
    engine.dragged().session.go_to(0)
    engine.state(0, 1)
    assert engine.session.shown.patch is None and engine.session.places.of(PULL) is None
    engine.session.drag([PULL, HOLD], DragOptions())
    assert not engine.last(wire.Drag).onward
    assert engine.last(wire.Drag).points[0] == (1, 1, 3, 2)


def test_apply_hands_over_the_full_patch_and_the_file(engine: Engine) -> None:
    engine.dragged().session.apply()
    assert engine.session.stage is Stage.APPLYING
    engine.answer(wire.Done, session=wire.Frame("u1", (4,), b"file"))
    assert engine.saved == [(Patch(Box(101, 50, 2, 2), (2, 2), PIXELS.data), b"file")]
    assert engine.session.stage is Stage.READY


def test_apply_of_a_preview_renders_it_first(engine: Engine) -> None:
    engine.dragged()
    engine.session.shown.patch_is_full = False
    engine.session.apply()
    assert isinstance(engine.sent[-1], wire.Render)
    engine.state(1)
    engine.answer(wire.Done, session=wire.Frame("u1", (4,), b"file"))
    assert len(engine.saved) == 1


def test_apply_as_frames_fetches_the_way_first(engine: Engine) -> None:
    session = engine.dragged().session
    session.apply(frames=3)
    for number, moment in enumerate((0.25, 0.5, 0.75)):
        assert engine.last(wire.Render).at == moment and (session.shown.step, session.shown.of) == (number, 3)
        engine.answer(wire.Done, undos=1, redos=0, rect=(number, 0, 2, 2), patch=PIXELS)
    engine.answer(wire.Done, session=wire.Frame("u1", (4,), b"file"))
    assert engine.saved == [(Patch(Box(101, 50, 2, 2), (2, 2), PIXELS.data), b"file")]
    assert [frame.box.x for frame in session.shown.frames] == [100, 101, 102]
    session.apply()
    engine.answer(wire.Done, session=wire.Frame("u1", (4,), b"file"))
    assert session.shown.frames == []


def test_a_result_is_made_even_if_its_file_cannot_be_had(engine: Engine) -> None:
    engine.dragged().session.apply()
    engine.answer(wire.Error, code="no-disk-space", message="The disk is full.")
    assert engine.saved[0][1] is None and engine.session.stage is Stage.READY
    assert engine.session.problem is None and "The disk is full." in engine.session.notes[0]


def test_apply_with_nothing_changed_says_so(engine: Engine) -> None:
    engine.prepared().session.apply()
    assert engine.session.problem is not None and "Nothing has changed" in engine.session.problem.message
    assert engine.session.stage is Stage.READY


def test_nothing_to_pull_is_told_before_anything_is_sent(engine: Engine) -> None:
    engine.prepared()
    for pairs in ([], [HOLD]):
        with pytest.raises(BadPoints):
            engine.session.drag(pairs, DragOptions())
    assert engine.session.stage is Stage.READY


@pytest.mark.parametrize("code", ["out-of-domain", "version-mismatch", "some-code-of-tomorrow"])
def test_a_failed_preparation_says_why_and_can_be_tried_again(engine: Engine, code: str) -> None:
    engine.session.prepare(wire.Frame("u1", (3, 4, 4), bytes(48)), BOX, "faces", "fast")
    engine.answer(wire.Error, code=code, message="No face was found.", hint="Select the face.")
    assert engine.session.stage is Stage.EMPTY
    assert engine.session.problem is not None
    assert (engine.session.problem.code, engine.session.problem.hint) == (code, "Select the face.")
    engine.prepared()
    assert engine.session.problem is None and engine.session.stage is Stage.READY


def test_a_failed_drag_keeps_what_was_prepared(engine: Engine) -> None:
    engine.prepared().session.drag([PULL], DragOptions())
    engine.answer(wire.Error, code="out-of-memory", message="Memory is full.")
    assert engine.session.stage is Stage.READY and engine.session.problem is not None


def test_a_session_that_the_engine_forgot_must_be_prepared_again(engine: Engine) -> None:
    engine.dragged().session.drag([PULL], DragOptions())
    engine.answer(wire.Error, code="no-session", message="There is no such session.")
    assert engine.session.stage is Stage.EMPTY and engine.session.shown.patch is None


def test_preparing_again_is_a_new_session_and_closes_the_old_one(engine: Engine) -> None:
    old = engine.dragged().session.sid
    engine.prepared()
    assert engine.session.sid != old and engine.last(wire.Close).sid == old
    assert engine.session.shown.undos == 0


def test_a_document_closed_in_the_middle_of_a_drag(engine: Engine) -> None:
    engine.prepared().session.drag([PULL], DragOptions())
    drag = engine.last(wire.Drag)
    engine.session.close()
    assert engine.session.stage is Stage.CLOSED
    assert engine.last(wire.Cancel).re == drag.id and engine.last(wire.Close).sid == engine.session.sid
    engine.session.handle(wire.Done(re=drag.id, sid=engine.session.sid, undos=1))
    assert engine.session.stage is Stage.CLOSED
    count = len(engine.sent)
    engine.session.drag([PULL], DragOptions())
    engine.session.close()
    assert len(engine.sent) == count


def test_events_of_other_requests_change_nothing(engine: Engine) -> None:
    engine.prepared().session.drag([PULL], DragOptions())
    before = engine.changes
    engine.session.handle(wire.Done(re=wire.new_id(), sid=engine.session.sid))
    engine.session.handle(wire.Pong(time=1.0, epoch=wire.new_id()))
    assert engine.session.stage is Stage.DRAGGING and engine.changes == before


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.READY])
def test_commands_out_of_turn_do_nothing(engine: Engine, stage: Stage) -> None:
    engine.prepared()
    engine.session.stage = stage
    count = len(engine.sent)
    engine.session.drag([PULL], DragOptions())
    engine.session.live_press([PULL], DragOptions())
    engine.session.go_to(0)
    engine.session.apply()
    assert len(engine.sent) == count and engine.session.stage is stage


def test_an_edit_is_reopened_from_its_file(engine: Engine) -> None:
    engine.session.restore(b"file", BOX, "faces", [PULL, HOLD])
    assert bytes(engine.last(wire.Restore).session.data) == b"file"
    handles = ((3, 2), (2, 1))
    engine.state(2, 1, size=(4, 3), corners=((0, 0), (4, 0), (4, 3), (0, 3)), handles=handles)
    assert engine.session.places.of(PULL) == Point(103, 52)
    assert engine.session.stage is Stage.READY
    assert (engine.session.shown.undos, engine.session.shown.redos) == (2, 1)
    assert engine.session.shown.patch is not None


def test_weights_travel_only_when_they_differ(engine: Engine) -> None:
    engine.prepared().session.drag([PULL, HOLD], DragOptions())
    assert engine.last(wire.Drag).weights == ()
    engine.state(1)
    engine.session.drag([PULL, Pair(2, HOLD.handle, HOLD.target, 3.0)], DragOptions())
    assert engine.last(wire.Drag).weights == (1.0, 3.0)


def test_the_middle_of_stay_close_is_the_solvers_own_bound() -> None:
    reaches = [drag_options(Settings(stay_close=value)).reach for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert reaches[2] is None
    assert reaches[0] == LOOSEST and reaches[4] == pytest.approx(TIGHTEST)
    assert reaches[0] > reaches[1] > NewtonSettings().reach > reaches[3] > reaches[4]
