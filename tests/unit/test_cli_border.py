"""The border of the command line: whatever happens behind it ends as a sentence and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from krita_drag.wire.errors import OutOfMemory
from model_files import tiny_stylegan2
from PIL import Image

from engine.cli import main
from engine.commands import common
from engine.device import memory_guard
from engine.models import ModelStore
from stylegan2.checkpoints import native

ROOT = Path(__file__).parents[2]

TORCHES = {
    "missing": ("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "is not installed"),
    "incomplete": ("import torch_part_that_is_missing", "cannot be loaded"),
    "broken": ("raise OSError('libtorch_cpu.so: cannot open shared object file')", "libtorch_cpu.so"),
    "old": ("__version__ = '2.3.1+cu118'\nclass nn: pass", "2.3.1+cu118 is too old"),
    "other": ("", "is not PyTorch"),
}


@pytest.mark.parametrize("kind", TORCHES)
@pytest.mark.parametrize("command", ["drag", "models", "doctor"])
def test_a_wrong_torch_is_a_sentence(tmp_path: Path, kind: str, command: str) -> None:
    content, expected = TORCHES[kind]
    (tmp_path / "stub" / "torch").mkdir(parents=True)
    (tmp_path / "stub" / "torch" / "__init__.py").write_text(content)
    words = {
        "drag": ["drag", "--seed", "1", "-o", "out.png", "--point", "1,1:9,9"],
        "models": ["models", "fetch", "faces"],
        "doctor": ["doctor"],
    }
    path = os.pathsep.join([str(tmp_path / "stub"), str(ROOT), str(ROOT / "krita_plugin")])
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words[command]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "KRITA_DRAG_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    told = done.stdout if command == "doctor" else done.stderr
    assert expected in told
    assert "install.py" in told
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stub"]


def test_the_unforeseen_is_a_sentence_with_a_log(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(options: object) -> int:
        raise ZeroDivisionError("the sky fell down\non several lines")

    monkeypatch.setattr("engine.commands.doctor.run", fail)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "the sky fell down" in said
    assert "Traceback" not in said
    assert said.count("\n") == 2
    (log,) = (home / "logs").iterdir()
    assert str(log) in said
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert main(["doctor", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["drag", "--inversion-steps", "2", "--steps", "0"], ["invert", "--steps", "2"]])
def test_a_face_placed_by_hand_needs_no_detector(
    words: list[str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native.save(tiny_stylegan2(), tmp_path / "own.safetensors", {"aligned": "true"})
    ModelStore().add(tmp_path / "own.safetensors", "own")
    monkeypatch.setattr(common, "fetch", lambda *arguments: pytest.fail("something was fetched"))
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.new("RGB", (40, 40)).save(photo)
    words = [*words, str(photo), "--model", "own", "--crop", "4,4,36,4,36,36,4,36"]
    assert main([*words, "--quiet", "-o", str(out)]) == 0
    assert out.exists()


@pytest.mark.parametrize("words", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory: you tried"])
def test_want_of_memory_on_a_device(words: str) -> None:
    with pytest.raises(OutOfMemory, match="cpu"), memory_guard(torch.device("cpu")):
        raise RuntimeError(words)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (ModuleNotFoundError("No module named 'tqdm'", name="tqdm"), "is missing (tqdm)"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_what_a_machine_can_do_to_us_is_a_sentence(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    expected: str,
) -> None:
    def fail(options: object) -> int:
        raise error

    monkeypatch.setattr("engine.commands.doctor.run", fail)
    assert main(["doctor"]) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert not home.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently there")
def test_a_reader_that_leaves_is_no_crash(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), str(ROOT / "krita_plugin")])
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "engine", "doctor"],
        env=os.environ | {"PYTHONPATH": path, "KRITA_DRAG_HOME": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == b""
