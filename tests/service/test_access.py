"""Who gets in, what they see there, and what happens to those who misbehave."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from krita_drag.keys import KeyPair, load_or_create
from krita_drag.wire.codec import decode
from krita_drag.wire.messages import AskStatus, Drag, Open, Render, Shutdown, new_id

from benchmarks.service.running_engine import Engine, Talker, let_in, wait_for
from benchmarks.service.tiny_home import NAME

Dress = Callable[[zmq.Socket, Engine, Path], None]


def no_curve(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    pass


def plain(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    socket.plain_username, socket.plain_password = b"artist", b"secret"


def unknown_key(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    wear(socket, load_or_create(scratch / "unknown.key"), engine.connection["server_key"])


def wrong_server_key(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    own = load_or_create(engine.home / "keys" / "client.key")
    wear(socket, own, zmq.curve_keypair()[0].decode())


def stolen_public_key(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    public = load_or_create(engine.home / "keys" / "client.key").public
    wear(socket, KeyPair(public, load_or_create(scratch / "own.key").secret), engine.connection["server_key"])


def revoked_key(socket: zmq.Socket, engine: Engine, scratch: Path) -> None:
    path = let_in(engine, scratch / "revoked.key")
    guest = Talker(engine, path)
    assert guest.hear(), "it comes in"
    guest.close()
    reads = len(engine.events("allow-list read"))
    (engine.folder / "keys" / "clients.json").write_text("{}")
    wait_for(lambda: len(engine.events("allow-list read")) > reads, "the list to be read")
    wear(socket, load_or_create(path), engine.connection["server_key"])


def wear(socket: zmq.Socket, keys: KeyPair, server: str) -> None:
    socket.curve_publickey, socket.curve_secretkey = (key.encode() for key in (keys.public, keys.secret))
    socket.curve_serverkey = server.encode()


@pytest.mark.parametrize(
    "dress", [no_curve, plain, unknown_key, wrong_server_key, stolen_public_key, revoked_key], ids=lambda d: d.__name__
)
def test_strangers_get_no_byte(shared: Engine, tmp_path: Path, dress: Dress) -> None:
    context = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        dress(socket, shared, tmp_path)
        socket.connect(shared.connection["endpoint"])
        for part in (b'{"v":1,"t":"hello"}', b"x", b"x" * 1000):
            socket.send_multipart([part])
        assert not socket.poll(700)
    context.term()
    talker = Talker(shared)
    assert talker.ask(AskStatus(id=new_id())).type == "done", "and those who belong are served"
    talker.close()


def test_sessions_of_another_key_do_not_exist(shared: Engine, talker: Talker, tmp_path: Path) -> None:
    sid = talker.open()
    path = let_in(shared, tmp_path / "guest.key")
    guest = Talker(shared, path)
    assert guest.hear(), "a paired client is welcome"
    seen = guest.ask(Render(id=new_id(), sid=sid))
    unknown = guest.ask(Render(id=new_id(), sid=new_id()))
    assert (seen.code, seen.message, seen.hint) == (unknown.code, unknown.message, unknown.hint)
    assert guest.ask(Open(id=new_id(), sid=sid, model=NAME, seed=1)).code == "no-session"
    assert guest.ask(AskStatus(id=new_id())).status.sessions == ()
    assert guest.ask(Shutdown(id=new_id())).code == "auth-failed"
    assert talker.ask(Render(id=new_id(), sid=sid)).type == "done"
    guest.close()


def test_nothing_written_can_be_read_by_others(shared: Engine, talker: Talker) -> None:
    sid = talker.open()
    private = [path for path in shared.folder.rglob("*") if path.is_file()]
    assert shared.folder / "connection.json" in private and shared.folder / "sessions" / sid / "session.json" in private
    assert shared.folder.stat().st_mode & 0o077 == 0, "nobody else gets into the folder"
    for name in ("connection.json", "keys/engine.key", f"sessions/{sid}/session.json", f"sessions/{sid}/state.sealed"):
        assert (shared.folder / name).stat().st_mode & 0o077 == 0, name
    assert shared.connection["endpoint"].startswith("tcp://127.0.0.1:")


def test_a_session_and_a_client_may_have_only_so_much(shared: Engine, tmp_path: Path) -> None:
    guest = Talker(shared, let_in(shared, tmp_path / "greedy.key"))
    sids = [guest.open() for _ in range(16)]
    refused = guest.ask(Open(id=new_id(), sid=new_id(), model=NAME, seed=1))
    assert refused.code == "busy" and refused.retry_s > 0
    first = guest.press(sids[0])
    drags = [Drag(id=new_id(), sid=sids[0], points=((20.0, 20.0, 24.0, 24.0),)) for _ in range(9)]
    for drag in drags:
        guest.say(drag)
    assert guest.end_of(drags[8].id).code == "busy"
    assert guest.ask(Open(id=new_id(), sid=sids[0], model=NAME, seed=1)).code == "busy", "it is still at work"
    guest.press(sids[0], 1, "release", first)
    assert all(guest.end_of(drag.id).type == "done" for drag in drags[:8])
    guest.close()


def garbage(rng: random.Random) -> list[bytes]:
    """Something that is not a message, or only nearly one."""
    good = b'{"v":1,"t":"drag","id":"%s","sid":"%s","points":[[1,1,2,2]]}' % (b"0" * 32, b"1" * 32)
    kind = rng.randrange(5)
    if kind == 0:
        return [rng.randbytes(rng.randrange(200)) for _ in range(rng.randrange(1, 12))]
    if kind == 1:
        bent = bytearray(good)
        bent[rng.randrange(len(bent))] = rng.randrange(256)
        return [bytes(bent)]
    if kind == 2:
        return [b"[" * rng.choice((10, 1000, 60_000))]
    if kind == 3:
        shape = rng.choice(("[1,1,4]", "[67108864,67108864]", "[-1,5]", '"x"', "[0]"))
        head = f'{{"v":1,"t":"open","id":"{"2" * 32}","sid":"{"3" * 32}","model":"x","frames":'
        return [f'{head}[{{"name":"image","dtype":"u1","shape":{shape}}}]}}'.encode(), rng.randbytes(5)]
    value = rng.choice(("null", "1e999", "NaN", '"../../etc"', "[[[[[[[[[[1]]]]]]]]]]", "true", "9" * 400))
    field = rng.choice(("id", "sid", "points", "t", "v", "max_steps"))
    return [good[:-1] + f',"{field}":{value}}}'.encode()]


def test_a_flood_of_garbage_harms_nobody_else(shared: Engine, talker: Talker, tmp_path: Path) -> None:
    sid = talker.open()
    honest = talker.press(sid)
    guest = Talker(shared, let_in(shared, tmp_path / "flood.key"))
    assert guest.hear()
    rng = random.Random(0)
    for number in range(2000):
        guest.socket.send_multipart(garbage(rng))
        while guest.socket.poll(0):
            decode(guest.socket.recv_multipart())
        if number % 100 == 0:
            assert talker.hear(1) is not None
    guest.say(AskStatus(id=new_id()))
    assert guest.hear(1.0, kinds=type(talker.ask(AskStatus(id=new_id())))) is None, "it is ignored for a minute"
    talker.press(sid, 1, "release", honest)
    assert talker.end_of(honest).type == "done"
    assert shared.process.poll() is None
    guest.close()
