"""Get one wheel through the user's own package index, without installing it or what it depends on.

pip knows the configured index, mirrors, credentials and certificates, so pip says where the wheel lies; the download
itself is ours, because pip cannot resume. Where that does not work (an old pip, an index with a password), pip
downloads. Without any network, a folder named by KRITA_DRAG_WHEELS is enough.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from krita_drag.wire.errors import HashMismatch, NetworkBlocked, NoDiskSpace

from engine.download import Remote, download, sha256_of
from engine.paths import storage_errors

WHEELS_VARIABLE = "KRITA_DRAG_WHEELS"
Progress = Callable[[str, int, int], None]  # stage, bytes done, bytes in all


@dataclass(frozen=True)
class Wheel:
    """One file of a package index, pinned.

    Attributes:
        project, version: what pip calls it.
        filename: of the wheel.
        sha256: of the wheel, hexadecimal.
        size_bytes: of the wheel.
    """

    project: str
    version: str
    filename: str
    sha256: str
    size_bytes: int

    @property
    def requirement(self) -> str:
        """As a requirement on pip's command line."""
        return f"{self.project}=={self.version}"


def obtain(wheel: Wheel, folder: Path, on_progress: Progress | None = None) -> Path:
    """Return a file with the content of `wheel`: one that is on this machine, or else a download into `folder`.

    Raises:
        NetworkBlocked: there is no way to it.
        HashMismatch: there is a file of that name with another content.
        NoDiskSpace, PermissionDenied: it cannot be stored.
    """
    report = on_progress or (lambda stage, done, total: None)
    given = os.environ.get(WHEELS_VARIABLE)
    if given and (local := Path(given).expanduser() / wheel.filename).is_file():
        return _checked(wheel, local)
    destination = folder / wheel.filename
    with storage_errors(folder):
        if destination.is_file() and sha256_of(destination) == wheel.sha256:
            return destination
    report("asking the package index", 0, wheel.size_bytes)
    url = _locate(wheel, folder)
    if url is not None and url.startswith("file:"):
        return _checked(wheel, Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)))
    if url is not None:
        try:
            remote = Remote(url, wheel.sha256, wheel.size_bytes)
            download(remote, destination, lambda done, total: report("downloading", done, total))
            return destination
        except NetworkBlocked:
            report("downloading with pip", 0, wheel.size_bytes)
    _pip_download(wheel, destination)
    return _checked(wheel, destination)


def _locate(wheel: Wheel, folder: Path) -> str | None:
    """Ask pip for the address of the wheel; None where pip is too old to tell or finds nothing."""
    arguments = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    result = _pip([*arguments, *_SELECTION, wheel.requirement], folder)
    if result.returncode:
        return None
    try:
        url: str = json.loads(result.stdout)["install"][0]["download_info"]["url"]
    except (ValueError, LookupError, TypeError):
        return None
    scheme, _, _ = url.partition(":")
    return url if scheme in {"http", "https", "file"} else None


def _pip_download(wheel: Wheel, destination: Path) -> None:
    """Let pip put the wheel into the destination's folder."""
    folder = destination.parent
    result = _pip(["download", "--quiet", *_SELECTION, "--dest", str(folder), wheel.requirement], folder)
    if result.returncode == 0 and destination.is_file():
        return
    if "No module named pip" in result.stderr:
        raise NetworkBlocked(
            f"This Python has no pip to download {wheel.filename} with.",
            f"Run “{sys.executable} -m ensurepip”, then try again.",
        )
    if f"[Errno {errno.ENOSPC}]" in result.stderr:
        raise NoDiskSpace(f"The disk is full at {folder}.", "Free some space and try again.")
    errors = [line[7:] for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    raise NetworkBlocked(
        f"{wheel.filename} could not be downloaded (pip: {errors[-1] if errors else 'no reason given'}).",
        "Check the network, the proxy and pip's index settings; or put that file into a folder and "
        f"set {WHEELS_VARIABLE} to the folder.",
    )


_SELECTION = ("--no-deps", "--only-binary", ":all:", "--ignore-requires-python")
_PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--retries", "1")


def _pip(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run this environment's pip away from the current folder, whose files Python would import first."""
    command = [sys.executable, "-m", "pip", *arguments[:1], *_PIP_OPTIONS, *arguments[1:]]
    with storage_errors(folder):
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )


def _checked(wheel: Wheel, path: Path) -> Path:
    with storage_errors(path):
        if sha256_of(path) != wheel.sha256:
            raise HashMismatch(
                f"{path} is not the expected file (its SHA-256 differs).", "Delete that file, then try again."
            )
    return path
