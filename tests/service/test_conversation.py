"""What a client and a live engine say to each other when nothing goes wrong."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from krita_drag.wire.messages import (
    Accepted,
    AskStatus,
    Cancel,
    Cancelled,
    Close,
    Credit,
    Drag,
    Error,
    Frame,
    Hello,
    Invert,
    ListModels,
    Live,
    LoadModel,
    Open,
    Ping,
    Pong,
    Preview,
    Progress,
    Redo,
    Render,
    Reset,
    Restore,
    Save,
    Undo,
    Welcome,
    is_terminal,
    new_id,
)

from benchmarks.service.running_engine import Engine, Talker
from benchmarks.service.tiny_home import NAME, RESOLUTION

PAIR = ((20.0, 20.0, 26.0, 24.0),)


def pixels(frame: Frame) -> np.ndarray:
    return np.frombuffer(frame.data, np.uint8).reshape(frame.shape)


def test_the_gateway_has_no_torch_and_the_worker_has(shared: Engine) -> None:
    assert "libtorch" not in Path(f"/proc/{shared.pid}/maps").read_text()
    assert "libtorch" in Path(f"/proc/{shared.worker_pid()}/maps").read_text()


def test_a_picture_is_opened_dragged_undone_and_closed(talker: Talker) -> None:
    sid = new_id()
    opened = talker.ask(Open(id=new_id(), sid=sid, model=NAME, seed=3))
    assert opened.size == (RESOLUTION, RESOLUTION) and len(opened.corners) == 4
    assert opened.picture.shape == (RESOLUTION, RESOLUTION, 4)
    dragged = talker.ask(Drag(id=new_id(), sid=sid, points=PAIR))
    assert dragged.type == "done" and dragged.reason in ("landed", "stalled") and dragged.undos == 1
    assert np.hypot(*np.subtract(dragged.handles[0], PAIR[0][2:])) == pytest.approx(dragged.distance_px)
    assert dragged.distance_px < 3
    again = talker.ask(Render(id=new_id(), sid=sid))
    assert again.rect == dragged.rect and pixels(again.patch).tobytes() == pixels(dragged.patch).tobytes()
    moments = [talker.ask(Render(id=new_id(), sid=sid, at=at)) for at in (0, 0.5, 1)]
    start, middle, end = (pixels(moment.patch).astype(int) for moment in moments)
    assert np.array_equal(end, pixels(dragged.patch)) and np.array_equal(start, pixels(opened.picture))
    assert 0 < np.abs(middle - start).mean() < np.abs(end - start).mean()
    undone = talker.ask(Undo(id=new_id(), sid=sid))
    assert (undone.undos, undone.redos, undone.patch) == (0, 1, None)
    redone = talker.ask(Redo(id=new_id(), sid=sid))
    assert pixels(redone.patch).tobytes() == pixels(dragged.patch).tobytes()
    assert talker.ask(Reset(id=new_id(), sid=sid)).undos == 0
    assert talker.ask(Close(id=new_id(), sid=sid)).type == "done"
    assert talker.ask(Close(id=new_id(), sid=sid)).type == "done", "closing what is closed is done at once"
    assert talker.ask(Render(id=new_id(), sid=sid)).code == "no-session"
    assert not (talker.engine.folder / "sessions" / sid).exists()


def test_a_photo_is_found_and_every_pixel_outside_the_mask_stays(talker: Talker) -> None:
    image = np.random.default_rng(0).integers(0, 255, (80, 90, 4), np.uint8)
    image[..., 3] = 255
    mask = np.zeros((80, 90), np.uint8)
    mask[20:60, 20:60] = 255
    sid = new_id()
    opened = talker.ask(
        Open(id=new_id(), sid=sid, model=NAME, order="BGRA", image=Frame("u1", image.shape, image.tobytes()))
    )
    assert opened.size == (90, 80)
    talker.say(Credit(sid=sid, n=1))
    found = talker.ask(Invert(id=new_id(), sid=sid, steps=4, preview_px=40))
    assert len(found.corners) == 4
    previews = [one for one in talker.heard if isinstance(one, Preview)]
    assert previews and max(previews[0].patch.shape[:2]) == 40 and previews[0].rect[2] <= 90
    points = ((30.0, 30.0, 36.0, 32.0),)
    dragged = talker.ask(
        Drag(id=new_id(), sid=sid, points=points, max_steps=3, mask=Frame("u1", mask.shape, mask.tobytes()))
    )
    assert dragged.type == "done"
    x, y, width, height = dragged.rect
    assert x >= 20 and x + width <= 60 and y >= 20 and y + height <= 60


def test_a_session_is_saved_and_restored_elsewhere(talker: Talker) -> None:
    image = np.random.default_rng(1).integers(0, 255, (70, 60, 4), np.uint8)
    image[..., 3] = 255
    sid, other = new_id(), new_id()
    talker.ask(Open(id=new_id(), sid=sid, model=NAME, image=Frame("u1", image.shape, image.tobytes())))
    talker.ask(Invert(id=new_id(), sid=sid, steps=8))
    dragged = talker.ask(Drag(id=new_id(), sid=sid, points=((25.0, 25.0, 30.0, 27.0),), max_steps=3))
    saved = talker.ask(Save(id=new_id(), sid=sid))
    restored = talker.ask(Restore(id=new_id(), sid=other, session=saved.session))
    assert restored.size == (60, 70) and restored.undos == 1 and restored.handles == dragged.handles
    assert pixels(restored.patch).tobytes() == pixels(dragged.patch).tobytes()
    assert talker.ask(Undo(id=new_id(), sid=other)).undos == 0
    damaged = Frame("u1", (9,), b"not a one")
    assert talker.ask(Restore(id=new_id(), sid=new_id(), session=damaged)).code == "bad-session"


def test_a_gesture_follows_the_newest_targets_and_ends_with_its_release(talker: Talker) -> None:
    sid, request = talker.open(), new_id()

    def gesture(phase: str, seq: int, x: float) -> Live:
        return Live(id=request, sid=sid, phase=phase, seq=seq, points=((20.0, 20.0, x, 20.0),), preview_px=64)

    talker.say(gesture("press", 0, 20))
    assert talker.hear(kinds=Accepted, re=request)
    talker.say(gesture("move", 2, 23))
    talker.say(gesture("move", 1, 50))
    preview = talker.hear(kinds=Preview, re=request)
    assert preview.patch.shape == (64, 64, 4) and preview.live_seq in (0, 2)
    latest = preview
    while latest.live_seq < 2 or abs(latest.handles[0][0] - 23) > 2:
        latest = talker.hear(kinds=Preview, re=request)
        assert latest is not None, "a pointer that rests is not shown where the drag came to rest"
    talker.say(gesture("release", 3, 24))
    done = talker.end_of(request)
    assert done.type == "done" and done.reason in ("landed", "stalled", "released", "steps")
    assert abs(done.handles[0][0] - 24) < 2, "the late message with the lower number did not count"


def test_every_request_ends_once_and_events_count_up(talker: Talker) -> None:
    sid = talker.open()
    request = Drag(id=new_id(), sid=sid, points=PAIR, preview_px=64)
    talker.say(request)
    talker.say(request)
    talker.end_of(request.id, ack=False)
    talker.say(request)
    repeated = talker.end_of(request.id)
    assert repeated.type == "done"
    talker.say(request)
    assert talker.hear(1.0, re=request.id) is None, "an acknowledged request is over for good"
    events = [one for one in talker.heard if getattr(one, "re", None) == request.id]
    numbers = [one.seq for one in events if isinstance(one, Progress | Preview)]
    assert numbers == sorted(set(numbers))
    assert len([one for one in events if is_terminal(one)]) == 2
    assert [one for one in events if isinstance(one, Accepted)]


def test_acceptance_comes_before_work(talker: Talker) -> None:
    sid = talker.open()
    first, second = (Drag(id=new_id(), sid=sid, points=PAIR) for _ in range(2))
    talker.say(first)
    talker.say(second)
    assert [talker.hear(kinds=Accepted, re=one.id).place for one in (first, second)] == [0, 1]
    assert talker.end_of(first.id).undos == 1
    assert talker.end_of(second.id).type == "done"


def test_cancel_stops_what_runs_and_what_waits(talker: Talker) -> None:
    sid = talker.open()
    running = talker.press(sid)
    while talker.hear(kinds=Progress, re=running).step == 0:
        pass  # the press is done, and no step of the drag yet
    waiting = Drag(id=new_id(), sid=sid, points=PAIR)
    talker.say(waiting)
    talker.say(Cancel(re=waiting.id, sid=sid))
    assert isinstance(talker.end_of(waiting.id), Cancelled)
    talker.say(Cancel(re=running, sid=sid))
    ended = talker.end_of(running)
    assert isinstance(ended, Cancelled) and ended.step >= 1 and ended.undos == 1
    talker.say(Cancel(re=running, sid=sid))
    assert talker.hear(0.5, re=running) is None, "cancelling what is over does nothing"


def test_previews_come_only_on_credit_and_show_the_present(talker: Talker) -> None:
    sid = new_id()
    assert talker.ask(Open(id=new_id(), sid=sid, model=NAME, seed=2)).type == "done"
    request, seq = new_id(), 0
    for seq in range(4):
        talker.press(sid, seq, "move", request)
        assert talker.hear(1.0, kinds=Preview, re=request) is None
    talker.say(Credit(sid=sid, n=1))
    assert talker.hear(kinds=Preview, re=request)
    talker.press(sid, seq + 1, "move", request)
    assert talker.hear(1.0, kinds=Preview, re=request) is None
    talker.say(Cancel(re=request, sid=sid))
    talker.end_of(request)


def test_models_status_and_pings(talker: Talker) -> None:
    names = {entry.name: entry for entry in talker.ask(ListModels(id=new_id())).models}
    assert names[NAME].installed and not names["faces"].installed
    loaded = talker.ask(LoadModel(id=new_id(), model=NAME))
    assert loaded.resolution == RESOLUTION and len(loaded.sha256) == 64
    assert talker.ask(LoadModel(id=new_id(), model="nobody")).code == "model-not-found"
    sid = talker.open()
    status = talker.ask(AskStatus(id=new_id())).status
    assert status.pid == talker.engine.pid and sid in {one.sid for one in status.sessions}
    assert status.devices[0].name == "cpu"
    now = time.monotonic()
    talker.say(Ping(time=now))
    assert talker.hear(kinds=Pong).epoch


def test_versions_that_do_not_meet_are_told_both(talker: Talker) -> None:
    talker.say(Hello("test", "1", 7, 9))
    told = talker.hear(kinds=Error)
    assert told.code == "version-mismatch" and told.speaks == (1, 1)
    talker.say(Hello("test", "1", 1, 9))
    assert talker.hear(kinds=Welcome).proto == 1


def test_bad_requests_end_with_their_reason(talker: Talker) -> None:
    sid = talker.open()
    outside = talker.ask(Drag(id=new_id(), sid=sid, points=((500.0, 5.0, 6.0, 6.0),)))
    assert outside.code == "bad-points"
    mask = Frame("u1", (3, 3), bytes(9))
    assert talker.ask(Drag(id=new_id(), sid=sid, points=PAIR, mask=mask)).code == "bad-mask"
    assert talker.ask(Open(id=new_id(), sid=new_id(), model="nobody", seed=1)).code == "model-not-found"
    blank = Frame("u1", (9, 9, 4), bytes(9 * 9 * 4))
    assert talker.ask(Open(id=new_id(), sid=new_id(), model=NAME, image=blank)).code == "bad-image"
    assert talker.ask(Drag(id=new_id(), sid=sid, points=PAIR)).type == "done", "the session is as good as before"
