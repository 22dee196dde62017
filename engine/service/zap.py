"""Who may connect (ZeroMQ RFC 27): every handshake of the engine's socket asks here.

The gateway answers in its own loop, so there is no thread that could die and leave the door open; and with
ZAP_ENFORCE_DOMAIN set on the socket, no answer means no entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import zmq
from zmq.utils import z85

_ENDPOINT = "inproc://zeromq.zap.01"  # fixed by the RFC


class Doorkeeper:
    """Answers handshakes.

    Args:
        context: that of the sockets it guards; one doorkeeper for each context.
        admits: for each domain, whether a client's public key (Z85 text, 40 characters) may come in.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], admits: Mapping[bytes, Callable[[str], bool]]) -> None:
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)
        self._admits = dict(admits)

    def answer(self) -> None:
        """Answer what has come in; to be called when `socket` is readable."""
        while self.socket.poll(0):
            request = self.socket.recv_multipart()
            self.socket.send_multipart(self._reply(request))

    def close(self) -> None:
        """Stop answering: nobody comes in any more."""
        self.socket.close()

    def _reply(self, request: list[bytes]) -> list[bytes]:
        # request: version, id, domain, address, routing id, mechanism, then the key in 32 raw bytes
        version, number = [*request, b"1.0", b""][:2]
        if len(request) == 7 and version == b"1.0" and request[2] in self._admits and request[5] == b"CURVE":
            key = z85.encode(request[6]).decode("ascii") if len(request[6]) == 32 else ""
            if key and self._admits[request[2]](key):
                return [b"1.0", number, b"200", b"OK", key.encode("ascii"), b""]
        return [b"1.0", number, b"400", b"no entry", b"", b""]
