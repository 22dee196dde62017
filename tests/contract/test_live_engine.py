"""Every message of a live engine against the specification, to the last field: nothing undocumented is sent."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from krita_drag.wire.fields import FrameOf
from krita_drag.wire.messages import (
    BY_TYPE,
    Accepted,
    AskStatus,
    Cancel,
    Cancelled,
    Close,
    Credit,
    Done,
    Drag,
    Error,
    Frame,
    Invert,
    Invite,
    ListModels,
    Live,
    LoadModel,
    Open,
    Pair,
    Paired,
    Preview,
    Progress,
    Redo,
    Render,
    Request,
    Reset,
    Restore,
    Save,
    Shutdown,
    Undo,
    new_id,
)
from specification import DOCUMENT

from benchmarks.service import tiny_home
from benchmarks.service.running_engine import Talker, running

WHOLE = Frame("u1", (64, 64, 4), bytes([90, 120, 200, 255]) * 64 * 64)
POINTS = ((20.0, 20.0, 26.0, 24.0),)


class Recorder(Talker):
    """Keeps what came as it came."""

    def connect(self) -> None:
        """Open a connection whose messages are kept."""
        self.raw: list[list[bytes]] = getattr(self, "raw", [])
        self.asked: dict[str, str] = getattr(self, "asked", {})
        super().connect()
        self.socket = _Tap(self.socket, self.raw)  # type: ignore[assignment]

    def say(self, message: Any) -> None:
        """Send, and remember what was asked."""
        if isinstance(message, Request):
            self.asked[message.id] = message.type
        super().say(message)


class _Tap:
    """A socket that keeps what it receives."""

    def __init__(self, socket: zmq.Socket[bytes], raw: list[list[bytes]]) -> None:
        self._socket, self._raw = socket, raw

    def recv_multipart(self) -> list[bytes]:
        """Receive, and keep."""
        parts = self._socket.recv_multipart()
        self._raw.append(parts)
        return parts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """What an engine said in a conversation that has everything."""
    home = tmp_path_factory.mktemp("contract") / "home"
    tiny_home.install(home)
    with running(home) as engine:
        talker = Recorder(engine)
        try:
            converse(talker, home)
        finally:
            talker.close()
        yield talker


def converse(talker: Recorder, home: Path) -> None:
    """Ask everything that can be asked."""
    assert talker.ask(ListModels(new_id())).models
    assert talker.ask(LoadModel(new_id(), tiny_home.NAME)).resolution == tiny_home.RESOLUTION
    by_seed(talker)
    by_picture(talker)
    pairing(talker, home)
    assert isinstance(talker.ask(Undo(new_id(), new_id())), Error)
    talker.socket.send(b"what?")
    assert talker.hear(kinds=Error).re is None
    assert talker.ask(AskStatus(new_id())).status
    assert isinstance(talker.ask(Shutdown(new_id()), ack=False), Done)


def by_seed(talker: Recorder) -> None:
    """Drag, follow a pointer, go back and forth, save, stop."""
    sid = talker.open()
    drag = Drag(new_id(), sid, POINTS, max_steps=5, preview_px=32)
    talker.say(drag)
    talker.say(Credit(sid, 4))
    assert isinstance(talker.end_of(drag.id), Done)
    talker.say(Credit(sid, 4))
    gesture = talker.press(sid)
    assert talker.hear(kinds=Preview, re=gesture)
    for seq, phase in ((1, "move"), (2, "release")):
        talker.say(Live(gesture, sid, phase, seq, POINTS, preview_px=32))
    assert isinstance(talker.end_of(gesture), Done)
    for kind in (Undo, Redo, Reset, Render):
        assert isinstance(talker.ask(kind(new_id(), sid)), Done), kind
    saved = talker.ask(Save(new_id(), sid))
    assert isinstance(saved, Done), saved
    assert isinstance(talker.ask(Restore(new_id(), new_id(), saved.session)), Done)
    bad = talker.ask(Drag(new_id(), sid, ((500.0, 1.0, 2.0, 2.0),)))
    assert (bad.type, bad.code) == ("error", "bad-points")
    endless = Drag(new_id(), sid, ((5.0, 5.0, 60.0, 60.0),), solver="draggan", max_steps=100_000)
    talker.say(endless)
    assert talker.hear(kinds=Progress, re=endless.id)
    talker.say(Cancel(endless.id, sid))
    assert isinstance(talker.end_of(endless.id), Cancelled)
    assert isinstance(talker.ask(Close(new_id(), sid)), Done)


def by_picture(talker: Recorder) -> None:
    """Open a picture, find it in the model, drag it."""
    sid = new_id()
    assert talker.ask(Open(new_id(), sid, tiny_home.NAME, order="BGRA", image=WHOLE)).size == (64, 64)
    assert isinstance(talker.ask(Invert(new_id(), sid, preset="fast", steps=3)), Done)
    end = talker.ask(Drag(new_id(), sid, POINTS, max_steps=3, mask=Frame("u1", (64, 64), bytes([255]) * 64 * 64)))
    assert isinstance(end, Done)


def pairing(talker: Recorder, home: Path) -> None:
    """Let another key in."""
    invite = Invite(new_id(), "RIGHTCODE1")
    talker.say(invite)
    assert talker.hear(kinds=Accepted, re=invite.id)
    guest = Recorder(talker.engine, home / "guest.key")
    guest.raw, guest.asked = talker.raw, talker.asked
    guest.reconnect()
    assert isinstance(guest.ask(Pair(new_id(), "RIGHTCODE1", "guest"), ack=False), Paired)
    assert isinstance(talker.end_of(invite.id, ack=False), Done)
    guest.close()


def headers(record: Recorder) -> list[dict[str, Any]]:
    """Return the headers as they came."""
    return [json.loads(parts[0]) for parts in record.raw]


def test_the_engine_says_everything_that_it_can(record: Recorder) -> None:
    said = {header["t"] for header in headers(record)}
    assert said == {name for name, kind in BY_TYPE.items() if kind.sender == "engine"}


def test_nothing_undocumented_is_said(record: Recorder) -> None:
    for header in headers(record):
        fields = dataclasses.fields(BY_TYPE[header["t"]])  # type: ignore[arg-type]
        frames = {field.name for field in fields if isinstance(field.metadata["kind"], FrameOf)}
        plain = {field.name for field in fields} - frames | {"v", "t", "frames"}
        assert set(header) <= plain, header
        assert {frame["name"] for frame in header.get("frames", [])} <= frames, header


def test_answers_have_what_the_document_promises(record: Recorder) -> None:
    promised, undocumented = promises(), {}
    for header in headers(record):
        if header["t"] != "done":
            continue
        asked = record.asked[header["re"]]
        empty = ([], "", 0, None)
        given = {name for name, value in header.items() if value not in empty} - {"v", "t", "re", "sid", "frames"}
        given |= {frame["name"] for frame in header.get("frames", [])}
        if not given <= promised[asked]:
            undocumented[asked] = given - promised[asked]
    assert undocumented == {}


def test_every_request_ends_once(record: Recorder) -> None:
    ends = [header["re"] for header in headers(record) if header["t"] in ("done", "cancelled", "paired")]
    ends += [header["re"] for header in headers(record) if header["t"] == "error" and "re" in header]
    assert sorted(ends) == sorted(record.asked)


def promises() -> dict[str, set[str]]:
    """Read the table of what `done` has, by request."""
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.index("| request | `done` has |") :].split("\n\n")[0]
    found = {}
    for row in table.splitlines()[2:]:
        requests, fields = row.strip("|").split("|", 1)
        for request in re.findall(r"`(\w+)`", requests):
            found[request] = set(re.findall(r"`(\w+)`", fields))
    return found
