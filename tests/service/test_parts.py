"""Parts of the gateway that time or another system would show: ageing, limits, sealed files, the way without ipc."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from krita_drag.wire.codec import encode
from krita_drag.wire.errors import BadImage, Busy, NoSession, PermissionDenied
from krita_drag.wire.messages import ListModels, new_id

from benchmarks.service.running_engine import alive, wait_for
from engine.service import worker_link
from engine.service.disk import Disk
from engine.service.files import Damaged, read_sealed, write_sealed
from engine.service.folder import ServiceFolder
from engine.service.journal import open_journal
from engine.service.lifeline import Lifeline
from engine.service.limits import (
    BURST,
    BYTES_PER_PIXEL,
    IGNORED_S,
    MALFORMED_IN_A_ROW,
    MAX_WAITING_BYTES_PER_KEY,
    SESSION_BYTES,
    Conduct,
    require_budget,
)
from engine.service.records import ABANDONED_S, Ownership, Waiting, read_ownership
from engine.service.registry import Registry
from engine.service.worker_link import WorkerLink
from engine.service.zap import Doorkeeper

ROOT = Path(__file__).parents[2]


def test_sealed_files_come_back_or_are_refused(tmp_path: Path) -> None:
    path, parts = tmp_path / "file", [b"", b"one", bytes(1000)] * 25
    write_sealed(path, parts)
    assert read_sealed(path) == parts
    content = path.read_bytes()
    for at in (0, 33, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(Damaged):
            read_sealed(path)
    for length in (0, 10, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(Damaged):
            read_sealed(path)


def test_what_a_disk_did_not_take_is_written_first_when_it_can_be(tmp_path: Path) -> None:
    folder, written = tmp_path / "session", []
    disk = Disk(tmp_path)

    def write(name: str) -> Callable[[], None]:
        def now() -> None:
            (folder / name).write_text(name)
            written.append(name)

        return now

    disk.attempt("opening", write("opening"))
    disk.attempt("state", write("older state"))
    disk.attempt("state", write("state"))
    disk.attempt("checkpoint", write("checkpoint"), owed=False)
    disk.settle()
    assert disk.lacks and not written
    folder.mkdir()
    disk.attempt("answer", write("answer"), owed=False)
    assert not disk.lacks and written == ["opening", "state", "answer"]
    folder.rename(tmp_path / "closed")
    disk.attempt("state", write("state"))
    disk.forget()
    assert not disk.lacks


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "engine.log").mkdir()
    with pytest.raises(PermissionDenied, match=r"engine\.log"):
        open_journal(tmp_path / "engine.log")


def test_abandoned_sessions_go_and_others_stay(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path / "engine")
    registry = Registry(folder)
    kept, abandoned = (registry.open(new_id(), "key") for _ in range(2))
    abandoned.suspended = True
    now = time.monotonic()
    registry.age(now + ABANDONED_S / 2)
    assert read_ownership(folder.session(abandoned.sid)).idle_s > 0
    registry.age(now + 1.1 * ABANDONED_S)
    assert registry.find(kept.sid, "key") is kept
    assert not folder.session(abandoned.sid).exists()
    with pytest.raises(NoSession):
        registry.find(abandoned.sid, "key")
    folder.release()


def test_a_session_on_the_disk_is_found_by_its_owner_only(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path / "engine")
    sid = new_id()
    Ownership("key", 5.0).write(folder.session(sid))
    with pytest.raises(NoSession):
        Registry(folder).find(sid, "other")
    assert Registry(folder).find(sid, "key").owner == "key"
    assert read_ownership(folder.session(sid)).idle_s == 0, "being asked for counts"
    folder.release()


def test_what_waits_is_bounded_in_bytes(tmp_path: Path) -> None:
    folder = ServiceFolder(tmp_path / "engine")
    registry = Registry(folder)
    record = registry.open(new_id(), "key")
    registry.check_waiting("key", MAX_WAITING_BYTES_PER_KEY * 2)
    record.waiting[new_id()] = Waiting([bytes(10)])
    with pytest.raises(Busy):
        registry.check_waiting("key", MAX_WAITING_BYTES_PER_KEY)
    registry.check_waiting("other", MAX_WAITING_BYTES_PER_KEY)
    folder.release()


def test_conduct_is_forgiven_after_a_minute() -> None:
    now = [0.0]
    conduct = Conduct(lambda: now[0])
    for _ in range(MALFORMED_IN_A_ROW):
        conduct.malformed()
    conduct.sound()
    conduct.malformed()
    assert not conduct.ignored(), "they were not in a row"
    for _ in range(MALFORMED_IN_A_ROW):
        conduct.malformed()
    assert conduct.ignored()
    now[0] = IGNORED_S
    assert not conduct.ignored()


def test_a_picture_beyond_the_budget_of_a_session_is_refused() -> None:
    require_budget(1000 * 1000)
    with pytest.raises(BadImage, match="million pixels"):
        require_budget(SESSION_BYTES // BYTES_PER_PIXEL + 1)


def test_the_rate_is_bounded() -> None:
    now = [0.0]
    conduct = Conduct(lambda: now[0])
    assert all(conduct.spend() for _ in range(int(BURST)))
    assert not conduct.spend()
    now[0] = 1.0
    assert conduct.spend()


def test_a_lifeline_knows_the_dead_and_their_namesakes() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    line = Lifeline(process.pid)
    assert line.alive()
    process.kill()
    wait_for(lambda: not line.alive(), "the lifeline to notice, though nobody has waited for the process")
    process.communicate()
    assert not line.alive()
    assert Lifeline(os.getppid()).alive()


def test_a_worker_is_reached_where_there_is_no_ipc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems without it: over loopback, with keys of this life, and closed to everybody else."""
    monkeypatch.setenv("KRITA_DRAG_HOME", str(home))
    folder = home / "engine"
    folder.mkdir()
    context = zmq.Context()
    link = WorkerLink(context, folder, {"device": "cpu"}, use_ipc=False)
    door = Doorkeeper(context, {worker_link.DOMAIN: link.admits})

    def heard(say: str) -> bool:
        door.answer()
        link.tick()
        message = link.receive()
        return message is not None and message[0]["say"] == say

    endpoint = link.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    assert endpoint.startswith("tcp://127.0.0.1:")
    stranger = context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect(endpoint)
    stranger.send_multipart([b'{"say":"ready","pid":1}'])
    wait_for(lambda: heard("ready"), "the worker")
    frames = [bytes(part) for part in encode(ListModels(id=new_id()))]
    assert link.send({"do": "request", "sid": "desk", "id": new_id()}, frames)
    wait_for(lambda: heard("answer"), "its answer")
    assert not stranger.poll(100)
    stranger.close()
    worker = link.pid
    link.stop()
    door.close()
    context.term()
    assert worker is not None and not alive(worker)


def test_no_clock_that_can_jump_decides_anything() -> None:
    """The log tells the time of day; nothing else of the service asks for it."""
    files = [*(ROOT / "engine" / "service").glob("*.py"), ROOT / "engine" / "gateway.py", ROOT / "engine" / "worker.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                assert node.attr in {"monotonic", "monotonic_ns", "sleep", "strftime", "gmtime"}, (
                    f"{path.name}: {node.attr}"
                )


def test_where_every_path_is_too_long_for_a_socket_the_worker_is_met_over_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    context = zmq.Context()
    link = WorkerLink(context, folder, {"device": "cpu"})
    assert link.socket.getsockopt_string(zmq.LAST_ENDPOINT).startswith("tcp://127.0.0.1:")
    link.stop()
    context.term()
