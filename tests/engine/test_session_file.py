"""Sessions in files: what comes back is what was written, and damaged files are refused with a sentence."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from krita_drag.wire.errors import BadOutput, BadSession, KritaDragError
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from engine.align import centre_crop
from engine.images import Picture
from engine.inversion import drive
from engine.models import Model, ModelStore
from engine.session import Session
from engine.session_file import describe_session, load_session, save_session
from engine.tensor_files import save_tensors

CORNER_OF_THE_MOUTH = ((205.0, 145.0), (199.0, 140.0))
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def session(faces_model: Model, store: ModelStore) -> Session:
    """The astronaut with some transparency, tuned weights, one drag with a mask and one onward, undone."""
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:30] = 90
    picture = Picture(skimage.data.astronaut(), alpha, notes=("A note.",))
    session = drive(Session.opening(faces_model, picture, store, preset="fast", steps=8))
    mask = np.zeros((512, 512), np.float32)
    mask[120:180, 180:260] = 1
    list(session.drag([CORNER_OF_THE_MOUTH], mask=mask, max_steps=3))
    list(session.drag([((240.0, 145.0), (243.0, 141.0))], max_steps=2, onward=True))
    assert session.edits.undo()
    return session


@pytest.fixture(scope="module")
def file(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sessions") / "astronaut.safetensors"
    save_session(session, path)
    return path


def test_what_comes_back_is_what_was_written(session: Session, file: Path, store: ModelStore) -> None:
    again = load_session(file, store)
    assert again.crop == session.crop
    assert np.array_equal(again.picture.rgb, session.picture.rgb)
    assert again.picture.alpha is not None
    assert np.array_equal(again.picture.alpha, session.picture.alpha)
    assert again.notes == session.notes
    assert len(again.edits.states) == len(session.edits.states) == 3
    assert again.edits.shown == session.edits.shown == 1
    for mine, theirs in zip(again.edits.states, session.edits.states, strict=True):
        assert torch.equal(mine.w_plus, theirs.w_plus)
    assert np.array_equal(again.handles_document(), session.handles_document())
    assert np.array_equal(again.result().rgb, session.result().rgb)
    assert again.edits.redo()
    assert session.edits.redo()
    assert np.array_equal(again.result().rgb, session.result().rgb)
    assert session.edits.undo()


def test_a_drag_goes_on_as_it_would_have(session: Session, file: Path, store: ModelStore) -> None:
    first, second = (
        [event.mean_distance for event in one.drag([CORNER_OF_THE_MOUTH], max_steps=2)]
        for one in (load_session(file, store), load_session(file, store))
    )
    assert first == second
    assert len(first) > 1


def test_generated_pictures(faces_model: Model, store: ModelStore, tmp_path: Path) -> None:
    session = Session.from_seed(faces_model, 7)
    save_session(session, tmp_path / "seven.safetensors")
    again = load_session(tmp_path / "seven.safetensors", store)
    assert again.generated
    assert np.array_equal(again.result().rgb, session.result().rgb)
    assert torch.equal(again.w_start, session.w_start)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the length of files")
def test_a_full_disk_is_told(faces_model: Model, tmp_path: Path) -> None:
    import resource

    grey = Picture(np.full((64, 64, 3), 90, np.uint8))
    session = Session(
        faces_model, grey, centre_crop(64, 64, 1024), faces_model.generator.sample_w_plus(1), generated=False
    )
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        with pytest.raises(BadOutput, match="too large"):
            save_session(session, tmp_path / "kept.safetensors")
        with pytest.raises(OSError, match="too large"):
            save_tensors({"many": torch.zeros(16_384)}, tmp_path / "many.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*.safetensors"))


def rewritten(file: Path, path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """A copy of a session with something changed in (description, tensors)."""
    with safe_open(file, "pt") as opened:
        header = dict(opened.metadata())
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    told = json.loads(header["session"])
    change(told, tensors)
    save_file(tensors, path, header | {"session": json.dumps(told)})
    return path


def spoil(tensors: dict[str, Any], prefix: str) -> None:
    """Put an infinite number into the first tensor of a kind."""
    name = next(name for name in sorted(tensors) if name.startswith(prefix))
    tensors[name].view(-1)[0] = torch.inf


DAMAGE: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "no picture": lambda told, tensors: tensors.pop("picture"),
    "no png": lambda told, tensors: tensors.update(picture=torch.zeros(100, dtype=torch.uint8)),
    "state missing": lambda told, tensors: tensors.pop("state.1"),
    "latent too short": lambda told, tensors: tensors.update({"state.0": tensors["state.0"][:, :-1].contiguous()}),
    "latent not finite": lambda told, tensors: tensors.update({"state.0": tensors["state.0"] * torch.nan}),
    "unknown weight": lambda told, tensors: tensors.update({"delta.no.such": torch.zeros(3)}),
    "weight not finite": lambda told, tensors: spoil(tensors, "delta."),
    "region of another size": lambda told, tensors: tensors.update({"region.0": torch.zeros(3, 3).byte()}),
    "no crop": lambda told, tensors: told.pop("crop"),
    "crop of nothing": lambda told, tensors: told["crop"].update(right_xy=[0, 0]),
    "another resolution": lambda told, tensors: told["crop"].update(resolution=512),
    "no states": lambda told, tensors: told.update(states=[]),
    "states of text": lambda told, tensors: told.update(states="abc"),
    "shown out of range": lambda told, tensors: told.update(shown=9),
    "shown not a number": lambda told, tensors: told.update(shown={}),
    "points of another shape": lambda told, tensors: told["states"][1]["event"].update(handles=[1, 2, 3]),
    "points that are no numbers": lambda told, tensors: told["states"][1]["event"].update(handles=[[math.nan, 1.0]]),
    "another model file": lambda told, tensors: told["model"].update(sha256="0" * 64),
    "no model": lambda told, tensors: told.pop("model"),
    "a model of another place": lambda told, tensors: told["model"].update(name="../../etc"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_with_a_sentence(damage: str, file: Path, store: ModelStore, tmp_path: Path) -> None:
    broken = rewritten(file, tmp_path / "broken.safetensors", DAMAGE[damage])
    with pytest.raises(KritaDragError) as caught:
        load_session(broken, store)
    assert caught.value.code in {"bad-session", "model-not-found"}
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 8 + b"{}", b"PK\x03\x04" + bytes(100)])
def test_other_files_are_refused(content: bytes, store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadSession):
        load_session(path, store)
    with pytest.raises(BadSession):
        load_session(tmp_path / "missing.safetensors", store)


def test_truncated_and_newer_files_are_refused(file: Path, store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(BadSession, match="damaged"):
        load_session(path, store)
    save_file({"a": torch.zeros(1)}, path, {"format": "krita-drag session", "version": "99"})
    with pytest.raises(BadSession, match="format 99"):
        load_session(path, store)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(BadSession, match="not a session"):
        load_session(path, store)


def test_the_file_tells_what_it_is(file: Path, session: Session) -> None:
    told = describe_session(file)
    assert told["model"]["name"] == "faces"
    assert told["tensors"]["state.0"] == list(session.w_start.shape)
    assert [state["region"] for state in told["states"]] == [None, 0, None]
    deltas = [name for name in told["tensors"] if name.startswith("delta.")]
    assert bool(deltas) == hasattr(session.model, "deltas")


def test_the_command_drags_on(session: Session, store: ModelStore, tmp_path: Path) -> None:
    save_session(replace_picture(session), tmp_path / "kept.safetensors")
    command = [sys.executable, "-m", "engine", "session"]
    handle, target = CORNER_OF_THE_MOUTH
    point = f"{handle[0]},{handle[1]}:{target[0]},{target[1]}"
    words = [
        "drag",
        "kept.safetensors",
        "--point",
        point,
        "--steps",
        "1",
        "-o",
        "out.png",
        "--session",
        "new.safetensors",
    ]
    environment = {"KRITA_DRAG_HOME": str(store.root), "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (words, ["render", "new.safetensors", "-o", "again.png"], ["show", "new.safetensors"]):
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["shown"] == 1
    first, second = (np.asarray(Image.open(tmp_path / name)) for name in ("out.png", "again.png"))
    assert np.array_equal(first, second)
    assert (first[..., :3] != session.picture.rgb).any()


def replace_picture(session: Session) -> Session:
    """The session as it was opened."""
    picture = replace(session.picture, alpha=None)
    return Session(session.model, picture, session.crop, session.w_start, generated=False)
