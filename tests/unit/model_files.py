"""Tiny generators in every format that the engine reads, and packages that carry them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from engine.catalogue import CATALOGUE, DEFAULT_MODEL, Entry
from engine.packages import Wheel
from stylegan2 import StyleGAN2Config, StyleGAN2Generator
from stylegan2.mobile import MobileConfig, MobileStyleGAN


def tiny_stylegan2(architecture: str = "skip", c_dim: int = 0) -> StyleGAN2Generator:
    """A random 16-px StyleGAN2."""
    torch.manual_seed(0)
    config = StyleGAN2Config(
        z_dim=12,
        c_dim=c_dim,
        w_dim=16,
        resolution=16,
        channels={4: 12, 8: 10, 16: 8},
        architecture=architecture,  # type: ignore[arg-type]
        mapping_layers=2,
        conv_clamp=256.0,
        fp16_resolution=8,
        coarse_ws=3,
    )
    return StyleGAN2Generator(config).requires_grad_(False)


def tiny_mobile() -> MobileStyleGAN:
    """A random 32-px MobileStyleGAN with noise."""
    torch.manual_seed(0)
    generator = MobileStyleGAN(MobileConfig(z_dim=16, w_dim=16, channels=(16, 16, 8), mapping_layers=2))
    for name, buffer in generator.named_buffers():
        if name.endswith("noise"):
            buffer.normal_()
    return generator.requires_grad_(False)


def write_ir(generator: MobileStyleGAN, folder: Path) -> tuple[Path, Path]:
    """Write a MobileStyleGAN as the two OpenVINO networks, named as in the published package."""
    state = generator.state_dict()
    mapping = []
    for i in range(generator.config.mapping_layers):
        mapping.append(("1", torch.ones(1, 1)))  # constants of the graph stand between the weights
        mapping.append((str(173 + 4 * i), state[f"mapping_network.layers.{i}.weight"]))
        mapping.append((str(174 + 4 * i), state[f"mapping_network.layers.{i}.bias"]))
    top = len(generator.blocks) - 1
    synthesis = [*_affine(f"m.layers.{top}.to_img.conv", state, "rgb_affine"), ("m.input.input", state["const"][None])]
    synthesis += _affine("m.conv1.conv", state, "first.affine")
    synthesis += [("m.conv1.conv.weight", state["first.weight"]), *_noise_and_bias("m.conv1", state, "first")]
    for i in range(top + 1):
        synthesis += _affine(f"m.layers.{i}.up", state, f"blocks.{i}.up")
        for conv in ("conv1", "conv2"):
            theirs, ours = f"m.layers.{i}.{conv}", f"blocks.{i}.{conv}"
            synthesis += _affine(f"{theirs}.conv", state, f"{ours}.affine")
            synthesis.append((f"{theirs}.conv.weight_dw", state[f"{ours}.depthwise"][:, None]))
            synthesis.append((f"{theirs}.conv.weight_permute", state[f"{ours}.pointwise"]))
            synthesis += _noise_and_bias(theirs, state, ours)
    synthesis.append((f"m.layers.{top}.to_img.conv.weight", state["rgb_weight"]))
    synthesis.append((f"m.layers.{top}.to_img.bias", state["rgb_bias"][None, :, None, None]))
    folder.mkdir(parents=True, exist_ok=True)
    return _write_network(folder / "MappingNetwork.xml", mapping), _write_network(
        folder / "SynthesisNetwork.xml", synthesis
    )


def tiny_entry(folder: Path) -> tuple[Entry, bytes]:
    """The catalogue's entry for `faces`, for a package with a tiny network; and that package."""
    write_ir(tiny_mobile(), folder)
    data = io.BytesIO()
    real = CATALOGUE[DEFAULT_MODEL]
    with zipfile.ZipFile(data, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"random_face/data/{file.name}")
        archive.writestr(real.licence_file, "Terms of the package.")
        archive.writestr(
            "random_face-2021.7.21.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: random-face\nVersion: 2021.7.21.1\nRequires-Dist: not-there\n",
        )
        archive.writestr(
            "random_face-2021.7.21.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("random_face-2021.7.21.1.dist-info/RECORD", "")
        archive.writestr("padding", b"x" * 500_000)  # room for faults in the middle
    content = data.getvalue()
    wheel: Wheel = replace(real.wheel, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    return replace(real, wheel=wheel), content


def _affine(theirs: str, state: dict[str, Tensor], ours: str) -> list[tuple[str, Tensor]]:
    return [
        (f"{theirs}.modulation.weight", state[f"{ours}.weight"]),
        (f"{theirs}.modulation.bias", state[f"{ours}.bias"][None]),
    ]


def _noise_and_bias(theirs: str, state: dict[str, Tensor], ours: str) -> list[tuple[str, Tensor]]:
    return [
        ("1531", state[f"{ours}.noise"][None, None]),
        (f"{theirs}.bias", state[f"{ours}.bias"][None, :, None, None]),
    ]


def _write_network(xml: Path, constants: list[tuple[str, Tensor]]) -> Path:
    root = ElementTree.Element("net", name=xml.stem, version="10")
    layers = ElementTree.SubElement(root, "layers")
    data = b""
    for i, (name, value) in enumerate(constants):
        layer = ElementTree.SubElement(layers, "layer", id=str(i), name=f"Const_{i}", type="Const")
        raw = value.contiguous().numpy().astype("<f4").tobytes()
        shape = ", ".join(str(side) for side in value.shape)
        ElementTree.SubElement(
            layer, "data", element_type="f32", shape=shape, offset=str(len(data)), size=str(len(raw))
        )
        ElementTree.SubElement(ElementTree.SubElement(layer, "output"), "port", id="0", names=name)
        data += raw
    ElementTree.ElementTree(root).write(xml)
    xml.with_suffix(".bin").write_bytes(data)
    return xml
