"""Model files: what is written comes back the same, and nothing odd is accepted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_files import tiny_mobile, tiny_stylegan2, write_ir
from torch import Tensor

from stylegan2 import Generator
from stylegan2.checkpoints import native, openvino_ir
from stylegan2.errors import CheckpointError

Tensors = dict[str, Tensor]
Metadata = dict[str, str]


def image(generator: Generator) -> Tensor:
    return generator.synthesis(generator.sample_w_plus(3))


@pytest.mark.parametrize(
    "generator",
    [
        tiny_stylegan2("orig"),
        tiny_stylegan2("skip"),
        tiny_stylegan2("resnet"),
        tiny_stylegan2("skip", c_dim=3),
        tiny_mobile(),
    ],
    ids=["orig", "skip", "resnet", "conditional", "mobile"],
)
def test_roundtrip(generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    native.save(generator, path, {"title": "A test", "kind": "not yours to set"})
    metadata = native.read_metadata(path)
    assert metadata["title"] == "A test"
    assert metadata["kind"] == generator.kind
    loaded = native.load(path)
    assert type(loaded) is type(generator)
    assert loaded.config == generator.config  # type: ignore[attr-defined]
    assert loaded.coarse_ws == generator.coarse_ws
    want = generator.state_dict()
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, want[name], rtol=0, atol=0, msg=name)
    with torch.no_grad():  # mapped tensors are aligned otherwise, which changes the order of some sums
        torch.testing.assert_close(image(loaded), image(generator), rtol=0, atol=1e-5)
    torch.testing.assert_close(loaded.w_mean, generator.w_mean, rtol=0, atol=0)
    torch.testing.assert_close(loaded.w_covariance, generator.w_covariance, rtol=0, atol=0)
    assert not any(tensor.is_meta for tensor in [*loaded.parameters(), *loaded.buffers()])


def test_changing_loaded_weights_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    native.save(tiny_mobile(), path)
    before = path.read_bytes()
    with torch.no_grad():
        for parameter in native.load(path).parameters():
            parameter.mul_(2)
    assert path.read_bytes() == before


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    path = rewritten(tmp_path, lambda tensors, metadata: tensors.update({k: v.half() for k, v in tensors.items()}))
    assert native.load(path).w_mean.dtype == torch.float32


def test_statistics_may_be_missing(tmp_path: Path) -> None:
    def drop(tensors: Tensors, metadata: Metadata) -> None:
        del tensors["w_mean"], tensors["w_covariance"]

    generator = native.load(rewritten(tmp_path, drop))
    torch.testing.assert_close(generator.w_mean, tiny_stylegan2().w_mean)


def rewritten(folder: Path, change: Callable[[Tensors, Metadata], object]) -> Path:
    """A sound file whose content was changed."""
    path = folder / "model.safetensors"
    native.save(tiny_stylegan2(), path)
    metadata = native.read_metadata(path)
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors, metadata)
    path.write_bytes(safetensors.torch.save(tensors, metadata))
    return path


def configured(**values: object) -> Callable[[Tensors, Metadata], object]:
    """A change that puts values into the configuration."""

    def change(tensors: Tensors, metadata: Metadata) -> None:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | values)

    return change


WEIGHT = "synthesis_network.b8.conv0.weight"
BAD_CONTENT: dict[str, tuple[Callable[[Tensors, Metadata], object], str]] = {
    "tensor missing": (lambda t, m: t.pop(WEIGHT), f"no tensor {WEIGHT}"),
    "mapping missing": (lambda t, m: [t.pop(k) for k in list(t) if k.startswith("mapping")], "mapping_network"),
    "everything missing": (lambda t, m: t.clear(), "the blocks"),
    "tensor too much": (lambda t, m: t.update(surprise=torch.ones(1)), "surprise has no place"),
    "other shape": (lambda t, m: t.update({WEIGHT: torch.ones(10, 12, 5, 5)}), "has shape"),
    "other dimensions": (lambda t, m: t.update({"mapping_network.fc0.weight": torch.ones(3)}), "not 2 dimensions"),
    "integers": (lambda t, m: t.update({WEIGHT: torch.ones(10, 12, 3, 3, dtype=torch.int32)}), "not real numbers"),
    "gap in the blocks": (
        lambda t, m: t.update({"synthesis_network.b64.conv1.weight": torch.ones(8, 8, 3, 3)}),
        "not 4, 8, 16",
    ),
    "gap in the mapping": (lambda t, m: t.update({"mapping_network.fc9.weight": torch.ones(1, 1)}), "numbered"),
    "statistics of another size": (lambda t, m: t.update(w_mean=torch.ones(5)), "w_mean has shape"),
    "covariance of another size": (lambda t, m: t.update(w_covariance=torch.ones(5, 5)), "w_covariance has shape"),
    "no format": (lambda t, m: m.pop("format"), "not a krita-drag model file"),
    "future version": (lambda t, m: m.update(version="2"), "version 2"),
    "unknown kind": (lambda t, m: m.update(kind="stylegan9"), "unknown kind “stylegan9”"),
    "wrong kind": (lambda t, m: m.update(kind="mobilestylegan"), "blocks"),
    "config not JSON": (lambda t, m: m.update(config="{"), "not JSON"),
    "config not an object": (lambda t, m: m.update(config="[1]"), "not a JSON object"),
    "sizes contradict": (configured(resolution=1024), "the metadata says resolution 1024, the tensors say 16"),
    "channels contradict": (configured(channels={"4": 12, "8": 10, "16": 9}), "the metadata says channels"),
    "architecture contradicts": (configured(architecture="resnet"), "the tensors say skip"),
    "clamp not a number": (configured(conv_clamp="much"), "conv_clamp"),
    "clamp negative": (configured(conv_clamp=-1), "conv_clamp"),
    "rows not a count": (configured(coarse_ws=1.5), "coarse_ws"),
    "fp16 negative": (configured(fp16_resolution=-8), "fp16_resolution"),
}


@pytest.mark.parametrize("name", BAD_CONTENT)
def test_bad_content_is_refused(name: str, tmp_path: Path) -> None:
    change, message = BAD_CONTENT[name]
    with pytest.raises(CheckpointError, match=message):
        native.load(rewritten(tmp_path, change))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"<!DOCTYPE html>", b"\x80\x02}q\x00.", struct.pack("<Q", 1 << 62) + b"{}", bytes(100)],
    ids=["empty", "one byte", "web page", "pickle", "huge header", "zeros"],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        native.load(path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    native.save(tiny_stylegan2(), path)
    whole = path.read_bytes()
    for length in (4, 8, 100, 2000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="a part of it is missing"):
            native.load(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 3999), value=st.integers(0, 255))
def test_damaged_headers_never_surprise(position: int, value: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    whole = tmp_path / "whole"
    if not whole.exists():
        native.save(tiny_stylegan2(), whole)
    data = bytearray(whole.read_bytes())
    data[position] = value
    path.write_bytes(data)
    try:
        assert isinstance(native.load(path), Generator)
    except CheckpointError as error:
        assert str(error)


def test_missing_file_is_an_operating_system_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        native.load(tmp_path / "nothing")


def test_openvino_files_hold_the_same_network(tmp_path: Path) -> None:
    generator = tiny_mobile()
    loaded = openvino_ir.load_mobile_stylegan(*write_ir(generator, tmp_path))
    assert loaded.config == generator.config
    for (name, ours), (_, theirs) in zip(
        sorted(generator.state_dict().items()), sorted(loaded.state_dict().items()), strict=True
    ):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<net", "<", "not XML"),
        ('offset="0"', 'offset="99999999"', "lies outside"),
        ('offset="0"', 'offset="-4"', "lies outside"),
        ('offset="0"', 'offset="here"', "not given in numbers"),
        ("m.conv1.bias", "m.other.bias", "belongs to no MobileStyleGAN"),
        ('names="m.conv1.bias"', 'names="1"', "no tensor"),
    ],
)
def test_bad_openvino_files_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    mapping, synthesis = write_ir(tiny_mobile(), tmp_path)
    synthesis.write_text(synthesis.read_text().replace(old, new, 1))
    with pytest.raises(CheckpointError, match=message):
        openvino_ir.load_mobile_stylegan(mapping, synthesis)


def test_truncated_openvino_weights_are_refused(tmp_path: Path) -> None:
    mapping, synthesis = write_ir(tiny_mobile(), tmp_path)
    weights = synthesis.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="lies outside"):
        openvino_ir.load_mobile_stylegan(mapping, synthesis)


def test_mapping_network_given_twice_is_refused(tmp_path: Path) -> None:
    mapping, _ = write_ir(tiny_mobile(), tmp_path)
    with pytest.raises(CheckpointError):
        openvino_ir.load_mobile_stylegan(mapping, mapping)
