"""Wheels through the real pip and a package index on this machine."""

from __future__ import annotations

import os
import socket
import venv
from pathlib import Path

import pytest
from file_server import package_index
from krita_drag.wire.errors import HashMismatch, NetworkBlocked
from model_files import tiny_entry

from engine.packages import WHEELS_VARIABLE, Wheel, obtain


@pytest.fixture(autouse=True)
def plain_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own pip settings out."""
    for name in os.environ:
        if name.upper().startswith("PIP_") or name == WHEELS_VARIABLE:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def wheel(tmp_path: Path) -> tuple[Wheel, bytes]:
    entry, content = tiny_entry(tmp_path / "ir")
    return entry.wheel, content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


def test_the_configured_index_is_used(
    wheel: tuple[Wheel, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, content = wheel
    stages = []
    with package_index(pinned.project, pinned.filename, content) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        path = obtain(pinned, folder, lambda stage, done, total: stages.append(stage))
    assert path.read_bytes() == content
    assert [entry.name for entry in folder.iterdir()] == [pinned.filename]
    assert list(dict.fromkeys(stages)) in (
        ["asking the package index", "downloading"],
        ["asking the package index"],  # an old pip, which downloads by itself
    )
    assert obtain(pinned, folder) == path  # without asking again: the server is gone


def test_an_index_with_a_password_needs_pip_itself(
    wheel: tuple[Wheel, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, content = wheel
    with package_index(pinned.project, pinned.filename, content, password="secret") as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url.replace("//", "//user:secret@") + "/simple")
        assert obtain(pinned, folder).read_bytes() == content


def test_an_index_that_serves_something_else(
    wheel: tuple[Wheel, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, content = wheel
    with package_index(pinned.project, pinned.filename, content[:-1] + b"?") as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        with pytest.raises(HashMismatch):
            obtain(pinned, folder)
    assert list(folder.iterdir()) == []


def test_no_index_in_reach(wheel: tuple[Wheel, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free.getsockname()[1]}/simple")
        with pytest.raises(NetworkBlocked, match="could not be downloaded") as caught:
            obtain(wheel[0], folder)
    assert WHEELS_VARIABLE in caught.value.hint
    assert list(folder.iterdir()) == []


def test_find_links_of_pip(
    wheel: tuple[Wheel, bytes], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, content = wheel
    links = tmp_path / "my links"
    links.mkdir()
    (links / pinned.filename).write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text(f"[global]\nfind-links = {links.as_uri()}\n")
    assert obtain(pinned, folder) == links / pinned.filename


def test_a_folder_of_wheels_needs_no_pip(
    wheel: tuple[Wheel, bytes], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned, content = wheel
    monkeypatch.setenv(WHEELS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    (tmp_path / pinned.filename).write_bytes(content)
    assert obtain(pinned, folder) == tmp_path / pinned.filename
    (tmp_path / pinned.filename).write_bytes(content + b"?")
    with pytest.raises(HashMismatch, match="is not the expected file"):
        obtain(pinned, folder)
    assert (tmp_path / pinned.filename).exists()  # not ours to delete


def test_python_without_pip(
    wheel: tuple[Wheel, bytes], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    binaries = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin")
    monkeypatch.setattr("sys.executable", str(binaries / ("python.exe" if os.name == "nt" else "python")))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(NetworkBlocked, match="no pip") as caught:
        obtain(wheel[0], folder)
    assert "ensurepip" in caught.value.hint
