"""Files of other programs on their way into the store: converted by a process of their own, or refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attacks import attacks
from genuine_files import STYLEGAN2_NAMES, golden, nvidia_file, save_rosinality, tensorflow_file
from krita_drag.wire.errors import ModelCorrupt, ModelNotFound, ModelUnsupported, OutOfMemory, UnsafeFile
from model_files import tiny_stylegan2
from PIL import Image

from engine import cli, domains, model_file
from engine.models import ModelStore
from engine.public_models import PUBLIC_MODELS
from stylegan2.checkpoints import native

SKIP, ORIG, _ = STYLEGAN2_NAMES


@pytest.fixture
def pickle_file(tmp_path: Path) -> Path:
    path = tmp_path / "network-snapshot-025000.pkl"
    path.write_bytes(nvidia_file(SKIP, num_fp16_res=2, conv_clamp=256))
    return path


def test_add_nvidia_file(home: Path, pickle_file: Path) -> None:
    store = ModelStore()
    info = store.add(pickle_file, "mine")
    assert (info.kind, info.resolution, info.domain, info.aligned) == ("stylegan2", 64, "faces", True)
    assert info.licence_note
    assert info.size_bytes == pickle_file.stat().st_size
    model = store.load("mine")
    expected = golden(SKIP)
    image = model.generator.synthesis(expected["w_psi07"])
    assert (image - expected["image_noise_const"]).abs().max() <= 1e-4
    torch.testing.assert_close(model.generator.w_mean, expected["G.mapping.w_avg"])
    metadata = native.read_metadata(model.path)
    assert metadata["source_sha256"] == hashlib.sha256(pickle_file.read_bytes()).hexdigest()
    assert metadata["source_format"] == "NVIDIA PyTorch pickle"
    assert '"num_layers": 4' in metadata["source_arguments"]
    with Image.open(home / "models" / "mine" / "sample.png") as sample:
        assert sample.size == (64, 64)
        assert len(sample.getcolors(5000) or []) > 100


def test_add_other_formats(home: Path, tmp_path: Path) -> None:
    store = ModelStore()
    (tmp_path / "stylegan2-car.bin").write_bytes(tensorflow_file(ORIG))
    save_rosinality(tmp_path / "cats.pt")
    assert store.add(tmp_path / "stylegan2-car.bin").domain == "cars"
    assert store.add(tmp_path / "cats.pt").resolution == 64
    assert [info.name for info in store.installed()] == ["cats", "stylegan2-car"]


def test_half_the_space(home: Path, pickle_file: Path) -> None:
    store = ModelStore()
    store.add(pickle_file, "full")
    store.add(pickle_file, "half", half=True)
    full, half = store.load("full"), store.load("half")
    assert half.path.stat().st_size < 0.6 * full.path.stat().st_size
    w_plus = full.generator.sample_w_plus(1)
    difference = half.generator.synthesis(w_plus) - full.generator.synthesis(w_plus)
    assert 0 < difference.abs().max() < 0.05
    assert {parameter.dtype for parameter in half.generator.parameters()} == {torch.float32}


def test_values_beyond_half_precision(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(nvidia_file(ORIG, change=lambda states: states["G"]["synthesis.b8.conv0.bias"].fill_(1e5)))
    with pytest.raises(ModelUnsupported, match="half precision"):
        ModelStore().add(path, half=True)
    ModelStore().add(path)


def test_a_file_said_to_be_a_public_model(home: Path, pickle_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnsupported, match="64 px; “human-1024” has 1024 px"):
        ModelStore().add(pickle_file, "human-1024")
    with pytest.raises(ModelNotFound, match="by hand") as caught:
        ModelStore().fetch("human-1024")
    assert "models add FILE --name human-1024" in caught.value.hint
    assert ModelStore().installed() == []


@pytest.mark.parametrize("name", ["os.system", "nested"])
def test_unsafe_files_run_nothing(name: str, home: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    content, symbol = next((content, symbol) for other, content, symbol in attacks(canary) if other == name)
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(UnsafeFile, match=symbol) as caught:
        ModelStore().add(path)
    assert "was refused" in caught.value.message and caught.value.hint
    assert not canary.exists()
    assert not any(file.is_file() and file.name != "models.lock" for file in home.rglob("*"))


def test_code_in_a_file_is_carried_but_not_run(home: Path, tmp_path: Path) -> None:
    """`nvidia_file` has source code in it that ends the process which runs it."""
    path = tmp_path / "model.pkl"
    path.write_bytes(nvidia_file(ORIG))
    assert b"raise SystemExit" in path.read_bytes()
    assert ModelStore().add(path).resolution == 32


def test_code_beside_a_file_is_not_run(
    home: Path, pickle_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pickle_file.parent)
    Path("safetensors.py").write_text("open('canary', 'w').close()\n")
    assert cli.main(["models", "inspect", pickle_file.name]) == 0
    assert "64" in capsys.readouterr().out
    assert not Path("canary").exists()


def test_the_reading_process_may_die(home: Path, pickle_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "READING_TIMEOUT_S", 0.01)
    with pytest.raises(ModelCorrupt, match="takes more than"):
        ModelStore().add(pickle_file)
    assert ModelStore().installed() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits on memory are those of Linux")
def test_the_reading_process_has_limits(pickle_file: Path) -> None:
    script = (
        "from pathlib import Path; from engine.model_reader import _limit_this_process; import torch\n"
        "_limit_this_process(0)\n"
        "try: torch.ones(1 << 32)\n"
        "except RuntimeError as error: print('DefaultCPUAllocator' in str(error))\n"
        "try: Path(__import__('sys').argv[1]).write_bytes(bytes(70 << 20))\n"
        "except OSError as error: print(error.strerror)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", script, str(pickle_file.with_name("large"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True", "File too large"]


def test_out_of_memory_becomes_a_sentence() -> None:
    with pytest.raises(OutOfMemory, match="more memory"):
        raise model_file._refusal("a.pkl", "memory", "it needs more memory than a model file may")


def test_inspect(home: Path, pickle_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "inspect", str(pickle_file)]) == 0
    output = capsys.readouterr().out
    for part in (
        "NVIDIA PyTorch pickle",
        "64 x 64 px",
        "256 from 32 px",
        "faces, FFHQ alignment",
        "G_ema",
        "c_dim 3",
        "3, told apart by `drag --class`",
        "training_set_kwargs",
    ):
        assert part in output
    assert hashlib.sha256(pickle_file.read_bytes()).hexdigest() in output
    assert not home.exists()
    native.save(tiny_stylegan2(), pickle_file.with_name("own.safetensors"))
    assert cli.main(["models", "inspect", str(pickle_file.with_name("own.safetensors"))]) == 0
    assert "krita-drag safetensors" in capsys.readouterr().out


def test_inspect_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"<!DOCTYPE html><html>quota exceeded</html>")
    assert cli.main(["models", "inspect", str(path)]) == 1
    assert "it is a web page" in capsys.readouterr().err
    assert cli.main(["models", "inspect", str(tmp_path / "nothing.pkl")]) == 1
    assert "There is no file" in capsys.readouterr().err


def test_add_on_the_command_line(home: Path, pickle_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "add", str(pickle_file), "--name", "mine", "--fp16"]) == 0
    captured = capsys.readouterr()
    assert "stylegan2, 64 px, domain: faces" in captured.out and "sample.png" in captured.out
    assert "krita-drag does not know the terms" in captured.err
    assert cli.main(["models", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].startswith("mine") and "installed" in listed[0]
    assert any("human-1024" in line and "by hand" in line for line in listed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stylegan2-ffhqu-256x256", ("faces", False)),
        ("stylegan2-ffhq-1024x1024", ("faces", True)),
        ("metfaces", ("painted faces", True)),
        ("stylegan2-cat-config-f", ("cats", False)),
        ("lions_512_pytorch", ("lions", False)),
        ("stylegan_human_v2_1024", ("people, from head to foot", False)),
        ("network-snapshot-025000", ("unknown", False)),
        ("cathedral", ("unknown", False)),
    ],
)
def test_domains_are_guessed_from_names(name: str, expected: tuple[str, bool]) -> None:
    assert domains.guess(name) == expected


def test_public_models_are_described() -> None:
    assert len(PUBLIC_MODELS) >= 25
    for name, model in PUBLIC_MODELS.items():
        assert name == model.info.name and str(model.info.resolution) in name
        assert model.info.licence_note and model.info.title and model.page.startswith("https://")
        assert model.url is None or (model.url.startswith("https://") and model.url.endswith(".pkl"))
    assert PUBLIC_MODELS["ffhq-1024"].info.aligned
    assert not PUBLIC_MODELS["ffhqu-1024"].info.aligned
