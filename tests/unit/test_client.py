"""The client against a real socket with CURVE: connecting, losing, finding again, and one answer to each request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from krita_drag.client import Client, State, StateChanged
from krita_drag.connection import Connection
from krita_drag.keys import load_or_create
from krita_drag.wire.codec import MAX_FRAME, decode, encode
from krita_drag.wire.errors import NotPaired, NotRunning, TooLarge, VersionMismatch
from krita_drag.wire.messages import (
    Accepted,
    Ack,
    Cancel,
    Cancelled,
    Close,
    Credit,
    Done,
    Drag,
    Error,
    Frame,
    Hello,
    Live,
    Message,
    Open,
    Ping,
    Preview,
    Progress,
    Undo,
    Welcome,
    is_terminal,
    new_id,
)
from small_engine import Listener, SmallEngine, client_of, wait_until

from engine.service.front import DOMAIN, Front
from engine.service.zap import Doorkeeper

RID, SID = new_id(), new_id()
PATCH = Frame("u1", (2, 2, 4), bytes(16))


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SmallEngine]:
    started = start(tmp_path)
    yield started
    started.stop()


def start(folder: Path, port: int = 0, **more: Any) -> SmallEngine:
    allowed = [load_or_create(folder / "client.key").public]
    return SmallEngine(load_or_create(folder / "engine.key"), allowed, port=port, **more)


def accept_all(engine: SmallEngine, route: bytes, message: Message) -> None:
    if hasattr(message, "id"):
        engine.say(route, Accepted(message.id))


def answer_all(engine: SmallEngine, route: bytes, message: Message) -> None:
    if hasattr(message, "id"):
        engine.say(route, Accepted(message.id))
        engine.say(route, Done(message.id, getattr(message, "sid", None)))


def of(request: str) -> Any:
    return lambda event: is_terminal(event) and event.re == request


def terminals(listener: Listener) -> list[Any]:
    return [event for event in listener.heard if is_terminal(event)]


def test_a_request_is_answered_and_acknowledged(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    engine.script = answer_all
    with client_of(engine.connection, tmp_path, listener) as client:
        client.send(Undo(RID, SID))  # before there is a connection
        assert listener.wait_state(State.READY).welcome.engine_version == "test"
        assert listener.wait(of(RID)) == Done(RID, SID)
        wait_until(lambda: Ack(RID, SID) in engine.said)
    assert isinstance(engine.said[0], Hello)
    assert len(engine.of_type(Undo)) == 1


def test_a_request_that_is_not_accepted_is_repeated_and_answered_once(
    engine: SmallEngine, listener: Listener, tmp_path: Path
) -> None:
    def late(small: SmallEngine, route: bytes, message: Message) -> None:
        if len(small.of_type(Undo)) == 2 and isinstance(message, Undo):
            for _ in range(3):
                small.say(route, Done(RID, SID))

    engine.script = late
    with client_of(engine.connection, tmp_path, listener) as client:
        client.send(Undo(RID, SID))
        listener.wait(of(RID))
        wait_until(lambda: len(engine.of_type(Ack)) == 3)
        assert terminals(listener) == [Done(RID, SID)]


def test_a_killed_engine_is_noticed_and_its_next_life_gets_the_requests(
    engine: SmallEngine, listener: Listener, tmp_path: Path
) -> None:
    engine.script = accept_all
    with client_of(engine.connection, tmp_path, listener) as client:
        listener.wait_state(State.READY)
        client.send(Undo(RID, SID))
        listener.wait(lambda event: isinstance(event, Accepted))
        client.cancel(RID, SID)
        wait_until(lambda: bool(engine.of_type(Cancel)))
        engine.stop()
        assert listener.wait_state(State.NOT_RESPONDING).reason.retryable
        second = start(tmp_path, engine.port)
        try:
            listener.wait_state(State.READY)
            wait_until(lambda: bool(second.of_type(Cancel)))
            told = [message for message in second.said if isinstance(message, Hello | Ping | Undo | Cancel)]
            assert [type(message) for message in told[:4]] == [Hello, Ping, Undo, Cancel]
            assert SID in told[1].sids
            second.script = answer_all
            client.send(Undo(new_id(), SID))
        finally:
            second.stop()


def test_an_engine_that_falls_silent_is_given_up_and_found_again(
    engine: SmallEngine, listener: Listener, tmp_path: Path
) -> None:
    engine.script = answer_all
    with client_of(engine.connection, tmp_path, listener) as client:
        listener.wait_state(State.READY)
        engine.go_deaf()
        client.send(Undo(RID, SID))
        assert listener.wait_state(State.NOT_RESPONDING).reason.code == "connection-lost"
        assert client.state is State.NOT_RESPONDING
        engine.hear_again()
        listener.wait_state(State.READY)
        listener.wait(of(RID))
    assert terminals(listener) == [Done(RID, SID)]


def test_a_restart_behind_the_same_connection_is_noticed(
    engine: SmallEngine, listener: Listener, tmp_path: Path
) -> None:
    with client_of(engine.connection, tmp_path, listener):
        listener.wait_state(State.READY)
        engine.epoch = new_id()
        listener.wait_state(State.NOT_RESPONDING)
        assert listener.wait_state(State.READY).welcome.epoch == engine.epoch


def test_the_engine_is_looked_for_until_it_is_there(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    there = threading.Event()

    def find() -> Any:
        if not there.is_set():
            raise NotRunning("Not yet.")
        return engine.connection

    client = Client(find, load_or_create(tmp_path / "client.key"), listener, app="test")
    try:
        assert listener.wait_state(State.CONNECTING).reason.code == "not-running"
        there.set()
        listener.wait_state(State.READY)
    finally:
        client.close()


def test_an_engine_with_another_address_is_followed(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    second = start(tmp_path, script=answer_all)
    where = [engine.connection]
    client = Client(lambda: where[0], load_or_create(tmp_path / "client.key"), listener, app="test")
    try:
        listener.wait_state(State.READY)
        client.send(Undo(RID, SID))
        where[0] = second.connection
        engine.stop()
        listener.wait(of(RID))
        assert second.of_type(Undo)
    finally:
        client.close()
        second.stop()
        engine.stop = lambda: None  # type: ignore[method-assign]  # it is stopped already


def test_an_unknown_key_is_told_so(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    with client_of(engine.connection, stranger, listener):
        change = listener.wait(lambda event: isinstance(event, StateChanged))
        assert isinstance(change.reason, NotPaired)
    assert engine.said == []


def test_another_engine_in_its_place_gets_nothing(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    wrong = type(engine.connection)(engine.connection.endpoint, load_or_create(tmp_path / "other.key").public)
    with client_of(wrong, tmp_path, listener) as client:
        client.send(Undo(RID, SID))
        assert listener.wait(lambda event: isinstance(event, StateChanged)).reason is not None
    assert engine.said == []


def test_an_engine_of_another_version_ends_every_request(tmp_path: Path, listener: Listener) -> None:
    def refuse(small: SmallEngine, route: bytes, message: Message) -> None:
        small.say(route, Error.of(VersionMismatch("Too old.")))

    engine = start(tmp_path, script=refuse)
    engine.proto = 2
    try:
        with client_of(engine.connection, tmp_path, listener) as client:
            client.send(Undo(RID, SID))
            assert listener.wait(of(RID)).code == "version-mismatch"
            assert isinstance(listener.wait_state(State.CLOSED).reason, VersionMismatch)
            assert client.state is State.CLOSED
            late = Undo(new_id(), SID)
            client.send(late)
            assert listener.wait(of(late.id)).code == "version-mismatch"
    finally:
        engine.stop()


def test_previews_come_against_credit(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    def preview(small: SmallEngine, route: bytes, message: Message) -> None:
        if isinstance(message, Drag):
            small.say(route, Accepted(RID, SID))
            small.say(route, Progress(RID, 1, "dragging", SID))
            small.say(route, Preview(RID, SID, 2, (0, 0, 2, 2), PATCH))
            small.say(route, Preview(RID, SID, 3, (0, 0, 2, 2), PATCH))

    engine.script = preview
    with client_of(engine.connection, tmp_path, listener) as client:
        client.send(Drag(RID, SID, ((1, 1, 5, 5),)))
        listener.wait(lambda event: isinstance(event, Preview) and event.seq == 3)
        wait_until(lambda: Credit(SID, 2) in engine.said)
        client.shown(SID)
        client.shown(SID)
        client.shown(SID)  # once too often
        wait_until(lambda: [credit.n for credit in engine.of_type(Credit)][-3:] == [1, 2, 2])


def test_a_gesture_is_one_request(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    def at_release(small: SmallEngine, route: bytes, message: Message) -> None:
        if isinstance(message, Live):
            small.say(route, Accepted(RID, SID))
            if message.phase == "release":
                small.say(route, Done(RID, SID))

    engine.script = at_release
    with client_of(engine.connection, tmp_path, listener) as client:
        listener.wait_state(State.READY)
        for seq in range(50):
            client.send(Live(RID, SID, "move" if seq else "press", seq, ((1, 1, 1 + seq, 1),)))
        client.send(Live(RID, SID, "release", 50, ((1, 1, 60, 1),)))
        listener.wait(of(RID))
        client.send(Live(RID, SID, "move", 51, ((1, 1, 70, 1),)))  # too late
        client.send(Close(new_id(), SID))
        wait_until(lambda: bool(engine.of_type(Close)))
    lives = engine.of_type(Live)
    assert [lives[0].phase, lives[-1].phase] == ["press", "release"]
    numbers = [live.seq for live in lives]
    assert numbers == sorted(set(numbers))


def test_a_gesture_survives_a_lost_connection(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    engine.script = accept_all
    mask = Frame("u1", (2, 2), b"\xff" * 4)
    with client_of(engine.connection, tmp_path, listener) as client:
        listener.wait_state(State.READY)
        client.send(Live(RID, SID, "press", 0, ((1, 1, 1, 1),), mask=mask))
        listener.wait(lambda event: isinstance(event, Accepted))
        engine.epoch = new_id()  # as after a restart
        listener.wait_state(State.NOT_RESPONDING)
        client.send(Live(RID, SID, "move", 1, ((1, 1, 2, 1),)))
        client.send(Live(RID, SID, "release", 2, ((1, 1, 3, 1),)))
        wait_until(lambda: [live.seq for live in engine.of_type(Live)][-2:] == [0, 2])
        assert engine.of_type(Live)[-2].mask == mask


def test_what_is_too_large_fails_at_once(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    huge = Frame("u1", (4100, 4100, 4), memoryview(bytearray(4100 * 4100 * 4)))
    with client_of(engine.connection, tmp_path, listener) as client:
        client.send(Open(RID, SID, "faces", image=huge))
        assert isinstance(listener.wait(of(RID)).exception(), TooLarge)


def test_the_largest_picture_goes_both_ways(listener: Listener, tmp_path: Path) -> None:
    picture = Frame("u1", (4096, 4096, 4), memoryview(bytearray(MAX_FRAME)))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    keys = load_or_create(tmp_path / "engine.key")
    door, front = Doorkeeper(context, {DOMAIN: lambda key: True}), Front(context, keys, "127.0.0.1")
    heard: list[Message] = []

    def answer() -> bool:
        door.answer()
        incoming = front.receive()
        if incoming is not None:
            heard.append(decode(incoming.parts))
            if isinstance(heard[-1], Hello):
                front.send(incoming.route, encode(Welcome(new_id(), "test", 1)))
            elif isinstance(heard[-1], Open):
                front.send(incoming.route, encode(Done(RID, SID, picture=picture)))
        return bool(terminals(listener))

    try:
        with client_of(Connection(front.endpoint, keys.public), tmp_path, listener) as client:
            client.send(Open(RID, SID, "faces", image=picture))
            wait_until(answer)
        assert [type(message) for message in heard].count(Hello) == 1, "the connection was cut"
        assert terminals(listener)[0].picture.shape == picture.shape
    finally:
        front.close()
        door.close()
        context.destroy(0)


def test_a_listener_that_fails_does_no_harm(engine: SmallEngine, tmp_path: Path) -> None:
    heard = []

    def clumsy(event: Any) -> None:
        heard.append(event)
        raise RuntimeError("clumsy")

    engine.script = answer_all
    client = Client(lambda: engine.connection, load_or_create(tmp_path / "client.key"), clumsy, app="test")
    try:
        client.send(Undo(RID, SID))
        wait_until(lambda: any(is_terminal(event) for event in heard))
    finally:
        client.close()


def test_closing_says_the_last_words_and_leaves(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    others = set(threading.enumerate())
    with client_of(engine.connection, tmp_path, listener) as client:
        listener.wait_state(State.READY)
        client.send(Close(RID, SID))
    wait_until(lambda: Close(RID, SID) in engine.said)
    before = len(listener.heard)
    client.send(Undo(new_id(), SID))
    client.close()
    assert len(listener.heard) == before
    wait_until(lambda: not set(threading.enumerate()) - others)


def test_cancelled_is_an_end_too(engine: SmallEngine, listener: Listener, tmp_path: Path) -> None:
    def obey(small: SmallEngine, route: bytes, message: Message) -> None:
        if isinstance(message, Cancel):
            small.say(route, Cancelled(message.re, message.sid))

    engine.script = obey
    with client_of(engine.connection, tmp_path, listener) as client:
        client.send(Undo(RID, SID))
        client.cancel(RID, SID)
        assert listener.wait(of(RID)) == Cancelled(RID, SID)
