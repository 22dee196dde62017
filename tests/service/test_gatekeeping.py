"""What the engine refuses, clears away and forgets: limits, remains of other lives, messages that make no sense."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from krita_drag.keys import load_or_create
from krita_drag.wire.errors import AddressInUse, AlreadyRunning, PermissionDenied, TooLarge
from krita_drag.wire.messages import (
    AskStatus,
    Cancel,
    Close,
    Done,
    Drag,
    Error,
    Frame,
    ListModels,
    Live,
    Render,
    Save,
    new_id,
)

from benchmarks.service.running_engine import Talker, running, wait_for
from benchmarks.service.tiny_home import NAME, RESOLUTION
from engine.models import ModelStore
from engine.service import exchange
from engine.service.folder import ServiceFolder, discard_session
from engine.service.front import DOMAIN, Front, Gone
from engine.service.limits import MAX_KEPT_SESSIONS_PER_KEY, MAX_QUEUED
from engine.service.records import MAX_ANSWERS, Ownership, Record, Waiting, answer_path, save_answer
from engine.service.registry import Registry
from engine.service.zap import Doorkeeper
from engine.session import Session

PAIR = ((40.0, 40.0, 60.0, 52.0),)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ServiceFolder]:
    held = ServiceFolder(tmp_path / "engine")
    yield held
    held.release()


# ---- sessions on the disk


def test_the_longest_idle_of_too_many_sessions_go(folder: ServiceFolder) -> None:
    mine = [new_id() for _ in range(MAX_KEPT_SESSIONS_PER_KEY + 2)]
    for idle_s, sid in enumerate(mine):
        Ownership("key", idle_s).write(folder.session(sid))
    other = new_id()
    Ownership("other", 1e6).write(folder.session(other))
    (folder.sessions / "stray").write_text("no session")
    opened = Registry(folder).open(new_id(), "key")
    kept = {path.name for path in folder.sessions.iterdir()}
    assert kept == {*mine[:-2], other, opened.sid, "stray"}


def test_a_suspended_session_leaves_memory_when_the_disk_has_all_of_it(folder: ServiceFolder) -> None:
    registry = Registry(folder)
    record = registry.open(new_id(), "key")
    record.suspended = True
    record.waiting[new_id()] = Waiting([b""])
    registry.release(record)
    assert registry.get(record.sid) is record, "it has something to do"
    record.waiting.clear()
    registry.release(record)
    assert registry.get(record.sid) is None
    assert registry.find(record.sid, "key").owner == "key"


def test_what_belongs_to_no_session_is_forgotten_with_its_client(folder: ServiceFolder) -> None:
    registry = Registry(folder)
    desk = registry.desk("key")
    assert registry.get("key") is desk
    registry.drop_desk(desk)
    assert registry.get("key") is None


def test_ageing_passes_over_what_is_no_session(folder: ServiceFolder) -> None:
    registry = Registry(folder)
    (folder.sessions / "stray").write_text("no session")
    registry.age(1e9)
    assert (folder.sessions / "stray").exists()
    (folder.sessions / "stray").unlink()
    folder.sessions.rmdir()
    registry.age(2e9)


def test_a_session_that_is_not_there_is_discarded_without_a_word(folder: ServiceFolder) -> None:
    discard_session(folder.session(new_id()))
    sid = new_id()
    Ownership("key").write(folder.session(sid))
    discard_session(folder.session(sid))
    assert not list(folder.sessions.iterdir())


def test_more_answers_than_are_kept_push_the_oldest_out(tmp_path: Path) -> None:
    record = Record(new_id(), "key", tmp_path)
    requests = [new_id() for _ in range(MAX_ANSWERS + 1)]
    for request in requests:
        record.finish(request, [b"answer"], kept=False)
    assert list(record.answers) == requests[1:]
    assert not answer_path(tmp_path, requests[0]).exists()
    record.finish(requests[0], [b"again"], kept=False)
    assert requests[0] not in record.answers, "what is acknowledged is over"


def test_a_damaged_answer_is_none(tmp_path: Path) -> None:
    record, request = Record(new_id(), "key", tmp_path), new_id()
    record.finish(request, [b"answer"], kept=False)
    for answer, frames in list(record.unsent()):
        assert frames == [b"answer"]
        record.sent(answer)
    assert record.answers[request].frames is None, "the disk remembers it"
    record.touch(b"another connection")
    answer_path(tmp_path, request).write_bytes(b"damaged")
    assert list(record.unsent()) == [] and request not in record.answers
    assert not record.recall(request)


def test_an_answer_that_no_disk_takes_is_kept_in_memory(tmp_path: Path) -> None:
    record, request = Record(new_id(), "key", tmp_path / "gone"), new_id()
    record.finish(request, [b"answer"], kept=False)
    for answer, _ in list(record.unsent()):
        record.sent(answer)
    record.touch(b"another connection")
    assert [frames for _, frames in record.unsent()] == [[b"answer"]]


# ---- the folder


def test_remains_of_a_killed_engine_are_cleared_and_sessions_stay(tmp_path: Path) -> None:
    root = tmp_path / "engine"
    sid = new_id()
    session = root / "sessions" / sid
    Ownership("key").write(session)
    save_answer(session, new_id(), [b"answer"])
    (root / "sessions" / ".doomed").mkdir()
    remains = [root / "worker.sock", root / "a.part", session / "b.part", session / "answers" / "c.part"]
    for path in [*remains, root / "connection.json"]:
        path.write_bytes(b"")
    held = ServiceFolder(root)
    assert not any(path.exists() for path in [*remains, root / "connection.json", root / "sessions" / ".doomed"])
    assert sum(path.is_file() for path in session.rglob("*")) == 2, "owner and answer"
    with pytest.raises(AlreadyRunning):
        ServiceFolder(root)
    held.release()


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "engine"
    root.mkdir(mode=0o755)
    held = ServiceFolder(root)
    assert root.stat().st_mode & 0o777 == 0o700
    held.release()


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "engine"
    root.mkdir()
    os.chown(root, 12345, 12345)
    with pytest.raises(PermissionDenied, match="another user"):
        ServiceFolder(root)


# ---- the port


def test_a_client_that_does_not_read_is_not_waited_for_and_a_gone_one_is_noticed(tmp_path: Path) -> None:
    context = zmq.Context()
    door = Doorkeeper(context, {DOMAIN: lambda key: True})
    server, own = load_or_create(tmp_path / "engine.key"), load_or_create(tmp_path / "client.key")
    front = Front(context, server, "127.0.0.1")
    with pytest.raises(AddressInUse):
        Front(context, server, front.endpoint.removeprefix("tcp://"))
    other = zmq.Context()
    client = other.socket(zmq.DEALER)
    client.linger, client.rcvhwm = 0, 1
    client.curve_publickey, client.curve_secretkey = own.public.encode(), own.secret.encode()
    client.curve_serverkey = server.public.encode()
    client.connect(front.endpoint)
    client.send(b"hello")

    def incoming() -> object:
        door.answer()
        return front.receive()

    came = wait_for(incoming, "the client")
    assert (came.key, came.parts) == (own.public, [b"hello"])
    megabyte = bytes(1 << 20)
    sent = [front.send(came.route, [megabyte]) for _ in range(200)]
    assert sent[0] and not sent[-1], "its pipe is full, and nobody waits"
    client.close()
    other.term()

    def gone() -> bool:
        incoming()
        try:
            front.send(came.route, [b"?"])
        except Gone:
            return True
        return False

    wait_for(gone, "the route to close")
    front.close()
    door.close()
    context.term()


# ---- messages


def test_messages_of_engines_are_refused(talker: Talker) -> None:
    talker.say(Done(re=new_id()))
    refused = talker.hear(kinds=Error)
    assert refused.code == "bad-frame" and "message of engines" in refused.message


def test_an_acknowledged_request_is_over(talker: Talker) -> None:
    sid = talker.open()
    render = Render(id=new_id(), sid=sid)
    assert talker.ask(render).type == "done"
    wait_for(lambda: not list((talker.engine.folder / "sessions" / sid / "answers").glob("*")), "the ack")
    talker.say(render)
    assert talker.ask(ListModels(id=new_id())).type == "done"
    assert talker.hear(0.3, re=render.id) is None


def test_closing_ends_what_runs(talker: Talker) -> None:
    sid = talker.open()
    request = talker.press(sid)
    close = Close(id=new_id(), sid=sid)
    talker.say(close)
    assert talker.end_of(request).type == "cancelled"
    assert talker.end_of(close.id).type == "done"


def test_more_requests_than_may_wait_are_told_to_come_back(talker: Talker) -> None:
    sid = talker.open()
    running = talker.press(sid)
    requests = [Render(id=new_id(), sid=sid) for _ in range(MAX_QUEUED + 1)]
    for request in requests:
        talker.say(request)
    refused = talker.end_of(requests[-1].id)
    assert refused.code == "busy" and refused.retry_s == 1
    talker.say(Cancel(re=running, sid=sid))
    assert talker.end_of(requests[-2].id).type == "done"


def test_masks_that_mean_nothing_are_refused(talker: Talker) -> None:
    sid = talker.open()
    empty = Frame("u1", (RESOLUTION, RESOLUTION), bytes(RESOLUTION**2))
    for kind in (Drag(id=new_id(), sid=sid, points=PAIR, mask=empty), gesture(sid, empty)):
        refused = talker.ask(kind)
        assert refused.code == "bad-mask" and refused.hint


def gesture(sid: str, mask: Frame) -> Live:
    return Live(id=new_id(), sid=sid, phase="press", seq=0, points=PAIR, mask=mask)


def test_who_sends_more_than_the_engine_can_read_is_told_so(home: Path) -> None:
    prelude = "from engine.service import limits; limits.BURST, limits.MESSAGES_PER_S = 10.0, 1.0"
    with running(home, prelude=prelude) as engine:
        talker = Talker(engine)
        for _ in range(30):
            talker.say(AskStatus(id=new_id()))
        refused = talker.hear(kinds=Error)
        assert refused.code == "busy" and refused.re and refused.retry_s == 1
        talker.close()


def test_a_session_that_no_message_holds_is_refused(model_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session.from_seed(ModelStore(model_home).load(NAME), 1)
    limit = exchange.to_frame(session).nbytes
    monkeypatch.setattr(exchange, "MAX_FRAME", limit - 1)
    with pytest.raises(TooLarge, match="MB"):
        exchange.to_frame(session)


def test_saving_what_nobody_opened_is_refused(talker: Talker) -> None:
    assert talker.ask(Save(id=new_id(), sid=new_id())).code == "no-session"
