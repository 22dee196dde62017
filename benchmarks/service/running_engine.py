"""A real engine in processes of its own, and a client that says exactly what a test tells it to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
from krita_drag.engine_files import read_connection_file
from krita_drag.keys import load_or_create, write_private
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.messages import Ack, Credit, Hello, Live, Message, Open, Ping, Request, is_terminal, new_id

from benchmarks.service.tiny_home import NAME

PATIENCE_S = 60.0  # a busy machine must not fail a test


def wait_for(condition: Any, what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until a call returns something true; returns that."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Engine:
    """One `krita-drag serve`.

    Args:
        home: data folder, with the model.
        options: further words of the command line.
        environment: further variables.
        prelude: code that its process runs before the command line.
    """

    def __init__(self, home: Path, *options: str, prelude: str = "", **environment: str) -> None:
        self.home, self.folder = home, home / "engine"
        command = ["-I", "-m", "engine"] if not prelude else ["-I", "-c", f"{prelude}\nimport engine.__main__"]
        if prelude:
            command[-1] = f"{prelude}\nimport sys; from engine.cli import main; sys.exit(main(sys.argv[1:]))"
        owner = () if "--owner" in options else ("--owner", str(os.getpid()))  # whatever becomes of the test
        self.process = subprocess.Popen(
            [sys.executable, *command, "serve", *owner, *options],
            env={**os.environ, "KRITA_DRAG_HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Of the gateway."""
        return self.process.pid

    def ready(self) -> Engine:
        """Wait until clients can connect."""
        wait_for(lambda: self.process.poll() is not None or self._connection(), "the engine")
        assert self.process.poll() is None, self.process.communicate()[1]
        return self

    def working(self) -> Engine:
        """Wait until the worker is there too."""
        self.ready()
        wait_for(lambda: any(line["event"] == "worker ready" for line in self.log()), "the worker")
        return self

    def _connection(self) -> dict[str, Any] | None:
        found = read_connection_file(self.folder)
        return found if found is not None and found["pid"] == self.pid else None

    @property
    def connection(self) -> dict[str, Any]:
        """What connection.json says."""
        return wait_for(self._connection, "connection.json")

    def worker_pid(self) -> int:
        """Of the worker that runs."""

        def last() -> int | None:
            started = [line["worker"] for line in self.log() if line["event"] == "worker started"]
            return started[-1] if started and alive(started[-1]) else None

        return int(wait_for(last, "a worker"))

    def log(self) -> list[dict[str, Any]]:
        """Lines of this life."""
        path = self.folder / "engine.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the last one may be half written
                found.append(json.loads(line))
        return [line for line in found if line["pid"] == self.pid]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of the log with this event."""
        return [line for line in self.log() if line["event"] == name]

    def kill(self) -> None:
        """SIGKILL the gateway."""
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM the gateway; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reap()
        return code

    def _reap(self) -> None:
        self.process.wait(30)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


@contextlib.contextmanager
def running(home: Path, *options: str, **others: Any) -> Iterator[Engine]:
    """Run an engine, and leave none of its processes behind."""
    engine = Engine(home, *options, **others)
    try:
        yield engine.ready()
    finally:
        workers = [line["worker"] for line in engine.log() if line["event"] == "worker started"]
        engine.stop()
        wait_for(lambda: not any(alive(pid) for pid in workers), "the end of the workers")


def let_in(engine: Engine, path: Path, name: str = "guest") -> Path:
    """Make a key and put it on the allow-list, as pairing does; returns its file once the engine knows it."""
    public = load_or_create(path).public
    clients = engine.folder / "keys" / "clients.json"
    listed = json.loads(clients.read_text()) if clients.exists() else {}
    reads = len(engine.events("allow-list read"))
    write_private(clients, json.dumps({**listed, public: name}))
    wait_for(lambda: len(engine.events("allow-list read")) > reads, "the list to be read")
    return path


class Talker:
    """A client without any cleverness of its own, except that it stays alive while it waits.

    Args:
        engine: to talk to.
        key_file: of this client; None for the local user's.
        endpoint: where to connect to instead, such as a proxy.
    """

    def __init__(self, engine: Engine, key_file: Path | None = None, endpoint: str | None = None) -> None:
        self.engine = engine
        self.keys = load_or_create(key_file or engine.home / "keys" / "client.key")
        self._context = zmq.Context()
        self._endpoint = endpoint
        self.heard: list[Message] = []
        self._sids: list[str] = []
        self._pinged = 0.0
        self.connect()

    def connect(self) -> None:
        """Open a connection and greet."""
        connection = self.engine.connection
        socket = self.socket = self._context.socket(zmq.DEALER)
        socket.linger, socket.rcvhwm = 0, 0
        socket.curve_publickey, socket.curve_secretkey = (key.encode() for key in (self.keys.public, self.keys.secret))
        socket.curve_serverkey = connection["server_key"].encode()
        socket.connect(self._endpoint or connection["endpoint"])
        self.say(Hello("test", "1", 1, 1))

    def reconnect(self) -> None:
        """Drop the connection and open a new one."""
        self.socket.close()
        self.connect()

    def say(self, message: Message) -> None:
        """Send, and remember the session for pings."""
        sid = getattr(message, "sid", None)
        if sid is not None and sid not in self._sids:
            self._sids.append(sid)
        self.socket.send_multipart(encode(message))

    def hear(self, wait_s: float = PATIENCE_S, kinds: type | tuple[type, ...] = object, re: str | None = None) -> Any:
        """Return the next message of a kind, about a request; None when there was none in time."""
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            self._ping()
            if not self.socket.poll(min(200, round(left_s * 1000) + 1)):
                continue
            message = decode(self.socket.recv_multipart())
            self.heard.append(message)
            if isinstance(message, kinds) and (re is None or getattr(message, "re", None) == re):
                return message
        return None

    def end_of(self, request: str, wait_s: float = PATIENCE_S, ack: bool = True) -> Any:
        """Wait for the terminal event of a request."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            message = self.hear(until - time.monotonic(), re=request)
            if message is not None and is_terminal(message):
                if ack:
                    self.say(Ack(re=request, sid=message.sid))
                return message
        raise AssertionError(f"no end of {request}; heard {[one.type for one in self.heard[-10:]]}")

    def ask(self, request: Request, wait_s: float = PATIENCE_S, ack: bool = True) -> Any:
        """Send a request and wait for its terminal event."""
        self.say(request)
        return self.end_of(request.id, wait_s, ack)

    def open(self, seed: int = 1, model: str = NAME) -> str:
        """Open a generated picture; returns the session."""
        sid = new_id()
        done = self.ask(Open(id=new_id(), sid=sid, model=model, seed=seed))
        assert done.type == "done", done
        self.say(Credit(sid=sid, n=2))
        return sid

    def press(self, sid: str, seq: int = 0, phase: str = "press", request: str | None = None) -> str:
        """Begin a gesture on an open session, which runs until it is released; returns the request."""
        request = request or new_id()
        far = ((20.0, 20.0, 20.0 + 8 * (seq % 3), 26.0),)
        self.say(Live(id=request, sid=sid, phase=phase, seq=seq, points=far, preview_px=64))
        return request

    def close(self) -> None:
        """Leave without a word."""
        self._context.destroy(linger=0)

    def _ping(self) -> None:
        now = time.monotonic()
        if now - self._pinged > 0.5:
            self._pinged = now
            with contextlib.suppress(zmq.Again):  # whoever is not let in has nowhere to send to
                self.socket.send_multipart(encode(Ping(time=now, sids=tuple(self._sids))), zmq.NOBLOCK)
