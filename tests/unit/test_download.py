"""Downloads from a real server that behaves badly."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving
from krita_drag.wire.errors import HashMismatch, NetworkBlocked, NoDiskSpace, PermissionDenied

from engine.download import Remote, download
from engine.paths import require_space, storage_errors

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving({"/file.bin": CONTENT}) as running:
        yield running


def remote(server: FileServer) -> Remote:
    return Remote(f"{server.url}/file.bin", SHA256, len(CONTENT))


def fetch(server: FileServer, destination: Path, **options: float) -> list[tuple[int, int]]:
    progress: list[tuple[int, int]] = []
    arguments = {"attempts": 3, "timeout_s": 5.0, "pause_s": 0.01} | options
    download(remote(server), destination, lambda *step: progress.append(step), **arguments)
    return progress


def test_plain_download(server: FileServer, tmp_path: Path) -> None:
    progress = fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert progress == sorted(progress)


def test_dropped_connections_are_resumed(server: FileServer, tmp_path: Path) -> None:
    server.faults = [500_000, 400_000, 300_000, 200_000, 100_000]  # more drops than attempts, each brings something
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges[0] is None
    assert server.ranges[1:] == [f"bytes={n}-" for n in (500_000, 900_000, 1_200_000, 1_400_000, 1_500_000)]


def test_interrupted_download_is_resumed_by_the_next_call(server: FileServer, tmp_path: Path) -> None:
    server.faults = [1_000_000, "404"]
    with pytest.raises(NetworkBlocked, match="refused the download"):
        fetch(server, tmp_path / "file")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.part"]
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000000-"


def test_connection_that_never_brings_anything(server: FileServer, tmp_path: Path) -> None:
    server.faults = [0] * 10
    with pytest.raises(NetworkBlocked, match="did not come through"):
        fetch(server, tmp_path / "file")
    assert len(server.ranges) == 3


def test_silent_server_times_out_and_keeps_what_came(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["stall"]
    fetch(server, tmp_path / "file", timeout_s=0.5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.ranges[1] is not None


def test_server_without_ranges_starts_over(server: FileServer, tmp_path: Path) -> None:
    server.faults = [1_000_000, "ignore-range"]
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["wrong-place", "416", "503"])
def test_passing_faults_are_survived(server: FileServer, tmp_path: Path, fault: str) -> None:
    server.faults = [1_000_000, fault]
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["other", "endless", "announce-more", "announce-less"])
def test_wrong_content_is_refused_and_forgotten(server: FileServer, tmp_path: Path, fault: str) -> None:
    server.faults = [fault]
    with pytest.raises(HashMismatch, match="not the expected file") as caught:
        fetch(server, tmp_path / "file")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_resuming_wrong_content_is_noticed(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(bytes(1000))
    with pytest.raises(HashMismatch):
        fetch(server, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_part_longer_than_the_file_is_dropped(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(bytes(len(CONTENT) + 1))
    fetch(server, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_missing_file_is_not_asked_for_twice(server: FileServer, tmp_path: Path) -> None:
    server.faults = ["404", "404"]
    with pytest.raises(NetworkBlocked, match="404"):
        fetch(server, tmp_path / "file")
    assert len(server.ranges) == 1


def test_unreachable_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = Remote(f"http://user:secret@127.0.0.1:{port}/file.bin", SHA256, len(CONTENT))
    with pytest.raises(NetworkBlocked) as caught:
        download(nowhere, tmp_path / "file", attempts=2, pause_s=0.01)
    assert caught.value.retryable
    assert "secret" not in str(caught.value)


def test_unwritable_destination(server: FileServer, tmp_path: Path) -> None:
    blocker = tmp_path / "a-file"
    blocker.write_text("not a folder")
    with pytest.raises(PermissionDenied, match="cannot be used") as caught:
        fetch(server, blocker / "file")
    assert "KRITA_DRAG_HOME" in caught.value.hint


LIMITED = """
import resource, sys
from pathlib import Path
from krita_drag.wire.errors import NoDiskSpace
from engine.download import Remote, download
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
url, sha256, size, destination = sys.argv[1:]
try:
    download(Remote(url, sha256, int(size)), Path(destination))
except NoDiskSpace as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
def test_full_disk_while_downloading(server: FileServer, tmp_path: Path) -> None:
    target = remote(server)
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, target.url, target.sha256, str(target.size_bytes), str(tmp_path / "file")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("The disk is full")
    assert not (tmp_path / "file").exists()
    fetch(server, tmp_path / "file")
    assert server.ranges[-1] == "bytes=1000000-"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_said_as_such(tmp_path: Path) -> None:
    with pytest.raises(NoDiskSpace, match="The disk is full"), storage_errors(tmp_path):
        Path("/dev/full").write_text("x")


def test_too_little_space_is_said_before_the_download(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(NoDiskSpace, match="are free"):
        require_space(tmp_path, 1 << 62)
