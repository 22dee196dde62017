"""`krita-drag pair`: show a one-time code beside an engine, or use one on another computer."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from krita_drag.client import StateChanged
from krita_drag.connection import Connection, parse_address, read_connection
from krita_drag.places import engine_dir
from krita_drag.wire.errors import BadOption
from krita_drag.wire.messages import Accepted, Cancelled, Invite, Pair, new_id

from engine.arguments import STOPPED
from engine.pairing import WINDOW_S, new_code
from engine.progress import stop_on_interrupt
from engine.remote import RemoteEngine

_LOOPBACK = ("127.", "[::1]", "localhost")
_LONGEST_NAME = 64


def run(options: argparse.Namespace) -> int:
    """Invite, or pair; returns 0, or 130 when Ctrl-C took the invitation back."""
    if options.address:
        return _join(options.address, options.name or socket.gethostname())
    return _invite(options.folder or engine_dir())


def _join(address: str, name: str) -> int:
    connection, code = parse_address(address)
    if not code:
        raise BadOption("The address has no code.", "Copy all that `krita-drag pair` shows, #CODE included.")
    with RemoteEngine(lambda: connection) as engine:
        paired = engine.ask(Pair(new_id(), code, name[:_LONGEST_NAME]))
    print(f"paired as “{paired.name}”; the engine's address is\n{connection.address}")
    return 0


def _invite(folder: Path) -> int:
    connection = read_connection(folder)
    request = Invite(new_id(), new_code(), WINDOW_S)
    address = f"{_seen_from_outside(folder, connection).address}#{request.code}"

    def show(event: object) -> None:
        if isinstance(event, Accepted):
            print(f"On the other computer, within {WINDOW_S / 60:.0f} minutes: krita-drag pair '{address}'", flush=True)
            if address.split("//")[1].startswith(_LOOPBACK):
                print("note: this engine listens on this computer only; see `serve --bind`.", file=sys.stderr)
        elif isinstance(event, StateChanged) and event.reason is not None:
            print(event.reason, file=sys.stderr)

    with stop_on_interrupt() as stop, RemoteEngine(lambda: read_connection(folder)) as engine:
        end = engine.ask(request, show, lambda: not stop.wanted)
    if isinstance(end, Cancelled):
        print("stopped: the code is not good any more.", file=sys.stderr)
        return STOPPED
    print("\n".join(end.notes))
    return 0


def _seen_from_outside(folder: Path, connection: Connection) -> Connection:
    """Put an address of this machine in the place of “all of them”."""
    bound = read_connection(folder, as_bound=True)
    if bound == connection:
        return connection
    port = connection.endpoint.rpartition(":")[2]
    return Connection(f"tcp://{_own_address()}:{port}", connection.server_key)


def _own_address() -> str:
    """Return the address that other machines of the network see, or this machine's name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the way out
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
