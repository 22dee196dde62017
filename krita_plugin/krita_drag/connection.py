"""How to reach an engine: from the file that a local one writes, or from an address that a person gives."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from zmq.utils import z85

from .engine_files import is_held
from .keys import read_private
from .wire.errors import BadOption, NotRunning, UnsafeKeyFile

SCHEME = "drag"
_HOST = r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)"
_ADDRESS = re.compile(
    rf"{SCHEME}://{_HOST}:(?P<port>[0-9]{{1,5}})/(?P<key>[0-9a-fA-F]{{64}})(#(?P<code>[A-Za-z0-9]+))?\Z"
)
_ENDPOINT = re.compile(rf"tcp://{_HOST}:[0-9]{{1,5}}\Z")
_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}\Z")
_FORM = f"{SCHEME}://HOST:PORT/KEY"


@dataclasses.dataclass(frozen=True)
class Connection:
    """An engine's front door.

    Attributes:
        endpoint: as ZeroMQ writes it, tcp://HOST:PORT.
        server_key: public key of the engine, Z85.
    """

    endpoint: str
    server_key: str

    def __post_init__(self) -> None:
        if not _ENDPOINT.match(self.endpoint) or not _Z85.match(self.server_key):
            raise ValueError(f"{self.endpoint} and its key are no front door")

    @property
    def address(self) -> str:
        """The same for a person to copy."""
        host_and_port = self.endpoint.split("//", 1)[1]
        return f"{SCHEME}://{host_and_port}/{z85.decode(self.server_key).hex()}"


def parse_address(text: str) -> tuple[Connection, str]:
    """Read an address, with or without a pairing code.

    Returns:
        The connection, and the code or an empty text.

    Raises:
        BadOption: the text has another form.
    """
    found = _ADDRESS.match(text.strip())
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise BadOption(
            "What was given is not the address of an engine.",  # not quoted: it may hold a code, and is copied along
            f"It has the form {_FORM}, and `krita-drag pair` shows it on the engine's machine.",
        )
    key = z85.encode(bytes.fromhex(found["key"])).decode("ascii")
    return Connection(f"tcp://{found['host']}:{int(found['port'])}", key), found["code"] or ""


def read_connection(folder: Path, *, as_bound: bool = False) -> Connection:
    """Return how to reach the engine that runs on a folder.

    Args:
        folder: of the engine.
        as_bound: whether to keep an address that stands for all of this machine, as 0.0.0.0 does.

    Raises:
        NotRunning: none does, or it has not begun to listen yet.
        UnsafeKeyFile: others could have written the file.
    """
    path = folder / "connection.json"
    if not path.exists() or not is_held(folder):
        raise NotRunning("The engine does not run.", "Start it: `krita-drag serve`, or Retry in Krita.")
    try:
        held = json.loads(read_private(path))
        endpoint = held["endpoint"]
        return Connection(held.get("bound", endpoint) if as_bound else endpoint, held["server_key"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnsafeKeyFile(f"{path} is damaged.", "Restart the engine.") from None
