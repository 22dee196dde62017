"""The engine's only network port: who comes in has a known key, and what goes out never waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq
from krita_drag.keys import KeyPair
from krita_drag.wire.codec import MAX_SEALED
from krita_drag.wire.errors import AddressInUse

if TYPE_CHECKING:
    from krita_drag.wire.fields import Buffer

DOMAIN = b"engine"
LINGER_MS, HANDSHAKE_MS = 500, 2000
_BACKLOG, _WAITING_PER_CLIENT = 64, 64


class Gone(Exception):
    """A client is not connected any more."""


@dataclass(frozen=True)
class Incoming:
    """A message as it came.

    Attributes:
        route: where answers go; changes with every connection.
        key: public key of the client, proven by the handshake.
        parts: header and frames.
    """

    route: bytes
    key: str
    parts: list[bytes]


class Front:
    """The ROUTER socket that clients connect to.

    It has no heartbeats of ZeroMQ's own and no limit on what it holds for reading: libzmq 4.3.5 aborts the process
    when a heartbeat meets a full pipe. Pings of the protocol and credit do their work.

    Args:
        context: of the gateway.
        keys: of the engine.
        address: "HOST:PORT", or a host, which gets a port that is free.

    Raises:
        AddressInUse: it cannot listen there.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyPair, address: str) -> None:
        socket = self.socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_SEALED)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.BACKLOG, _BACKLOG)
        socket.rcvhwm, socket.sndhwm, socket.linger = 0, _WAITING_PER_CLIENT, LINGER_MS
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = (key.encode("ascii") for key in (keys.public, keys.secret))
        socket.zap_domain = DOMAIN
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without it, no doorkeeper means that everybody comes in
        if ":" in address:
            socket.setsockopt(zmq.IPV6, int(address.startswith("[")))
        try:
            socket.bind(f"tcp://{address}" if _has_port(address) else f"tcp://{address}:*")
        except zmq.ZMQError as error:
            socket.close(0)
            raise AddressInUse(
                f"The engine cannot listen on {address} ({error.strerror or error}).",
                "Stop what uses that port, or give another address of this machine with --bind HOST:PORT.",
            ) from error

    @property
    def endpoint(self) -> str:
        """Where clients connect to, as ZeroMQ writes it."""
        return str(self.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def receive(self) -> Incoming | None:
        """Return the next message, or None when there is none."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        try:
            key = frames[-1].get("User-Id")
        except zmq.ZMQError:  # cannot be: the handshake was refused without it
            key = ""
        return Incoming(frames[0].bytes, str(key), [frame.bytes for frame in frames[1:]])

    def send(self, route: bytes, parts: Sequence[Buffer]) -> bool:
        """Send, unless the client takes nothing now.

        Returns:
            Whether it is on its way.

        Raises:
            Gone: nobody is at that route any more.
        """
        try:
            self.socket.send_multipart([route, *parts], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise Gone from error
            raise
        return True

    def close(self) -> None:
        """Leave the port; what was sent last has half a second to go out."""
        self.socket.close(LINGER_MS)


def _has_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and (port.isdigit() or port == "*") and (":" not in host or host.endswith("]"))
