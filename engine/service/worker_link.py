"""The gateway's end of the worker: a socket, a process, and what to do when the process dies.

Both ways, a message is an envelope (a JSON object) and then the frames of a message of the protocol, if any:

    to the worker     {"do": "request", "sid", "id"} + frames    {"do": "cancel", "sid", "id"}
                      {"do": "previews", "sid", "wanted"}        {"do": "suspend" | "forget", "sid"}    {"do": "stop"}
    from the worker   {"say": "ready", "pid", "devices"}         {"say": "unable", "pid", "trouble"}
                      {"say": "beat", "step_ms", "free_mb", "devices"}
                      {"say": "event", "sid", "id", "kind"} + frames
                      {"say": "answer", "sid", "id", "kept", "end"} + frames
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import zmq

_log = logging.getLogger(__name__)

RESTART_AFTER_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
FAILURES_WITHIN_S, GIVE_UP_AFTER = 60.0, 5
STOP_S = 5.0
DOMAIN = b"worker"
_LONGEST_IPC_PATH = 100  # the system's limit is about 104 characters
_LONGEST_COMPLAINTS = 1_000_000

Envelope = dict[str, Any]


class WorkerLink:
    """Keeps one worker process running and carries messages to and from it.

    Args:
        context: of the gateway.
        folder: the engine's folder; held by this process.
        settings: what the worker is told when it starts; JSON.
        use_ipc: whether to meet at a path only the user can reach; else over loopback with keys made for this life.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        folder: Path,
        settings: dict[str, Any],
        use_ipc: bool = bool(zmq.has("ipc")),
    ) -> None:
        self._folder, self._settings = folder, dict(settings)
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.rcvhwm = self.socket.sndhwm = 0
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._scratch: str | None = None
        self._expected: str | None = None
        self._bind(use_ipc)
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: bytes | None = None
        self._failures: deque[float] = deque(maxlen=16)
        self._start_at = 0.0

    def admits(self, key: str) -> bool:
        """Return whether a public key is that of this life's workers; only asked where there is no ipc."""
        return key == self._expected

    @property
    def pid(self) -> int | None:
        """Process id of the worker that runs, if one does."""
        return self._process.pid if self._process is not None else None

    @property
    def hopeless(self) -> bool:
        """Whether it died so often lately that requests should not wait for it."""
        since = time.monotonic() - FAILURES_WITHIN_S
        return sum(moment > since for moment in self._failures) >= GIVE_UP_AFTER

    def send(self, envelope: Envelope, frames: Sequence[bytes] = ()) -> bool:
        """Send, if the worker is ready; what it missed is sent again when it reports."""
        if self._identity is None:
            return False
        try:
            self.socket.send_multipart([self._identity, json.dumps(envelope).encode(), *frames], zmq.NOBLOCK)
        except zmq.ZMQError as error:  # it died this moment; `tick` will notice
            _log.info("worker unreachable", extra={"errno": error.errno})
            self._identity = None
            return False
        return True

    def receive(self) -> tuple[Envelope, list[bytes]] | None:
        """Return the next message of the present worker, or None when there is none."""
        while True:
            try:
                identity, head, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            envelope = json.loads(head)
            if envelope["say"] in ("ready", "unable"):
                if envelope["pid"] != self.pid:  # one that was already replaced
                    continue
                self._identity = identity
            if identity == self._identity:
                return envelope, frames

    def tick(self) -> bool:
        """Start the worker when it does not run and its turn has come; returns whether it has died since last time."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
            return False
        code = self._process.poll()
        if code is None:
            return False
        self._identity, self._process = None, None
        now = time.monotonic()
        self._failures.append(now)
        recent = sum(moment > now - FAILURES_WITHIN_S for moment in self._failures)
        delay = RESTART_AFTER_S[min(recent, len(RESTART_AFTER_S)) - 1]
        self._start_at = now + delay
        _log.error("worker died", extra={"exit": code, "restart_in_s": delay, "said": self._last_words()})
        return True

    def blamed(self) -> str | None:
        """Return the id of the request that the worker was working on when it was last seen alive."""
        try:
            text = (self._folder / "worker.now").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return text or None

    def stop(self) -> None:
        """End the worker: ask, then insist, then force; at most `STOP_S` seconds."""
        process = self._process
        if process is not None:
            asked = self.send({"do": "stop"})
            for wait_s, insist in ((STOP_S / 2, process.terminate), (STOP_S / 2, process.kill)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(wait_s if asked else 0.1)
                    break
                insist()
            process.wait()
        self.socket.close()
        for left in self._folder.glob("worker-*.sock"):
            left.unlink(missing_ok=True)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _bind(self, use_ipc: bool) -> None:
        path = self._ipc_path() if use_ipc else None
        if path is not None:
            self.socket.bind(f"ipc://{path}")
        else:
            public, secret = zmq.curve_keypair()
            client_public, client_secret = zmq.curve_keypair()
            self.socket.curve_server = True
            self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
            self.socket.zap_domain = DOMAIN
            self.socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
            self._expected = client_public.decode("ascii")
            self._settings["curve"] = [key.decode("ascii") for key in (client_public, client_secret, public)]
            self.socket.bind("tcp://127.0.0.1:*")
        self._settings["endpoint"] = str(self.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def _ipc_path(self) -> Path | None:
        """Where to meet, in a folder only the user can reach; None where every such path is too long for a socket."""
        # a new path in each life: a worker of the last life, dying slowly, must not find this one
        name = f"worker-{uuid.uuid4().hex[:8]}.sock"
        if len(os.fsencode(self._folder / name)) <= _LONGEST_IPC_PATH:
            return self._folder / name
        if len(os.fsencode(Path(tempfile.gettempdir()) / "krita-drag-12345678" / name)) > _LONGEST_IPC_PATH:
            return None
        self._scratch = tempfile.mkdtemp(prefix="krita-drag-")  # 0700
        return Path(self._scratch) / name

    def _start(self) -> None:
        settings = {**self._settings, "folder": str(self._folder), "parent": os.getpid()}
        with contextlib.suppress(OSError):
            (self._folder / "worker.now").unlink()
        with self._complaints() as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # or Windows opens a console
                start_new_session=True,  # Ctrl-C on the terminal is for the gateway, which then stops it in order
            )
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            pipe.write(json.dumps(settings).encode())
        _log.info("worker started", extra={"worker": self._process.pid})

    def _complaints(self) -> IO[bytes]:
        """Open the file that takes what the worker's libraries print when they die."""
        path = self._folder / "worker.err"
        try:
            if path.exists() and path.stat().st_size > _LONGEST_COMPLAINTS:
                path.unlink()
            return path.open("ab")
        except OSError:
            return Path(os.devnull).open("wb")

    def _last_words(self) -> str:
        try:
            return (self._folder / "worker.err").read_bytes()[-500:].decode("utf-8", "replace")
        except OSError:
            return ""
