"""Files of other programs hold the same networks: our numbers against recorded outputs of the official code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from genuine_files import (
    STYLEGAN2_NAMES,
    State,
    golden,
    nvidia_file,
    part,
    rosinality_state,
    save_rosinality,
    tensorflow_file,
)
from torch import Tensor

from stylegan2 import StyleGAN2Generator, Windows
from stylegan2.checkpoints import native
from stylegan2.checkpoints.contents import Checkpoint
from stylegan2.checkpoints.detect import open_checkpoint
from stylegan2.errors import CheckpointError, UnsupportedCheckpoint

TOLERANCE = 1e-4
SKIP, ORIG, RESNET = STYLEGAN2_NAMES


def opened(folder: Path, content: bytes) -> Checkpoint:
    path = folder / "model.bin"
    path.write_bytes(content)
    return open_checkpoint(path)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max().item() <= TOLERANCE


FILES: dict[str, Callable[[str], bytes]] = {
    "protocol 2": lambda name: nvidia_file(name, 2),
    "protocol 3": lambda name: nvidia_file(name, 3),
    "protocol 4": lambda name: nvidia_file(name, 4),
    "protocol 5": lambda name: nvidia_file(name, 5),
    "TensorFlow": tensorflow_file,
    "TensorFlow, protocol 5": lambda name: tensorflow_file(name, 5),
}


@torch.no_grad()
@pytest.mark.parametrize("name", STYLEGAN2_NAMES)
@pytest.mark.parametrize("kind", FILES)
def test_the_same_network(kind: str, name: str, tmp_path: Path) -> None:
    expected = golden(name)
    checkpoint = opened(tmp_path, FILES[kind](name))
    generator = checkpoint.generator()
    label = expected["c"] if generator.c_dim else None
    for key, psi, cutoff in (("w_psi1", 1.0, None), ("w_psi07", 0.7, None), ("w_psi05_cutoff4", 0.5, 4)):
        assert_same(generator.mapping(expected["z"], label, psi, cutoff), expected[key])
    for mode in ("const", "none"):
        assert_same(generator.synthesis(expected["w_psi07"], mode), expected[f"image_noise_{mode}"])  # type: ignore[arg-type]
    for resolution in generator.feature_resolutions:
        assert_same(generator.features(expected["w_psi07"], resolution), expected[f"feature_{resolution}"])
    logits = checkpoint.discriminator()(expected["image_noise_const"], label)
    assert_same(logits, expected["d_logits"])


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_rosinality(legacy: bool, training: bool, tmp_path: Path) -> None:
    expected = golden("rosinality_64")
    save_rosinality(tmp_path / "model.pt", legacy=legacy, training=training)
    checkpoint = open_checkpoint(tmp_path / "model.pt")
    generator = checkpoint.generator()
    w = generator.w(expected["z"])
    assert_same(w, expected["w"])
    assert_same(generator.synthesis(w[:, None].repeat(1, generator.num_ws, 1)), expected["image"])
    if training:
        assert checkpoint.networks["G"].arguments["size"] == 64
        assert generator.w_mean.shape == (32,)  # estimated: such files do not have it
    else:
        assert_same(generator.w_mean, torch.zeros(32))


def test_bare_state_dict(tmp_path: Path) -> None:
    torch.save(rosinality_state(), tmp_path / "model.pt")
    assert open_checkpoint(tmp_path / "model.pt").generator().resolution == 64


@torch.no_grad()
@pytest.mark.parametrize("bare", [True, False])
def test_state_dicts_under_nvidia_names(bare: bool, tmp_path: Path) -> None:
    expected = golden(ORIG)
    state = part(expected, "G.")
    torch.save(state if bare else {"G_ema": state, "D": part(expected, "D.")}, tmp_path / "model.pt")
    checkpoint = open_checkpoint(tmp_path / "model.pt")
    assert_same(checkpoint.generator().synthesis(expected["w_psi07"]), expected["image_noise_const"])
    if not bare:
        assert_same(checkpoint.discriminator()(expected["image_noise_const"]), expected["d_logits"])


@torch.no_grad()
def test_rosinality_discriminator(tmp_path: Path) -> None:
    """Its own outputs were not recorded: the same network under both names must give the same logits."""
    names = {"fromrgb": "0", "conv0": "conv1.0", "conv1": "conv2.1", "skip": "skip.1"}
    biases = names | {"fromrgb": "1", "conv0": "conv1.1", "conv1": "conv2.2"}
    ends = {"b4.conv.weight": "final_conv.0.weight", "b4.conv.bias": "final_conv.1.bias"}
    ends |= {f"b4.{a}.{p}": f"final_linear.{b}.{p}" for a, b in (("fc", 0), ("out", 1)) for p in ("weight", "bias")}
    ours = opened(tmp_path, nvidia_file(SKIP, change=unconditional)).discriminator()
    theirs = {"convs.1.conv2.0.kernel": torch.ones(4, 4)}
    for name, tensor in ours.state_dict().items():
        block, layer, end = ("b4", "", "") if name in ends else name.split(".")
        number = {"b64": 1, "b32": 2, "b16": 3, "b8": 4}.get(block, 0) if layer != "fromrgb" else 0
        theirs[ends.get(name) or f"convs.{number}.{(biases if end == 'bias' else names)[layer]}.{end}"] = tensor
    torch.save({"g_ema": rosinality_state(), "d": theirs}, tmp_path / "model.pt")
    image = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(open_checkpoint(tmp_path / "model.pt").discriminator()(image), ours(image))


def unconditional(states: dict[str, State]) -> None:
    d = states["D"]
    for name in [name for name in d if name.startswith("mapping")]:
        del d[name]
    d["b4.out.weight"], d["b4.out.bias"] = d["b4.out.weight"][:1], d["b4.out.bias"][:1]


def test_what_a_file_says_about_itself(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, nvidia_file(SKIP))
    assert list(checkpoint.networks) == ["G_ema", "G", "D"]
    assert checkpoint.networks["G_ema"].class_name == "Generator"
    assert checkpoint.networks["G_ema"].arguments["synthesis_kwargs"]["channel_max"] == 32
    assert checkpoint.networks["D"].parameters > 100_000
    assert checkpoint.settings["training_set_kwargs"]["path"] == "./datasets/ffhq.zip"
    assert checkpoint.settings["training_set_kwargs"]["max_size"] == 70_000
    assert checkpoint.settings["progress"]["mean"] == 0.5


@torch.no_grad()
@pytest.mark.parametrize(("blocks", "lowest"), [(2, 32), (3, 16), (0, 0)])
def test_only_layers_that_say_so_are_clamped(blocks: int, lowest: int, tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, nvidia_file(SKIP, num_fp16_res=blocks, conv_clamp=0.5))
    generator = checkpoint.generator()
    assert generator.config.fp16_resolution == lowest
    assert generator.config.conv_clamp == (0.5 if blocks else None)
    expected = golden(SKIP)
    for resolution in generator.feature_resolutions:
        feature = generator.features(expected["w_psi07"], resolution)
        if lowest and resolution >= lowest:
            assert feature.abs().max() <= 0.5
        else:
            assert_same(feature, expected[f"feature_{resolution}"])
    assert (checkpoint.discriminator().b64.conv0.conv_clamp == 0.5) == bool(blocks)


def test_layers_clamped_everywhere(tmp_path: Path) -> None:
    generator = opened(tmp_path, nvidia_file(ORIG, clamp_all=True, conv_clamp=256)).generator()
    assert (generator.config.fp16_resolution, generator.config.conv_clamp) == (4, 256.0)


@torch.no_grad()
def test_another_learning_rate_of_the_mapping_network(tmp_path: Path) -> None:
    def rescale(states: dict[str, State]) -> None:
        for name, tensor in states["G"].items():
            if name.startswith("mapping.fc"):
                states["G"][name] = tensor / 10

    expected = golden(ORIG)
    generator = opened(tmp_path, nvidia_file(ORIG, change=rescale, lr_multiplier=0.1)).generator()
    assert_same(generator.mapping(expected["z"]), expected["w_psi1"])


@torch.no_grad()
def test_narrow_pictures(tmp_path: Path) -> None:
    """A network like StyleGAN-Human's: what lies far from the cut sides is as in the square network."""

    def narrow(states: dict[str, State]) -> None:
        g = states["G"]
        for name, tensor in g.items():
            if name.endswith("noise_const"):
                g[name] = tensor[:, : tensor.shape[1] // 2]
        g["synthesis.b4.const"] = g["synthesis.b4.const"][:, :, :2]

    generator = opened(tmp_path, nvidia_file(ORIG, change=narrow)).generator()
    assert generator.config.base_width == 2
    w_plus = golden(ORIG)["w_psi07"][:1]
    image = generator.synthesis(w_plus)
    assert image.shape == (1, 3, 32, 32)
    assert image[..., :8].abs().max() == image[..., 24:].abs().max() == 0 < image[..., 8:24].abs().min()
    assert generator.synthesis(w_plus, "random").shape == (1, 3, 32, 32)
    maps = generator.features(w_plus, 16)
    assert maps.shape[-2:] == (16, 16) and maps[..., :4].abs().max() == 0
    windows = generator.features(w_plus, 16, Windows(((2, 3), (-1, 0)), 5))
    torch.testing.assert_close(windows[0], maps[0, :, 3:8, 2:7])
    native.save(generator, tmp_path / "narrow.safetensors")
    again = native.load(tmp_path / "narrow.safetensors")
    torch.testing.assert_close(again.synthesis(w_plus), image)


def test_networks_without_noise(tmp_path: Path) -> None:
    def silence(states: dict[str, State]) -> None:
        for name in [name for name in states["G"] if "noise_" in name]:
            del states["G"][name]

    generator = opened(tmp_path, nvidia_file(ORIG, change=silence)).generator()
    with torch.no_grad():
        assert_same(generator.synthesis(golden(ORIG)["w_psi07"]), golden(ORIG)["image_noise_none"])


def test_tensorflow_settings(tmp_path: Path) -> None:
    generator = opened(tmp_path, tensorflow_file(ORIG, conv_clamp=256, mapping_lrmul=0.02)).generator()
    assert (generator.config.fp16_resolution, generator.config.conv_clamp) == (4, 256.0)
    grown = opened(tmp_path, tensorflow_file(ORIG, grown=True)).generator()
    with torch.no_grad():
        assert_same(grown.synthesis(golden(ORIG)["w_psi07"]), golden(ORIG)["image_noise_const"])


def changed(**tensors: Tensor | None) -> Callable[[dict[str, State]], None]:
    """Replace tensors of G, or drop them where None is given; `__` stands for a dot."""

    def change(states: dict[str, State]) -> None:
        for name, tensor in tensors.items():
            if tensor is None:
                del states["G"][name.replace("__", ".")]
            else:
                states["G"][name.replace("__", ".")] = tensor

    return change


def stylegan3(states: dict[str, State]) -> None:
    states["G"] = {"synthesis.input.freqs": torch.ones(4, 2), "synthesis.L0_36_512.weight": torch.ones(4)}


def huge(state: State) -> State:
    """A network whose pictures would take more memory than machines have, in a small file."""
    return state | {"synthesis.b32.conv1.weight": torch.zeros(300_000, 1, 1, 1)}


BAD: dict[str, tuple[dict[str, Any], type[CheckpointError], str]] = {
    "StyleGAN3": ({"change": stylegan3}, UnsupportedCheckpoint, "the StyleGAN3 kind"),
    "other size": (
        {"arguments": {"img_resolution": 512}},
        CheckpointError,
        "say img_resolution 512, its tensors say 32",
    ),
    "other z": ({"arguments": {"z_dim": 512}}, CheckpointError, "z_dim 512"),
    "tensor missing": ({"change": changed(synthesis__b8__conv0__bias=None)}, CheckpointError, "no tensor"),
    "tensor of another shape": (
        {"change": changed(synthesis__b8__conv0__bias=torch.ones(5))},
        CheckpointError,
        "shape",
    ),
    "tensor too much": ({"change": changed(synthesis__b8__surprise=torch.ones(5))}, CheckpointError, "no place"),
    "mean of another shape": ({"change": changed(mapping__w_avg=torch.ones(5))}, CheckpointError, "mean of w"),
    "whole numbers": (
        {"change": changed(synthesis__b8__noise=torch.ones(5, dtype=torch.int64))},
        CheckpointError,
        "not real numbers",
    ),
    "too many channels": (
        {"change": lambda states: states.update(G=huge(states["G"]))},
        CheckpointError,
        "300000 channels at 32 px",
    ),
    "other filter": (
        {"change": changed(synthesis__b8__resample_filter=torch.ones(4, 4))},
        UnsupportedCheckpoint,
        "low-pass",
    ),
    "clamp is no number": ({"clamp_all": True, "conv_clamp": "much"}, CheckpointError, "not a positive number"),
    "rate is no number": ({"lr_multiplier": float("nan")}, CheckpointError, "not a positive number"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_contradict_themselves(name: str, tmp_path: Path) -> None:
    settings, error, message = BAD[name]
    with pytest.raises(error, match=message):
        opened(tmp_path, nvidia_file(ORIG, **settings)).generator()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resample_kernel": [1, 2, 1]}, "resample_kernel"),
        ({"nonlinearity": "relu"}, "nonlinearity"),
        ({"resolution": 1024}, "1024 px"),
        ({"conv_clamp": "much"}, "conv_clamp"),
        ({"mapping_lrmul": "much"}, "mapping_lrmul"),
    ],
)
def test_tensorflow_settings_that_are_not_supported(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        opened(tmp_path, tensorflow_file(ORIG, **settings)).generator()


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("surprise", torch.ones(1), "that StyleGAN2 does not have"),
        ("conv1.conv.weight", torch.ones(1, 24, 24, 5, 5), "has shape"),
        ("noises.noise_3", torch.ones(2, 2), "has shape"),
        ("convs.40.conv.weight", torch.ones(1, 2, 2, 3, 3), "CheckpointError|no tensor|not 4, 8|has no place"),
    ],
)
def test_rosinality_files_that_do_not_fit(name: str, tensor: Tensor, message: str, tmp_path: Path) -> None:
    state = rosinality_state()
    state[name] = tensor
    save_rosinality(tmp_path / "model.pt", state=state)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tmp_path / "model.pt").generator()


@pytest.mark.parametrize("content", [{}, {"g_ema": 1}, {"weights": torch.ones(1)}, [1, 2], torch.ones(3)])
def test_other_files_of_torch_save(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(UnsupportedCheckpoint, match="holds no StyleGAN2 network"):
        open_checkpoint(tmp_path / "model.pt")


def test_half_precision_tensors_are_widened(tmp_path: Path) -> None:
    save_rosinality(tmp_path / "model.pt", state={k: v.half() for k, v in rosinality_state().items()})
    generator = open_checkpoint(tmp_path / "model.pt").generator()
    assert isinstance(generator, StyleGAN2Generator)
    assert {parameter.dtype for parameter in generator.parameters()} == {torch.float32}
