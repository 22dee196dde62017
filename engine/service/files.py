"""Small files that are whole or absent, private to the user, and known to be undamaged.

A killed process loses nothing that was written, so nothing here waits for the disk (fsync): only a power cut could
lose what was written last, and waiting costs up to a second on a busy disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("<Q")
_DIGEST_BYTES = 32


class Damaged(ValueError):
    """A file is not what was written."""


def write_private(path: Path, *chunks: bytes) -> None:
    """Write a file that only the user can read, all or nothing.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_sealed(path: Path, parts: Sequence[bytes]) -> None:
    """Write byte strings with a hash over all of them, all or nothing.

    Raises:
        OSError: as `write_private`.
    """
    seal = hashlib.sha256()
    body: list[bytes] = []
    for part in parts:
        body += [_LENGTH.pack(len(part)), part]
    for piece in body:
        seal.update(piece)
    write_private(path, seal.digest(), *body)


def read_sealed(path: Path) -> list[bytes]:
    """Read what `write_sealed` wrote.

    Raises:
        Damaged: the file was changed or cut.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    body = memoryview(content)[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != content[:_DIGEST_BYTES]:
        raise Damaged(f"{path.name} is not what was written")
    parts: list[bytes] = []
    while len(body):
        (length,) = _LENGTH.unpack_from(body)
        parts.append(bytes(body[_LENGTH.size : _LENGTH.size + length]))
        body = body[_LENGTH.size + length :]
    return parts


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object, all or nothing, readable by the user only.

    Raises:
        OSError: as `write_private`.
    """
    write_private(path, json.dumps(content, indent=1).encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """Read an object; None when the file is missing or holds something else."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
