"""Public models from a server of this machine, which drops connections, lies and sends other files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from attacks import attacks
from file_server import FileServer, serving
from genuine_files import STYLEGAN2_NAMES, nvidia_file
from krita_drag.wire.errors import HashMismatch, ModelUnsupported, NetworkBlocked, UnsafeFile

from engine import cli, download
from engine.models import ModelStore
from engine.public_fetch import obtain
from engine.public_models import PUBLIC_MODELS

NAME = "ffhq-1024"
CONTENT = nvidia_file(STYLEGAN2_NAMES[0])


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """The catalogue's ffhq-1024, tiny, on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serving({"/models/ffhq.pkl": CONTENT}) as running:
        point_at(f"{running.url}/models/ffhq.pkl", monkeypatch)
        yield running


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PUBLIC_MODELS[NAME]
    monkeypatch.setitem(PUBLIC_MODELS, NAME, replace(real, url=url, info=replace(real.info, resolution=64)))


def downloads(home: Path) -> list[int]:
    """Sizes of what is left in the folder of downloads."""
    return [file.stat().st_size for file in (home / "downloads").iterdir()]


def test_fetch(server: FileServer, home: Path) -> None:
    stages: dict[str, None] = {}
    path = ModelStore().fetch(NAME, lambda stage, done, total: stages.setdefault(stage))
    assert list(stages) == ["asking the server", "downloading", "converting"]
    model = ModelStore().load(NAME)
    assert model.path == path
    assert model.info.aligned and model.info.licence == "NVIDIA, non-commercial"
    assert model.info.size_bytes == len(CONTENT)
    assert "non-commercial" in ModelStore().licence_text(NAME) or "not for commercial" in ModelStore().licence_text(
        NAME
    )
    assert downloads(home) == []
    server.shutdown()
    assert ModelStore().fetch(NAME) == path


def get(home: Path) -> bytes:
    """Download without converting."""
    folder = home / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    path, _ = obtain(PUBLIC_MODELS[NAME], folder, home / "pins.json", lambda stage, done, total: None)
    assert list(folder.iterdir()) == [path]
    return path.read_bytes()


def test_dropped_connections_are_resumed(server: FileServer, home: Path) -> None:
    server.faults = ["none", 500_000, 400_000, "503"]
    assert get(home) == CONTENT
    assert server.ranges == ["bytes=0-0", None, "bytes=500000-", "bytes=900000-", "bytes=900000-"]


def test_the_next_call_continues(server: FileServer, home: Path) -> None:
    server.faults = ["none", 600_000, "404"]
    with pytest.raises(NetworkBlocked, match="refused"):
        get(home)
    assert downloads(home) == [600_000]
    assert get(home) == CONTENT
    assert server.ranges[-1] == "bytes=600000-"


def test_the_beginning_of_another_file_is_not_continued(server: FileServer, home: Path) -> None:
    server.faults = ["none", 600_000, "404"]
    with pytest.raises(NetworkBlocked):
        get(home)
    server.files["/models/ffhq.pkl"] = CONTENT + b"and more"
    assert get(home) == CONTENT + b"and more"
    assert server.ranges[-1] is None


@pytest.mark.parametrize("lie", ["announce-more", "announce-less"])
def test_lies_about_the_length(lie: str, server: FileServer, home: Path) -> None:
    server.faults = ["none", *[lie] * 10]
    with pytest.raises((HashMismatch, NetworkBlocked)):
        get(home)
    server.faults = []
    assert get(home) == CONTENT


def test_no_length_at_all(server: FileServer, home: Path) -> None:
    server.faults = ["none", "endless"]
    with pytest.raises(HashMismatch):
        get(home)
    assert downloads(home) == []


def test_a_web_page_instead(server: FileServer, home: Path) -> None:
    server.files["/models/ffhq.pkl"] = b"<!DOCTYPE html><html>Please log in</html>"
    with pytest.raises(ModelUnsupported, match="it is a web page"):
        ModelStore().fetch(NAME)
    assert downloads(home) == [] and not (home / "pins.json").exists()


def test_another_model_instead(server: FileServer, home: Path) -> None:
    server.files["/models/ffhq.pkl"] = nvidia_file(STYLEGAN2_NAMES[1])
    with pytest.raises(ModelUnsupported, match="a model of 32 px"):
        ModelStore().fetch(NAME)
    assert downloads(home) == [] and not (home / "pins.json").exists()


def test_an_attack_instead(server: FileServer, home: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    server.files["/models/ffhq.pkl"] = next(content for name, content, _ in attacks(canary) if name == "os.system")
    with pytest.raises(UnsafeFile, match=r"posix\.system"):
        ModelStore().fetch(NAME)
    assert not canary.exists() and downloads(home) == []


def test_the_first_file_is_remembered(server: FileServer, home: Path) -> None:
    store = ModelStore()
    store.fetch(NAME)
    pins = home / "pins.json"
    assert list(json.loads(pins.read_text())) == [PUBLIC_MODELS[NAME].url]
    store.remove(NAME)
    changed = bytearray(CONTENT)
    changed[-100] ^= 1
    server.files["/models/ffhq.pkl"] = bytes(changed)
    with pytest.raises(HashMismatch, match="another file for “ffhq-1024” than before") as caught:
        store.fetch(NAME)
    assert str(pins) in caught.value.hint
    server.files["/models/ffhq.pkl"] = CONTENT
    assert get(home) == CONTENT
    pins.write_text("garbled")
    assert get(home) == CONTENT


def test_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    point_at("http://127.0.0.1:1/ffhq.pkl", monkeypatch)
    with pytest.raises(NetworkBlocked, match="does not answer") as caught:
        ModelStore().fetch(NAME)
    assert caught.value.hint


@pytest.mark.parametrize("way", ["environment", "option"])
def test_proxy(way: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A proxy sees requests with the whole address; the host of this one does not exist."""
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "")
    url = "http://models.invalid/ffhq.pkl"
    point_at(url, monkeypatch)
    with serving({url: CONTENT}) as proxy:
        if way == "environment":
            monkeypatch.setenv("http_proxy", proxy.url)
        options = ["--proxy", proxy.url] if way == "option" else []
        assert cli.main(["models", "fetch", NAME, *options]) == 0
        assert len(proxy.ranges) == 2
    assert "is ready" in capsys.readouterr().out


def test_bad_proxy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", NAME, "--proxy", "nonsense"]) == 1
    assert "no address of a proxy" in capsys.readouterr().err
