"""Ask the engine of this machine how it is, through its socket, as any client would."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import zmq
from krita_drag.engine_files import is_held, read_connection_file
from krita_drag.keys import load_or_create
from krita_drag.places import client_key_path
from krita_drag.wire.codec import decode, encode
from krita_drag.wire.errors import NotPaired, NotRunning, ProtocolError
from krita_drag.wire.messages import SPEAKS, AskStatus, Done, Hello, Status, new_id

from engine import __version__

_WAIT_S = 5.0


def ask_status(folder: Path, wait_s: float = _WAIT_S) -> Status:
    """Return how the engine of a folder is.

    Args:
        folder: of the engine.
        wait_s: longest time to wait for its answer, seconds.

    Raises:
        NotRunning: no engine uses the folder, or it does not answer.
        NotPaired: it does not know this user's key.
        UnsafeKeyFile, PermissionDenied, NoDiskSpace: this user's key cannot be used.
    """
    connection = read_connection_file(folder)
    if connection is None or not is_held(folder):
        raise NotRunning(f"No engine runs on the folder {folder}.", "Start one with `krita-drag serve`.")
    keys = load_or_create(client_key_path())
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.linger, socket.rcvhwm = 0, 0
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
        socket.curve_serverkey = connection["server_key"].encode()
        socket.connect(connection["endpoint"])
        return _converse(socket, time.monotonic() + wait_s)
    finally:
        socket.close()
        context.term()


def _converse(socket: zmq.Socket[bytes], until: float) -> Status:
    request = AskStatus(id=new_id())
    socket.send_multipart(encode(Hello("krita-drag", __version__, *SPEAKS)))
    socket.send_multipart(encode(request))
    while (left_s := until - time.monotonic()) > 0:
        if not socket.poll(round(left_s * 1000)):
            continue
        with contextlib.suppress(ProtocolError):
            message = decode(socket.recv_multipart())
            if isinstance(message, Done) and message.re == request.id and message.status is not None:
                return message.status
            if getattr(message, "code", "") == NotPaired.code:
                raise NotPaired("The engine does not know this user's key.", "Pair it: `krita-drag pair`.")
    raise NotRunning("The engine does not answer.", "Look at engine.log in its folder; end it and start it again.")
