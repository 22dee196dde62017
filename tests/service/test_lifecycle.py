"""Starting, being asked, and leaving: in order, alone, with an owner, and where it cannot start at all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from krita_drag.wire.messages import AskStatus, Open, Shutdown, new_id

from benchmarks.service.running_engine import Engine, Talker, alive, running, wait_for
from benchmarks.service.tiny_home import NAME
from engine.cli import main
from engine.doctor import diagnose


def failure(home: Path, *options: str) -> tuple[int, str]:
    """Start an engine that cannot start; returns exit code and standard error."""
    engine = Engine(home, *options)
    _, said = engine.process.communicate(timeout=60)
    return engine.process.returncode, said


def test_it_leaves_in_order_when_told(home: Path) -> None:
    engine = Engine(home).working()
    worker = engine.worker_pid()
    assert engine.stop() == 0
    assert not alive(worker)
    assert not (engine.folder / "connection.json").exists()
    assert not list(engine.folder.glob("*.sock"))
    assert [line["event"] for line in engine.log()][-1] == "engine stopped"


def test_its_owner_may_end_it_with_a_message(home: Path) -> None:
    with running(home) as engine:
        worker = engine.worker_pid()
        talker = Talker(engine)
        assert talker.ask(Shutdown(id=new_id())).type == "done"
        assert engine.process.wait(30) == 0
        wait_for(lambda: not alive(worker), "the end of the worker")
        talker.close()


def test_it_leaves_with_its_owner(home: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with running(home, "--owner", str(owner.pid)) as engine:
        worker = engine.worker_pid()
        owner.send_signal(signal.SIGKILL)  # and nobody waits for it: a zombie is gone, too
        assert engine.process.wait(30) == 0
        wait_for(lambda: not alive(worker), "the end of the worker")
        assert engine.events("owner gone")
    owner.communicate()


def test_a_second_engine_on_the_folder_is_told_so(home: Path) -> None:
    with running(home) as engine:
        code, said = failure(home)
        assert code == 1 and "already uses the folder" in said and "Traceback" not in said
        talker = Talker(engine)
        assert talker.ask(AskStatus(id=new_id())).type == "done", "the first one goes on"
        talker.close()


def test_a_killed_engine_leaves_the_folder_free(home: Path) -> None:
    engine = Engine(home).ready()
    engine.kill()
    with running(home) as second:
        assert second.connection["pid"] == second.pid


def test_on_all_addresses_local_clients_still_find_it(home: Path) -> None:
    with running(home, "--bind", "0.0.0.0") as engine:
        assert engine.connection["endpoint"].startswith("tcp://127.0.0.1:")
        talker = Talker(engine)
        assert talker.ask(AskStatus(id=new_id())).type == "done"
        talker.close()


def test_a_taken_port_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = failure(home, "--bind", address)
    assert code == 1 and address in said and "--bind" in said and "Traceback" not in said


def test_an_address_of_another_machine_is_refused(home: Path) -> None:
    code, said = failure(home, "--bind", "192.0.2.1:7411")
    assert code == 1 and "192.0.2.1:7411" in said and "Traceback" not in said


def test_a_folder_that_cannot_be_used_is_named(home: Path) -> None:
    (home / "engine").write_text("a file where the folder should be")
    code, said = failure(home)
    assert code == 1 and str(home / "engine") in said and "Traceback" not in said


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    Engine(home).ready().stop()
    (home / "engine" / "keys" / "engine.key").chmod(0o644)
    code, said = failure(home)
    assert code == 1 and "engine.key" in said and "chmod 600" in said


def test_a_device_that_is_not_there_is_told_to_clients(home: Path) -> None:
    with running(home, "--device", "mps" if sys.platform != "darwin" else "cuda") as engine:
        talker = Talker(engine)
        refused = talker.ask(Open(id=new_id(), sid=new_id(), model=NAME, seed=1))
        assert refused.code == "bad-option" and "--device" in refused.hint
        talker.close()


def test_status_and_doctor_ask_the_running_engine(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRITA_DRAG_HOME", str(home))
    assert main(["serve", "--status"]) == 1
    assert "No engine runs" in capsys.readouterr().err
    assert "no" in diagnose().sections["engine"]["running"]
    with running(home) as engine:
        engine.working()
        assert main(["serve", "--status", "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert status["pid"] == engine.pid and status["devices"][0]["name"] == "cpu"
        assert main(["serve", "--status"]) == 0
        assert engine.connection["endpoint"] in capsys.readouterr().out
        assert str(engine.pid) in diagnose().sections["engine"]["running"]


def test_nobody_has_to_read_what_it_prints(home: Path) -> None:
    """Whoever started the engine may close the other end of its output."""
    reading, writing = os.pipe()
    os.close(reading)
    engine = subprocess.Popen(
        [sys.executable, "-I", "-m", "engine", "serve"],
        env={**os.environ, "KRITA_DRAG_HOME": str(home)},
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    wait_for(lambda: (home / "engine" / "connection.json").exists(), "the engine")
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(30) == 0
