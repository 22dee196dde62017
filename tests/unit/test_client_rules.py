"""How long a client waits, and what it remembers, without sockets and on a clock that the tests turn."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from krita_drag.conversation import Conversation, State, StateChanged
from krita_drag.liveness import GROWTH, JITTER, LONGEST_S, Liveness
from krita_drag.wire.errors import ConnectionLost, KritaDragError
from krita_drag.wire.messages import (
    Accepted,
    Ack,
    Cancelled,
    Close,
    Credit,
    Done,
    Error,
    Frame,
    Hello,
    Open,
    Ping,
    Pong,
    Progress,
    Undo,
    Welcome,
    new_id,
)
from krita_drag.wire.vocabulary import DEAD_S, HANDSHAKE_S, PING_S

EPOCH, SID = new_id(), new_id()


def patience(clock: Liveness, now: float) -> float:
    """Return how long silence is borne from here on, to a hundredth of a second."""
    waited = 0.0
    while not clock.is_overdue(now + waited, 0):
        waited += 0.01
    return waited


def test_the_first_greeting_has_its_time_and_later_ones_more_and_more() -> None:
    clock = Liveness()
    clock.opened(0.0)
    assert patience(clock, 0.0) == pytest.approx(HANDSHAKE_S, abs=0.02)
    for attempt in range(1, 12):
        clock.opened(100.0 * attempt)
        expected = min(LONGEST_S, DEAD_S * GROWTH**attempt)
        assert abs(patience(clock, 100.0 * attempt) - expected) <= expected * JITTER + 0.02


def test_a_greeted_connection_pings_and_dies_of_silence() -> None:
    clock = Liveness()
    clock.opened(0.0)
    assert not clock.take_ping(10.0)
    clock.greeted(10.0)
    assert clock.take_ping(10.0)
    assert not clock.take_ping(10.0 + PING_S / 2)
    assert clock.take_ping(10.0 + PING_S)
    clock.heard(11.0)
    assert not clock.is_overdue(11.0 + DEAD_S, 0)
    assert clock.is_overdue(11.1 + DEAD_S, 0)
    assert not clock.is_overdue(11.1 + DEAD_S, 16 << 20)  # a large picture holds up the signs of life behind it
    assert clock.is_overdue(11.1 + DEAD_S + 17, 16 << 20)


@pytest.fixture
def talk() -> Conversation:
    """A conversation that has been greeted."""
    begun = Conversation("test", "1")
    begun.opened()
    begun.received(Welcome(EPOCH, "1", 1), 0.0)
    said(begun)
    begun.events.clear()
    return begun


def said(talk: Conversation) -> list[Any]:
    """Take what is to be sent."""
    taken = list(talk.outgoing)
    talk.outgoing.clear()
    return taken


def test_a_greeting_comes_first_and_nothing_with_it() -> None:
    talk = Conversation("test", "1")
    talk.submit(Undo(new_id(), SID), 0.0)
    talk.opened()
    assert [type(message) for message in said(talk)] == [Hello]
    talk.tick(5.0, ping=True)
    assert said(talk) == []
    talk.received(Welcome(EPOCH, "1", 1), 6.0)
    assert [type(message) for message in said(talk)] == [Ping, Undo]


def test_repeats_come_slower_and_end_with_acceptance(talk: Conversation) -> None:
    request = Undo(new_id(), SID)
    talk.submit(request, 0.0)
    times = []
    for tenth in range(400):
        talk.tick(tenth / 10, ping=False)
        times += [tenth / 10] * said(talk).count(request)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 8.1
    talk.received(Accepted(request.id), 40.0)
    talk.tick(100.0, ping=False)
    assert said(talk) == []


def test_an_answer_is_told_once_and_acknowledged_every_time(talk: Conversation) -> None:
    request = Undo(new_id(), SID)
    talk.submit(request, 0.0)
    said(talk)
    for _ in range(3):
        talk.received(Done(request.id, SID), 1.0)
    talk.received(Done(new_id(), SID), 1.0)  # of somebody who used this session before
    assert [type(message) for message in said(talk)] == [Ack] * 4
    assert list(talk.events) == [Done(request.id, SID)]
    talk.received(Progress(request.id, 1, "dragging"), 2.0)
    assert len(talk.events) == 1


def test_a_closed_session_is_forgotten(talk: Conversation) -> None:
    opening = Open(new_id(), SID, "faces", seed=1)
    talk.submit(opening, 0.0)
    talk.shown(SID)
    assert Credit(SID, 2) in said(talk)
    closing = Close(new_id(), SID)
    talk.submit(closing, 1.0)
    talk.received(Done(closing.id, SID), 1.0)
    assert list(talk.events) == [Done(closing.id, SID), Cancelled(opening.id, SID)]
    said(talk)
    talk.shown(SID)
    talk.tick(2.0, ping=True)
    assert said(talk) == [Ping(2.0, ())]


def test_a_session_opened_again_is_kept(talk: Conversation) -> None:
    closing, again = Close(new_id(), SID), Open(new_id(), SID, "faces", seed=2)
    talk.submit(closing, 0.0)
    talk.submit(again, 0.0)
    talk.received(Done(closing.id, SID), 1.0)
    talk.received(Done(again.id, SID), 1.0)
    said(talk)
    talk.tick(2.0, ping=True)
    assert said(talk) == [Ping(2.0, (SID,))]
    assert len(talk.events) == 2


def test_large_pictures_get_time(talk: Conversation) -> None:
    picture = Open(new_id(), SID, "faces", image=Frame("u1", (1000, 1000, 4), bytes(4_000_000)))
    talk.submit(picture, 0.0)
    assert talk.moving_bytes == 4_000_000
    said(talk)
    talk.tick(4.9, ping=False)
    assert said(talk) == []
    talk.tick(5.1, ping=False)
    assert said(talk) == [picture]
    talk.received(Done(picture.id, SID), 6.0)
    assert talk.moving_bytes == 0


def test_a_large_picture_excuses_silence_only_in_its_own_session(talk: Conversation) -> None:
    picture = Open(new_id(), SID, "faces", image=Frame("u1", (1000, 1000, 4), bytes(4_000_000)))
    talk.submit(picture, 0.0)
    talk.received(Done(picture.id, SID), 1.0)
    other = Undo(new_id(), new_id())
    talk.submit(other, 2.0)
    assert talk.moving_bytes == 0
    edit = Undo(new_id(), SID)
    talk.submit(edit, 2.0)
    assert talk.moving_bytes == 4_000_000, "the answer may be a patch of that size"
    closing = Close(new_id(), SID)
    talk.submit(closing, 3.0)
    talk.received(Done(edit.id, SID), 3.0)
    talk.received(Done(closing.id, SID), 3.0)
    talk.submit(Undo(new_id(), SID), 4.0)
    assert talk.moving_bytes == 0


def test_reasons_are_told_once_each(talk: Conversation) -> None:
    for _ in range(3):
        talk.lost(ConnectionLost("Gone."))
    talk.lost(KritaDragError("Otherwise."))
    assert [event.state for event in talk.events] == [State.NOT_RESPONDING] * 2


def test_the_end_of_all_ends_every_request(talk: Conversation) -> None:
    requests = [Undo(new_id(), SID) for _ in range(3)]
    for request in requests:
        talk.submit(request, 0.0)
    talk.closed(KritaDragError("The end."))
    assert {event.re for event in talk.events if isinstance(event, Error)} == {request.id for request in requests}
    assert isinstance(talk.events[-1], StateChanged)


def test_another_life_of_the_gateway_makes_the_connection_useless(talk: Conversation) -> None:
    assert talk.received(Pong(1.0, EPOCH), 1.0)
    assert not talk.received(Pong(2.0, new_id()), 2.0)


def test_complaints_without_a_request_are_passed_on(talk: Conversation) -> None:
    complaint = Error("bad-frame", "What?")
    assert talk.received(complaint, 1.0)
    assert list(talk.events) == [complaint]
