"""A bad network: a proxy on loopback that stalls, cuts, slows, delays or refuses connections when told to."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time

_PIECE, _LOOK_S = 65536, 0.01


class Proxy:
    """Listens on a port of 127.0.0.1 and passes bytes on.

    Args:
        target: port that connections are passed on to; may change.

    Attributes:
        port: where it listens.
        stalled: nothing moves, and nobody is told (a black hole, or a half-open connection).
        refusing: new connections are reset.
        delay_s: before each piece is passed on.
        bytes_per_s: speed of each direction; 0 for no limit.
        flip_share: of pieces that arrive with a flipped bit.
        accepted: connections so far.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.stalled = self.refusing = False
        self.delay_s, self.bytes_per_s, self.flip_share = 0.0, 0.0, 0.0
        self.accepted = 0
        self._random = random.Random(0)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, reset: bool = True) -> None:
        """End all connections, with a reset or in order."""
        for pair in list(self._pairs):
            for end in pair:
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)  # its threads close it then

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.refusing:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 1)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._serve, args=((near, far),), daemon=True).start()

    def _serve(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Pass bytes on both ways until one end closes."""
        self._pairs.add(pair)
        back = threading.Thread(target=self._pump, args=(*pair[::-1], pair), daemon=True)
        back.start()
        self._pump(*pair, pair)
        back.join()
        for end in pair:
            end.close()
        self._pairs.discard(pair)

    def _pump(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                while self.stalled:
                    time.sleep(_LOOK_S)
                time.sleep(self.delay_s + (len(piece) / self.bytes_per_s if self.bytes_per_s else 0))
                if self._random.random() < self.flip_share:
                    bent = bytearray(piece)
                    bent[self._random.randrange(len(bent))] ^= 1 << self._random.randrange(8)
                    piece = bytes(bent)
                sink.sendall(piece)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
