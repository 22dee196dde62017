"""Download one file of known content: resumed, checked, and never left half done under its final name."""

from __future__ import annotations

import hashlib
import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from krita_drag.wire.errors import HashMismatch, NetworkBlocked

from engine.paths import storage_errors

BLOCK_BYTES = 1 << 18
PERMANENT_STATUS = {400, 401, 403, 404, 405, 407, 410, 451}
NETWORK_HINT = "Check the network and the proxy settings, then try again: what has arrived is kept."

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


@dataclass(frozen=True)
class Remote:
    """A file somewhere, and what it must be.

    Attributes:
        url: http or https address.
        sha256: hash of the content, hexadecimal; empty where nobody knows it.
        size_bytes: length of the content.
        version: what the server calls this version of the file; may be empty.
    """

    url: str
    sha256: str
    size_bytes: int
    version: str = ""

    @property
    def host(self) -> str:
        """Name of the server, fit for messages: without user name, password or path."""
        return urllib.parse.urlsplit(self.url).hostname or "the given address"


class _Interrupted(Exception):
    """The transfer broke off in a way that another try may mend."""


def sha256_of(path: Path) -> str:
    """Hash a file, hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def probe(url: str, *, attempts: int = 5, timeout_s: float = 30.0, pause_s: float = 1.0) -> Remote:
    """Ask a server for the length and version of a file whose hash nobody published.

    Args:
        url: http or https address.
        attempts, timeout_s, pause_s: as for `download`.

    Raises:
        NetworkBlocked: the server cannot be reached, refuses, or does not say how long the file is.
    """
    remote = Remote(url, "", 0)
    for failures in range(1, attempts + 1):
        try:
            return _ask(remote, timeout_s)
        except _Interrupted as error:
            if failures == attempts:
                raise NetworkBlocked(f"{remote.host} does not answer ({error}).", NETWORK_HINT) from error
            time.sleep(pause_s * 2 ** (failures - 1))
    raise AssertionError("the last attempt returns or raises")


def _ask(remote: Remote, timeout_s: float) -> Remote:
    headers = {"Accept-Encoding": "identity", "User-Agent": "krita-drag", "Range": "bytes=0-0"}
    try:
        with _open(remote.url, headers, timeout_s) as reply:
            found = reply.headers
    except urllib.error.HTTPError as error:
        _refused(remote, error, None)
    except urllib.error.URLError as error:
        _unreachable(remote, error)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error
    length = found.get("Content-Range", "").rpartition("/")[2] or found.get("Content-Length", "")
    if not length.isdigit() or int(length) == 0:
        raise NetworkBlocked(f"{remote.host} does not say how long the file is.", NETWORK_HINT)
    return Remote(remote.url, "", int(length), found.get("ETag") or found.get("Last-Modified") or "")


def download(
    remote: Remote,
    destination: Path,
    on_progress: Progress | None = None,
    *,
    attempts: int = 5,
    timeout_s: float = 30.0,
    pause_s: float = 1.0,
) -> None:
    """Fetch `remote` to `destination`, going on where an earlier call was interrupted.

    The bytes collect in a file beside the destination with ".part" added to its name; it stays after an
    interruption and is deleted when its content proves wrong. Proxies come from the environment or the system.

    Args:
        remote: what to fetch.
        destination: final place; its folder must exist.
        on_progress: told after every block.
        attempts: how many tries in a row may bring nothing new.
        timeout_s: silence after which a try is given up, seconds.
        pause_s: wait before the second try, seconds; doubled before each further one.

    Raises:
        NetworkBlocked: the server cannot be reached, refuses, or keeps breaking off.
        HashMismatch: what the server sends is not that file.
        NoDiskSpace, PermissionDenied: it cannot be stored.
    """
    part = destination.with_name(destination.name + ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _transfer(remote, part, on_progress, timeout_s)
            break
        except _Interrupted as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= attempts:
                raise NetworkBlocked(
                    f"The download from {remote.host} did not come through ({error}).", NETWORK_HINT
                ) from error
            time.sleep(pause_s * 2 ** (failures - 1))
    with storage_errors(part):
        if remote.sha256 and sha256_of(part) != remote.sha256:
            _reject(remote, part, "its SHA-256 differs")
        part.replace(destination)


def _transfer(remote: Remote, part: Path, on_progress: Progress | None, timeout_s: float) -> None:
    """Bring `part` to its full length with one request."""
    have = _size(part)
    if have > remote.size_bytes:
        _discard(part)
        have = 0
    if have == remote.size_bytes:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "krita-drag"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with _open(remote.url, headers, timeout_s) as reply:
            have = _resume_offset(remote, reply, part, have)
            _store(remote, reply, part, have, on_progress)
    except urllib.error.HTTPError as error:
        _refused(remote, error, part)
    except urllib.error.URLError as error:
        _unreachable(remote, error)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _open(url: str, headers: dict[str, str], timeout_s: float) -> http.client.HTTPResponse:
    # not urlopen, which remembers the proxies of its first use
    opener = urllib.request.build_opener()
    reply: http.client.HTTPResponse = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    return reply


def _resume_offset(remote: Remote, reply: http.client.HTTPResponse, part: Path, have: int) -> int:
    """Where the body of this reply belongs in the file; refuses bodies that cannot be the file."""
    if reply.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            _discard(part)
            raise _Interrupted("the server continued in the wrong place")
        return have
    length = reply.headers.get("Content-Length", "")
    if length.isdigit() and int(length) != remote.size_bytes:
        _reject(remote, part, f"{length} bytes instead of {remote.size_bytes}")
    return 0


def _store(
    remote: Remote, reply: http.client.HTTPResponse, part: Path, have: int, on_progress: Progress | None
) -> None:
    """Write the body at offset `have`, never past the expected length."""
    with storage_errors(part), part.open("r+b" if have else "wb") as file:
        file.seek(have)
        while block := _read(reply):
            have += len(block)
            if have > remote.size_bytes:
                file.close()  # Windows deletes only closed files
                _reject(remote, part, f"more than {remote.size_bytes} bytes")
            file.write(block)
            if on_progress is not None:
                on_progress(have, remote.size_bytes)
    if have < remote.size_bytes:
        raise _Interrupted(f"the connection ended after {have} of {remote.size_bytes} bytes")


def _read(reply: http.client.HTTPResponse) -> bytes:
    """The next block; network trouble is told apart from trouble with the disk here."""
    try:
        return reply.read(BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _refused(remote: Remote, error: urllib.error.HTTPError, part: Path | None) -> NoReturn:
    """The server answered with an error status."""
    status, reason = error.code, error.reason
    error.close()
    if status == 416 and part is not None:  # our part is not a beginning of what the server has
        _discard(part)
    if status in PERMANENT_STATUS:
        raise NetworkBlocked(f"{remote.host} refused the download ({status} {reason}).", NETWORK_HINT) from error
    raise _Interrupted(f"the server answered {status} {reason}") from error


def _unreachable(remote: Remote, error: urllib.error.URLError) -> NoReturn:
    """No answer at all."""
    reason = error.reason
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise NetworkBlocked(
            f"The certificate of {remote.host} is not trusted here ({reason.verify_message}).",
            "Set SSL_CERT_FILE to the certificates of your network, then try again.",
        ) from error
    raise _Interrupted(getattr(reason, "strerror", None) or str(reason)) from error


def _reject(remote: Remote, part: Path, difference: str) -> NoReturn:
    """Give up on wrong content and forget it, so that the next call starts afresh."""
    _discard(part)
    raise HashMismatch(
        f"What {remote.host} sent is not the expected file ({difference}).",
        "Something between here and the server changes downloads (a login page, a filter): "
        "try again on another network.",
    )


def _discard(part: Path) -> None:
    with storage_errors(part):
        part.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
