"""The way to the engine, over a real socket: each state it can be in, with a sentence and a remedy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from krita_drag.desk import Desk
from krita_drag.link import EngineLink
from krita_drag.link_status import LinkState, Remedy
from krita_drag.wire import messages as wire
from krita_drag.wire.errors import NotInstalled


@pytest.fixture
def link(application: Any, home: Path) -> Iterator[EngineLink]:
    made = EngineLink(home, "5.2.9")
    yield made
    made.close()


@pytest.fixture
def engines(home: Path) -> Iterator[Any]:
    started = []

    def start(**options: Any) -> FakeEngine:
        started.append(FakeEngine(home, **options))
        return started[-1]

    yield start
    for engine in started:
        engine.stop()


def test_an_engine_that_runs_already_is_used(link: EngineLink, engines: Any, settle: Any) -> None:
    engine = engines()
    link.open("")
    settle(lambda: link.status.state is LinkState.READY)
    assert link.status.device == "Fake device"
    hello = engine.asked(wire.Hello)[0]
    assert (hello.app, hello.app_version) == ("krita", "5.2.9")
    answers = []
    link.event.connect(answers.append)
    link.send(wire.ListModels(wire.new_id()))
    settle(lambda: any(isinstance(answer, wire.Done) for answer in answers))


def test_an_engine_that_is_not_installed(link: EngineLink, settle: Any) -> None:
    link.open("")
    settle(lambda: link.status.state is LinkState.NOT_INSTALLED)
    assert link.status.remedy is Remedy.INSTALL
    assert link.status.error is not None and "install.py" in link.status.error.hint


def test_an_engine_that_dies_is_found_again_when_it_is_back(link: EngineLink, engines: Any, settle: Any) -> None:
    engine = engines()
    link.open("")
    settle(lambda: link.status.state is LinkState.READY)
    engine.hold.add(wire.Drag)
    answers: list[Any] = []
    link.event.connect(answers.append)
    drag = wire.Drag(wire.new_id(), wire.new_id(), points=((1, 1, 2, 2),))
    link.send(drag)
    settle(lambda: any(isinstance(answer, wire.Preview) for answer in answers))
    engine.stop()
    settle(lambda: link.status.state is not LinkState.READY)
    engines()
    settle(lambda: link.status.state is LinkState.READY)
    settle(lambda: any(isinstance(answer, wire.Done) and answer.re == drag.id for answer in answers))


def test_an_engine_of_another_version(link: EngineLink, engines: Any, settle: Any) -> None:
    engines(speaks=(50, 60))
    link.open("")
    settle(lambda: link.status.state is LinkState.FAILED)
    assert link.status.error is not None and link.status.error.code == "version-mismatch"
    assert link.status.remedy is Remedy.RETRY


def test_work_that_another_engine_does_not_know_has_an_end(
    link: EngineLink, engines: Any, settle: Any, home: Path
) -> None:
    first = engines()
    first.hold.add(wire.Drag)
    link.open("")
    settle(lambda: link.status.state is LinkState.READY)
    answers: list[Any] = []
    link.event.connect(answers.append)
    drag = wire.Drag(wire.new_id(), wire.new_id(), points=((1, 1, 2, 2),))
    link.send(drag)
    settle(lambda: any(isinstance(answer, wire.Preview) for answer in answers))
    second = FakeEngine(home / "other")
    try:
        link.open(second.address)
        assert [answer.code for answer in answers if wire.is_terminal(answer)] == ["connection-lost"]
        assert answers[-1].re == drag.id
        settle(lambda: link.status.state is LinkState.READY)
        assert not second.asked(wire.Drag)
    finally:
        second.stop()


def test_only_the_newest_picture_that_is_drawn_becomes_a_document(
    link: EngineLink, engines: Any, settle: Any, krita: Any, document: Any
) -> None:
    engine = engines()
    desk = Desk(krita, link)
    desk.wake()
    settle(lambda: link.status.state is LinkState.READY)
    engine.hold.add(wire.Open)
    desk.draw(1)
    settle(lambda: len(engine.asked(wire.Open)) == 1)
    engine.hold.clear()
    desk.draw(2)
    settle(lambda: krita.open_windows[0].activeView().document() is not document)
    first, second = engine.asked(wire.Open)
    settle(lambda: bool(engine.asked(wire.Close)))
    assert [cancel.re for cancel in engine.asked(wire.Cancel)] == [first.id]
    assert [close.sid for close in engine.asked(wire.Close)] == [first.sid]
    made = krita.open_windows[0].activeView().document()
    assert desk.edit_for(made).session.sid == second.sid
    desk.close()


def test_an_address_that_is_none_is_refused_with_its_form(link: EngineLink, settle: Any) -> None:
    link.open("http://example")
    settle(lambda: link.status.state is LinkState.FAILED)
    assert link.status.error is not None and "drag://" in link.status.error.hint


def test_pairing_with_a_code(link: EngineLink, engines: Any, settle: Any, tmp_path: Path) -> None:
    engine = engines(paired=False)
    link.open(engine.address + "#SESAME")
    settle(lambda: link.status.state is LinkState.READY)
    assert engine.asked(wire.Pair)[0].code == "SESAME"
    link.open(engine.address)  # as Retry does
    assert link.status.state is LinkState.READY, "the connection was made anew"


def test_pairing_with_a_wrong_code(link: EngineLink, engines: Any, settle: Any) -> None:
    engine = engines(paired=False)
    link.open(engine.address + "#WRONG")
    settle(lambda: link.status.state is LinkState.FAILED)
    assert link.status.error is not None and link.status.error.code == "pairing-failed"


def test_who_is_let_in_while_others_pair_is_told_at_the_first_request(
    link: EngineLink, engines: Any, settle: Any
) -> None:
    engine = engines(paired=False)
    link.open(engine.address)
    settle(lambda: link.status.state is LinkState.READY)
    link.send(wire.ListModels(wire.new_id()))
    settle(lambda: link.status.state is LinkState.FAILED)
    assert link.status.error is not None and link.status.error.code == "not-paired"


def test_without_a_connection_requests_are_answered_all_the_same(link: EngineLink, settle: Any) -> None:
    answers: list[Any] = []
    link.event.connect(answers.append)
    link.send(wire.ListModels(wire.new_id()))
    settle(lambda: bool(answers))
    assert isinstance(answers[0], wire.Error) and answers[0].hint


def test_closing_while_parts_are_still_loaded_leaves_no_thread(home: Path, settle: Any) -> None:
    link = EngineLink(home)
    before = threading.active_count()
    link.open("")
    link.close()
    settle()
    assert link._client is None
    settle(lambda: threading.active_count() <= before)


def test_a_python_without_pyzmq(link: EngineLink, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise NotInstalled("This Krita has no working pyzmq.", "Run install.py again.")

    monkeypatch.setattr("krita_drag.link.provide_zmq", fail)
    link.open("")
    settle(lambda: link.status.state is LinkState.FAILED)
    assert link.status.error is not None and link.status.error.code == "not-installed"
    monkeypatch.undo()
    link.open("")
    settle(lambda: link.status.state is LinkState.NOT_INSTALLED)  # the engine itself now
