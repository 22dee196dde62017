"""Sessions in the worker, without its socket: checkpoints, undo that is bounded, and memory that is short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from krita_drag.wire.codec import decode
from krita_drag.wire.messages import Drag, Frame, Open, Undo, is_terminal, new_id

from benchmarks.service.tiny_home import NAME, RESOLUTION
from engine.align import Crop
from engine.drag import DragStep
from engine.images import Picture
from engine.models import ModelStore
from engine.service.hosted import HostedSession
from engine.service.keeping import Ended, Keeper, Progress
from engine.service.memory import MemoryLadder
from engine.service.model_cache import ModelCache
from engine.service.records import Ownership
from engine.service.runner import Runner
from engine.session import Session

PAIR = ((40.0, 40.0), (60.0, 52.0))


@pytest.fixture
def models(home: Path) -> Iterator[ModelCache]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield ModelCache(ModelStore(home), torch.device("cpu"))
    torch.set_num_threads(threads)


def hosted(folder: Path, models: ModelCache) -> HostedSession:
    """A session with a folder, as the gateway makes it."""
    sid = new_id()
    Ownership("key").write(folder / sid)
    return HostedSession(sid, folder / sid, models)


def answers(session: HostedSession, ladder: MemoryLadder, *requests: object) -> list:
    """Do requests to their ends; returns the answers."""
    told: list = []
    runner = Runner(lambda envelope, frames: told.append(decode(frames)), ladder.make_room)
    for request in requests:
        session.add(request)  # type: ignore[arg-type]
        while session.runnable:
            runner.turn(session)
    return [one for one in told if is_terminal(one)]


def test_a_session_comes_back_from_the_disk_as_it_was(tmp_path: Path, models: ModelCache) -> None:
    mask = np.zeros((RESOLUTION, RESOLUTION), np.float32)
    mask[30:90, 30:90] = 1
    session = Session.from_seed(models.get(NAME), 1)
    list(session.drag([PAIR], mask=mask, max_steps=2))
    list(session.drag([PAIR], mask=mask, max_steps=2, onward=True))
    session.edits.undo()
    keeper = Keeper(tmp_path)
    keeper.write_state(session, Ended("1" * 32, "done", {"step": 2}))
    again = Session.from_seed(models.get(NAME), 1)
    assert keeper.read_state(again) == Ended("1" * 32, "done", {"step": 2})
    assert (again.edits.shown, len(again.edits.states)) == (1, 3)
    for one, other in zip(session.edits.states, again.edits.states, strict=True):
        assert torch.equal(one.w_plus, other.w_plus)
        assert (one.event and one.event.to_json()) == (other.event and other.event.to_json())
    assert np.array_equal(session.patch().rgba, again.patch().rgba)
    assert np.array_equal(session.handles_document(), again.handles_document())


def test_a_drag_goes_on_from_an_event_of_another_process(models: ModelCache) -> None:
    cut, whole = (Session.from_seed(models.get(NAME), 1) for _ in range(2))
    events = list(whole.drag([PAIR], solver="draggan"))
    middle = events[len(events) // 2]
    handle = tuple(float(value) for value in cut.crop.to_document(middle.handles)[0])
    rest = list(cut.drag([(handle, PAIR[1])], solver="draggan", resumed=middle))
    assert rest[0].mean_distance == pytest.approx(middle.mean_distance, abs=1)
    assert rest[-1].reason == "landed"
    assert len(rest) < len(events)
    assert cut.edits.shown == 1, "one state, as if it had not been cut"
    cut.edits.undo()
    assert torch.equal(cut.w_plus, cut.w_start)


def test_a_drag_goes_on_with_a_handle_beyond_the_picture(tmp_path: Path, models: ModelCache) -> None:
    """The square reaches over the left edge, where a handle may get to but nobody may point."""
    one = hosted(tmp_path, models)
    ladder = MemoryLadder(models, {one.sid: one})
    image = Frame("u1", (RESOLUTION, RESOLUTION, 4), bytes([200] * (4 * RESOLUTION**2)))
    answers(one, ladder, Open(id=new_id(), sid=one.sid, model=NAME, image=image))
    model = models.get(NAME)
    crop = Crop((-20.0, 0.0), (RESOLUTION, 0.0), (0.0, RESOLUTION), RESOLUTION)
    w_plus = model.generator.sample_w_plus(1)
    picture = Picture(np.full((RESOLUTION, RESOLUTION, 3), 200, np.uint8))
    one.inverted(Session(model, picture, crop, w_plus, generated=False))
    drag = Drag(id=new_id(), sid=one.sid, points=((3, 40, 20, 45),), max_steps=3)
    event = DragStep(1, 1.0, np.array([[19.0, 40.0]]), np.array([21.6]), w_plus)
    one.keeper.write_progress(Progress(drag.id, 1, 1, event))
    assert [end.type for end in answers(one, ladder, drag)] == ["done"]


def test_undo_is_bounded(models: ModelCache) -> None:
    session = Session.from_seed(models.get(NAME), 1)
    for _ in range(5):
        list(session.drag([PAIR], max_steps=1))
    last = session.w_plus
    session.edits.limit(3)
    assert (len(session.edits.states), session.edits.shown) == (4, 3)
    assert torch.equal(session.w_plus, last)
    assert torch.equal(session.edits.states[0].w_plus, session.w_start), "the picture as opened stays"


def test_a_request_that_was_done_is_not_done_again(tmp_path: Path, models: ModelCache) -> None:
    """The worker died between writing the session and the answer."""
    one = hosted(tmp_path, models)
    ladder = MemoryLadder(models, {one.sid: one})
    drag = Drag(id=new_id(), sid=one.sid, points=((*PAIR[0], *PAIR[1]),), max_steps=2)
    undo = Undo(id=new_id(), sid=one.sid)
    opened, first, undone = answers(one, ladder, Open(id=new_id(), sid=one.sid, model=NAME, seed=1), drag, undo)
    assert (opened.type, first.undos, undone.undos) == ("done", 1, 0)
    other = HostedSession(one.sid, one.folder, models)
    assert [answer.undos for answer in answers(other, ladder, undo)] == [0]
    assert other.need_session().edits.shown == 0 and len(other.need_session().edits.states) == 2


def test_memory_is_made_one_rung_at_a_time(tmp_path: Path, models: ModelCache) -> None:
    idle, needy = hosted(tmp_path, models), hosted(tmp_path, models)
    sessions = {one.sid: one for one in (idle, needy)}
    ladder = MemoryLadder(models, sessions)
    for one in (idle, needy):
        answers(one, ladder, Open(id=new_id(), sid=one.sid, model=NAME, seed=1))
    assert ladder.make_room(needy) == "idle sessions and models put away"
    assert idle.model_used() is None and needy.model_used() == NAME
    assert models.loaded() == {NAME}, "one that is used stays"
    assert ladder.make_room(needy) == "smaller pieces"
    assert ladder.make_room(needy) is None, "nothing is left on the processor"
    needy.leave_memory()
    assert needy.need_session().chunk == 1
    answers(needy, ladder, Open(id=new_id(), sid=needy.sid, model=NAME, seed=2))
    assert needy.need_session().chunk == 1, "nor is there more room for another picture"
    done = answers(idle, ladder, Undo(id=new_id(), sid=idle.sid))
    assert done[0].type == "done", "what was put away comes back by itself"


def test_what_fails_while_a_drag_is_cancelled_ends_nothing_else(
    tmp_path: Path, models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = hosted(tmp_path, models)
    ladder = MemoryLadder(models, {one.sid: one})
    answers(one, ladder, Open(id=new_id(), sid=one.sid, model=NAME, seed=1))
    told: list = []
    runner = Runner(lambda envelope, frames: told.append(decode(frames)), ladder.make_room)
    drag = Drag(id=new_id(), sid=one.sid, points=((*PAIR[0], *PAIR[1]),))
    one.add(drag)
    while not told or not told[-1].handles:
        runner.turn(one)
    monkeypatch.setattr(Session, "handles_document", lambda self: 1 / 0)
    runner.cancel(one, drag.id)
    assert told[-1].type == "cancelled" and one.job is None


def test_a_mask_of_another_size_ends_the_request_only(tmp_path: Path, models: ModelCache) -> None:
    one = hosted(tmp_path, models)
    ladder = MemoryLadder(models, {one.sid: one})
    points = ((*PAIR[0], *PAIR[1]),)
    bad = Drag(id=new_id(), sid=one.sid, points=points, mask=Frame("u1", (2, 2), bytes([255] * 4)))
    good = Drag(id=new_id(), sid=one.sid, points=points, max_steps=1)
    ends = answers(one, ladder, Open(id=new_id(), sid=one.sid, model=NAME, seed=1), bad, good)
    assert [getattr(end, "code", end.type) for end in ends] == ["done", "bad-mask", "done"]
