"""Key files: made once, private, and refused when they are not; addresses and connection files."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
import zmq
from krita_drag import places
from krita_drag.connection import Connection, parse_address, read_connection
from krita_drag.keys import KeyPair, load, load_or_create, write_private
from krita_drag.wire.errors import BadOption, NotRunning, PermissionDenied, UnsafeKeyFile

from engine.locks import exclusive

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes of files mean nothing there")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "client.key"
    made = load_or_create(path)
    assert zmq.curve_public(made.secret.encode()).decode() == made.public
    assert load_or_create(path) == made == load(path)
    assert made.secret not in repr(made)
    assert list(path.parent.iterdir()) == [path]


@POSIX
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "keys" / "client.key")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "keys" / "client.key"), mode(tmp_path / "keys")) == (0o600, 0o700)


@POSIX
@pytest.mark.parametrize("wide", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(wide: int, tmp_path: Path) -> None:
    path = tmp_path / "client.key"
    load_or_create(path)
    path.chmod(wide)
    with pytest.raises(UnsafeKeyFile, match=f"mode {wide:o}") as refused:
        load_or_create(path)
    assert "chmod 600" in refused.value.hint


@POSIX
def test_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path / "real.key")
    (tmp_path / "client.key").symlink_to(tmp_path / "real.key")
    with pytest.raises(UnsafeKeyFile, match="link"):
        load(tmp_path / "client.key")
    os.mkfifo(tmp_path / "pipe.key", 0o600)
    with pytest.raises(UnsafeKeyFile, match="not a file"):
        load(tmp_path / "pipe.key")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"public": 1, "secret": 2}', '{"public": "x", "secret": "ä"}', "\x00"]
)
def test_what_holds_no_key_is_refused(text: str, tmp_path: Path) -> None:
    write_private(tmp_path / "client.key", text)
    with pytest.raises(UnsafeKeyFile, match="does not hold a key"):
        load_or_create(tmp_path / "client.key")


def test_halves_of_different_keys_are_refused(tmp_path: Path) -> None:
    one, other = (load_or_create(tmp_path / name) for name in ("one", "other"))
    write_private(tmp_path / "mixed", json.dumps({"public": one.public, "secret": other.secret}))
    with pytest.raises(UnsafeKeyFile):
        load(tmp_path / "mixed")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    with pytest.raises(PermissionDenied, match="keys"):
        load_or_create(tmp_path / "keys" / "client.key")


def test_of_many_at_once_one_key_wins(tmp_path: Path) -> None:
    found: list[KeyPair] = []
    threads = [threading.Thread(target=lambda: found.append(load_or_create(tmp_path / "client.key"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({pair.public for pair in found}) == 1


def test_addresses_there_and_back(tmp_path: Path) -> None:
    key = load_or_create(tmp_path / "k").public
    for endpoint in ("tcp://127.0.0.1:4711", "tcp://gpu-box.example:1", "tcp://[::1]:65535"):
        connection = Connection(endpoint, key)
        assert parse_address(connection.address) == (connection, "")
        assert parse_address(f" {connection.address}#ABC123 \n") == (connection, "ABC123")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local",
        "drag://host/" + "0" * 64,
        "drag://host:0/" + "0" * 64,
        "drag://host:70000/" + "0" * 64,
        "drag://host:1/" + "0" * 63,
        "drag://h:1/" + "g" * 64,
        "drag://ho st:1/" + "0" * 64,
        "tcp://host:1/" + "0" * 64,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="not the address"):
        parse_address(text)


def test_the_connection_file_of_a_running_engine(tmp_path: Path) -> None:
    key = load_or_create(tmp_path / "k").public
    with pytest.raises(NotRunning):
        read_connection(tmp_path)
    text = json.dumps({"endpoint": "tcp://127.0.0.1:4711", "server_key": key, "pid": os.getpid()})
    write_private(tmp_path / "connection.json", text)
    with pytest.raises(NotRunning):
        read_connection(tmp_path)  # left behind: nobody holds the lock
    with exclusive(tmp_path / "lock"):
        assert read_connection(tmp_path) == Connection("tcp://127.0.0.1:4711", key)
        for damaged in ("{", "[]", "{}", text.replace("tcp:", "ipc:"), text.replace(key, key[:-1])):
            write_private(tmp_path / "connection.json", damaged)
            with pytest.raises(UnsafeKeyFile, match="damaged"):
                read_connection(tmp_path)


def test_everything_lies_in_the_users_folder(home: Path) -> None:
    assert places.engine_dir() == home / "engine"
    assert places.client_key_path() == home / "keys" / "client.key"
