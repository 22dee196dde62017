"""Pairing with a live engine: the command on both sides, and what strangers get while the door is ajar."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from krita_drag.connection import read_connection
from krita_drag.wire.messages import (
    Accepted,
    AskStatus,
    Drag,
    Error,
    Invite,
    Pair,
    Paired,
    Pong,
    Progress,
    Shutdown,
    new_id,
)

from benchmarks.service.running_engine import Engine, Talker, running, wait_for
from engine.commands.pair import _own_address


def pair(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "engine", "pair", *words],
        env={**os.environ, "KRITA_DRAG_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def shown_address(inviting: subprocess.Popen[str]) -> str:
    assert inviting.stdout is not None
    line = inviting.stdout.readline()
    found = re.search(r"drag://127\.0\.0\.1:\d+/[0-9a-f]{64}#[A-Z0-9]{10}", line)
    assert found, line
    return found[0]


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    with running(home, "--suspend-after", "3600") as started:  # so that silence alone ends nothing
        yield started


def test_two_computers_pair(engine: Engine, home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    inviting = pair(home)
    joining = pair(other, shown_address(inviting), "--name", "Ana's laptop")
    out, errors = joining.communicate(timeout=60)
    assert joining.returncode == 0, errors
    assert "Ana's laptop" in out
    out, errors = inviting.communicate(timeout=60)
    assert (inviting.returncode, "“Ana's laptop” was paired." in out) == (0, True), errors
    listed = home / "engine" / "keys" / "clients.json"
    assert list(json.loads(listed.read_text()).values()) == ["Ana's laptop"]
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    guest = Talker(engine, other / "keys" / "client.key")
    assert guest.ask(AskStatus(new_id())).status is not None
    assert guest.ask(Shutdown(new_id()), ack=False).code == "auth-failed"
    assert guest.ask(Invite(new_id(), "MINE"), ack=False).code == "auth-failed"
    guest.close()


def test_a_code_taken_back_is_good_no_more(engine: Engine, home: Path, tmp_path: Path) -> None:
    inviting = pair(home)
    address = shown_address(inviting)
    inviting.send_signal(signal.SIGINT)
    inviting.communicate(timeout=60)
    assert inviting.returncode == 130
    joining = pair(tmp_path / "other", address)
    _, errors = joining.communicate(timeout=60)
    assert joining.returncode == 1
    assert "does not know this computer" in errors


def test_an_engine_on_all_addresses_is_shown_by_one_that_others_reach(home: Path) -> None:
    with running(home, "--bind", "0.0.0.0"):
        assert read_connection(home / "engine").endpoint.startswith("tcp://127.0.0.1:")
        inviting = pair(home)
        assert inviting.stdout is not None
        address = inviting.stdout.readline().split("'")[1]
        inviting.send_signal(signal.SIGINT)
        _, errors = inviting.communicate(timeout=60)
    assert address.startswith(f"drag://{_own_address()}:")
    assert "listens on this computer only" not in errors


def test_what_a_stranger_gets(engine: Engine, tmp_path: Path) -> None:
    owner = Talker(engine)
    invite = Invite(new_id(), "RIGHTCODE1")
    owner.say(invite)
    assert owner.hear(kinds=Accepted, re=invite.id)
    strangers = [Talker(engine, tmp_path / f"key{number}") for number in range(2)]
    assert strangers[0].hear(kinds=Pong) is not None
    assert strangers[0].ask(AskStatus(new_id()), ack=False).code == "not-paired"
    for number in range(5):
        assert strangers[number % 2].ask(Pair(new_id(), f"WRONG{number}", "eve"), ack=False).code == "pairing-failed"
    assert owner.end_of(invite.id, ack=False).code == "pairing-failed"
    strangers[0].say(Pair(new_id(), "RIGHTCODE1", "eve"))
    assert strangers[0].hear(2.0, kinds=Error) is None
    late = Talker(engine, tmp_path / "late")
    assert late.hear(2.0) is None
    for talker in (*strangers, late, owner):
        talker.close()


def test_a_lost_answer_is_given_again(engine: Engine, tmp_path: Path) -> None:
    owner = Talker(engine)
    invite = Invite(new_id(), "RIGHTCODE1")
    owner.say(invite)
    assert owner.hear(kinds=Accepted, re=invite.id)
    guest = Talker(engine, tmp_path / "guest")
    asked = Pair(new_id(), "RIGHTCODE1", "Bob")
    assert guest.ask(asked, ack=False) == Paired(asked.id, "Bob")
    assert guest.ask(asked, ack=False) == Paired(asked.id, "Bob")
    assert owner.end_of(invite.id, ack=False).notes == ("“Bob” was paired.",)
    assert owner.ask(invite, ack=False).notes == ("“Bob” was paired.",)
    owner.close()
    guest.close()


def test_a_revoked_key_gets_nothing(engine: Engine, home: Path, tmp_path: Path) -> None:
    owner = Talker(engine)
    invite = Invite(new_id(), "RIGHTCODE1")
    owner.say(invite)
    assert owner.hear(kinds=Accepted, re=invite.id)
    guest = Talker(engine, tmp_path / "guest")
    guest.ask(Pair(new_id(), "RIGHTCODE1", "Bob"), ack=False)
    sid = guest.open()
    drag = Drag(new_id(), sid, ((5.0, 5.0, 60.0, 60.0),), solver="draggan", max_steps=100_000)
    guest.say(drag)
    assert guest.hear(kinds=Progress, re=drag.id)
    listed = home / "engine" / "keys" / "clients.json"
    reads = len(engine.events("allow-list read"))
    listed.write_text("{}")
    wait_for(lambda: len(engine.events("allow-list read")) > reads, "the list to be read")
    wait_for(lambda: engine.events("session suspended"), "the drag to be stopped")
    while guest.hear(0.5) is not None:
        pass  # what was on its way
    question = AskStatus(new_id())
    guest.say(question)
    assert guest.hear(2.0) is None
    owner.close()
    guest.close()
