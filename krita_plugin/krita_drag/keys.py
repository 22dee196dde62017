"""Key pairs of CURVE in files that only their owner can read."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import stat
from pathlib import Path

import zmq

from .wire.errors import KritaDragError, NoDiskSpace, PermissionDenied, UnsafeKeyFile

_OTHERS = 0o077
_BINARY = getattr(os, "O_BINARY", 0)  # Windows
# a pipe in the file's place must not stop us until somebody writes to it
_READ = os.O_RDONLY | _BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_WRONLY | _BINARY | os.O_CREAT | os.O_EXCL
_MOST_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """A key pair in Z85, 40 characters each.

    Attributes:
        public: what the other side knows us by.
        secret: what nobody else may know.
    """

    public: str
    secret: str = dataclasses.field(repr=False)


def load_or_create(path: Path) -> KeyPair:
    """Return the key pair of a file, made on first use.

    Raises:
        UnsafeKeyFile: others can read the file, or it does not hold a key.
        PermissionDenied, NoDiskSpace: it cannot be written or read.
    """
    if not path.exists():
        public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            write_private(path, json.dumps({"public": public, "secret": secret}), replace=False)
    return load(path)


def load(path: Path) -> KeyPair:
    """Return the key pair of a file.

    Raises:
        UnsafeKeyFile: others can read the file, or it does not hold a key.
        PermissionDenied: it cannot be read.
    """
    try:
        held = json.loads(read_private(path))
        pair = KeyPair(held["public"], held["secret"])
        if zmq.curve_public(pair.secret.encode("ascii")).decode("ascii") != pair.public:
            raise ValueError("the halves do not belong together")
    except (ValueError, KeyError, TypeError, AttributeError, zmq.ZMQError):
        raise UnsafeKeyFile(f"{path} does not hold a key.", "Delete it; a new key is made then.") from None
    return pair


def read_private(path: Path) -> str:
    """Return the text of a file that only its owner can read.

    Raises:
        UnsafeKeyFile: others can read it, it belongs to somebody else, or it is no file.
        PermissionDenied: it cannot be read.
    """
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise _told(path, error) from error


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that only its owner can read, all or nothing; its folder is made if need be.

    Args:
        path: the file.
        text: what goes in.
        replace: whether a file that is there gives way.

    Raises:
        FileExistsError: it is there and must not give way.
        PermissionDenied, NoDiskSpace: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, _CREATE, 0o600), "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            elif os.name == "nt":
                temporary.rename(path)  # refuses there to replace a file
            else:
                os.link(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except FileExistsError:
        raise
    except OSError as error:
        raise _told(path, error) from error


def _check_owner(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeKeyFile(f"{path} is not a file.", "Remove it; a new key is made then.")
    if os.name == "nt":
        return  # the rights of a user's folder there are not in the mode
    if status.st_uid != os.getuid():
        raise UnsafeKeyFile(f"{path} belongs to another user.", "Remove it; a new key is made then.")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise UnsafeKeyFile(f"{path} can be read by others (mode {mode:o}).", f"Run: chmod 600 {path}")


def _told(path: Path, error: OSError) -> KritaDragError:
    if error.errno == errno.ELOOP:
        return UnsafeKeyFile(f"{path} is a link.", "Remove it; a new key is made then.")
    if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return NoDiskSpace(f"The disk is full at {path}.", "Free some space, then try again.")
    return PermissionDenied(
        f"{path} cannot be used ({error.strerror or error}).", "Allow your user to read and write there."
    )
