"""Test-only plugin: runs Python sent over a local socket inside Krita, on its GUI thread.

One JSON object a line each way: {"code": text, "given": {name: value}} -> {"value": anything} or {"error": traceback}.
An expression's value is the answer; statements answer with their variable `answer`. Names live on from call to call.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import sys
import traceback

from krita import Extension, Krita
from PyQt5.QtCore import QByteArray, QPoint, QPointF, QRect, QTimer
from PyQt5.QtNetwork import QLocalServer

SCOPE = {"__name__": "krita_drag_probe_scope", "Krita": Krita, "k": Krita.instance()}


def encode(value: object) -> object:
    """Turn what JSON does not know into what it knows; bytes become {"base64": text}."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, QByteArray):
        return encode(value.data())
    if isinstance(value, QRect):
        return list(value.getRect())
    if isinstance(value, (QPoint, QPointF)):
        return [value.x(), value.y()]
    return repr(value)


def answer(line: bytes) -> bytes:
    """Run one request."""
    request = json.loads(line)
    SCOPE.update(request["given"], answer=None)
    try:
        try:
            value = eval(compile(request["code"], "<probe>", "eval"), SCOPE)
        except SyntaxError:
            exec(compile(request["code"], "<probe>", "exec"), SCOPE)
            value = SCOPE["answer"]
        reply = {"value": value}
    except Exception:
        reply = {"error": traceback.format_exc()}
    return json.dumps(reply, default=encode).encode("ascii") + b"\n"


class Probe(Extension):
    """Listens on the socket named by KRITA_DRAG_PROBE once Krita's first window is up."""

    def setup(self) -> None:
        """Nothing: there is no window yet."""

    def createActions(self, window: object) -> None:  # noqa: N802
        """Wait for the window; called for each window, the first one counts."""
        if not hasattr(self, "timer"):
            self.server = QLocalServer()
            self.server.newConnection.connect(self.accept)
            self.timer = QTimer()
            self.timer.timeout.connect(self.listen)
            self.timer.start(30)

    def listen(self) -> None:
        """Open the socket as soon as the window, and the document if one was asked for, can be used."""
        window = Krita.instance().activeWindow()
        if not (window and window.qwindow().isVisible()):
            return
        if os.environ.get("KRITA_DRAG_PROBE_DOCUMENT") and not (window.activeView() and window.activeView().document()):
            return
        self.timer.stop()
        if not self.server.listen(os.environ["KRITA_DRAG_PROBE"]):
            print("probe:", self.server.errorString(), file=sys.stderr)

    def accept(self) -> None:
        """Serve the one connection that the tests make."""
        self.connection = self.server.nextPendingConnection()  # kept: else Python collects it, and Qt still calls us
        self.connection.readyRead.connect(self.read)
        self.read()

    def read(self) -> None:
        """Answer what has come in."""
        while self.connection.canReadLine():
            self.connection.write(answer(self.connection.readLine().data()))
            self.connection.flush()


faulthandler.enable()  # a crash leaves Python's side of it in Krita's output
Krita.instance().addExtension(Probe(Krita.instance()))
