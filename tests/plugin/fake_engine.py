"""A stand-in for the engine behind a real socket with real keys: answers as docs/protocol.md says, without a network.

It draws nothing: a patch is grey, and handles are at their targets at once.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import zmq
from krita_drag.wire import messages as wire
from krita_drag.wire.codec import decode, encode
from zmq.utils import z85

from engine.locks import try_hold


class FakeEngine:
    """Runs on a thread from creation to `stop`.

    Args:
        home: krita-drag's data folder.
        speaks: versions of the protocol.
        paired: whether clients are known; otherwise only the right `code` gets them in.

    Attributes:
        seen: all messages, in order.
        hold: requests of these types get no answer but progress and a preview, until they are cancelled.
        failures: type of request -> what it is answered with.
    """

    def __init__(
        self, home: Path, speaks: tuple[int, int] = wire.SPEAKS, paired: bool = True, code: str = "SESAME"
    ) -> None:
        self.seen: list[Any] = []
        self.hold: set[type] = set()
        self.failures: dict[type, wire.Error] = {}
        self.states = 0
        self._speaks, self._paired, self._code = speaks, paired, code
        self._epoch, self._size = wire.new_id(), (0, 0)
        self._held: dict[str, str] = {}
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        public, secret = zmq.curve_keypair()
        self._router.curve_server, self._router.curve_secretkey = True, secret
        port = self._router.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"drag://127.0.0.1:{port}/{z85.decode(public).hex()}"
        folder = home / "engine"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = try_hold(folder / "lock")
        path = folder / "connection.json"
        path.write_text(json.dumps({"endpoint": f"tcp://127.0.0.1:{port}", "server_key": public.decode(), "pid": 1}))
        path.chmod(0o600)
        self._path = path
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End, as a killed engine does: without a word."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._router.close(0)
        self._context.destroy(0)
        if self._lock is not None:
            self._lock.close()
        self._path.unlink()

    def asked(self, kind: type) -> list[Any]:
        """Return the messages of one type."""
        return [message for message in self.seen if isinstance(message, kind)]

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._router.poll(20):
                continue
            client, *parts = self._router.recv_multipart()
            message = decode(parts)
            self.seen.append(message)
            for answer in self._answers(message):
                self._router.send_multipart([client, *encode(answer)])

    def _answers(self, message: Any) -> list[Any]:
        if isinstance(message, wire.Hello):
            if message.proto_max < self._speaks[0]:
                first, last = self._speaks
                sentence = f"This client speaks versions 1 to 1 of the protocol, the engine {first} to {last}."
                hint = "Run install.py again: it brings both sides to the same release."
                return [wire.Error(code="version-mismatch", message=sentence, hint=hint, speaks=self._speaks)]
            device = wire.Device("Fake device", 0, 0)
            return [wire.Welcome(self._epoch, "9.9", wire.VERSION, devices=(device,))]
        if isinstance(message, wire.Ping):
            return [wire.Pong(message.time, self._epoch)]
        if isinstance(message, wire.Pair):
            if message.code != self._code:
                return [wire.Error(code="pairing-failed", message="Wrong code.", re=message.id)]
            self._paired = True
            return [wire.Paired(message.id, message.name)]
        if isinstance(message, wire.Cancel):
            sid = self._held.pop(message.re, None)
            return [wire.Cancelled(message.re, sid=sid, **self._state())] if sid else []
        if isinstance(message, wire.Request):
            return self._to_request(message)
        return []

    def _to_request(self, message: Any) -> list[Any]:
        if not self._paired:
            return [wire.Error(code="not-paired", message="Not paired.", re=message.id)]
        failure = self.failures.pop(type(message), None)
        if failure is not None:
            return [wire.Error(code=failure.code, message=failure.message, hint=failure.hint, re=message.id)]
        common = {"re": message.id, "sid": getattr(message, "sid", None)}
        if isinstance(message, wire.Live) and message.phase != "release":
            return [wire.Accepted(**common), self._preview(message)]
        if type(message) in self.hold:
            self._held[message.id] = message.sid
            return [wire.Accepted(**common), self._progress(message), self._preview(message)]
        return [wire.Accepted(**common), self._done(message, common)]

    def _done(self, message: Any, common: dict) -> wire.Done:
        if isinstance(message, wire.ListModels):
            entry = wire.ModelEntry("faces", "Faces", 1024, installed=True)
            return wire.Done(**common, models=(entry, wire.ModelEntry("cats", "Cats", 256, installed=False)))
        if isinstance(message, wire.Open):
            if message.image is None:
                picture = wire.Frame("u1", (4, 6, 4), bytes((10, 20, 30, 255)) * 24)
                self._size, self.states = (6, 4), 0
                return wire.Done(**common, size=self._size, picture=picture, corners=((0, 0), (6, 0), (6, 4), (0, 4)))
            self._size, self.states = message.image.shape[:2][::-1], 0
            return wire.Done(**common, size=self._size)
        if isinstance(message, wire.Restore):
            self._size, self.states = (64, 48), 1
            return wire.Done(**common, size=self._size, **self._state())
        if isinstance(message, wire.Invert):
            w, h = self._size
            return wire.Done(**common, corners=((0, 0), (w, 0), (w, h), (0, h)))
        if isinstance(message, wire.Drag | wire.Live):
            self.states += 1
            handles = tuple((x, y) for _, _, x, y in message.points)
            return wire.Done(**common, reason="landed", handles=handles, **self._state())
        if isinstance(message, wire.Undo):
            self.states -= 1
        if isinstance(message, wire.Save):
            return wire.Done(**common, session=wire.Frame("u1", (4,), b"file"))
        return wire.Done(**common, **self._state())

    def _state(self) -> dict[str, Any]:
        if not self.states or self._size == (0, 0):
            return {"undos": self.states, "redos": 0}
        frame = wire.Frame("u1", (6, 8, 4), bytes((10, 20, 30, 128)) * 48)
        return {"undos": self.states, "redos": 0, "rect": (2, 3, 8, 6), "patch": frame}

    def _progress(self, message: Any) -> wire.Progress:
        phase = "projecting" if isinstance(message, wire.Invert) else "dragging"
        return wire.Progress(message.id, 1, phase, sid=message.sid, step=1, of=10)

    def _preview(self, message: Any) -> wire.Preview:
        frame = wire.Frame("u1", (3, 4, 4), bytes((200, 100, 50, 255)) * 12)
        return wire.Preview(message.id, message.sid, 1, rect=(2, 3, 8, 6), patch=frame)
