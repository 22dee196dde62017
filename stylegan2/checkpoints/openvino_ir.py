"""MobileStyleGAN from the OpenVINO files of the Python package random-face (Belousov 2021).

Such a network is a pair: an .xml file that lists the constants by name, shape and place, and a .bin file with their
bytes. Only constants are read; the graph between them is known. Most constants keep the names of the original
PyTorch modules; the noise maps do not, and are told by standing right before the bias of their layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from stylegan2.checkpoints.assemble import assemble
from stylegan2.checkpoints.sizes import mobile_config
from stylegan2.errors import CheckpointError
from stylegan2.mobile import MobileStyleGAN

# name in the file, without its leading "m." -> name in MobileStyleGAN
_NAMES = (
    (r"input\.input", "const"),
    (r"conv1\.conv\.modulation\.(weight|bias)", r"first.affine.\1"),
    (r"conv1\.conv\.weight", "first.weight"),
    (r"conv1\.bias", "first.bias"),
    (r"layers\.(\d+)\.up\.modulation\.(weight|bias)", r"blocks.\1.up.\2"),
    (r"layers\.(\d+)\.(conv[12])\.conv\.modulation\.(weight|bias)", r"blocks.\1.\2.affine.\3"),
    (r"layers\.(\d+)\.(conv[12])\.conv\.weight_dw", r"blocks.\1.\2.depthwise"),
    (r"layers\.(\d+)\.(conv[12])\.conv\.weight_permute", r"blocks.\1.\2.pointwise"),
    (r"layers\.(\d+)\.(conv[12])\.bias", r"blocks.\1.\2.bias"),
    (r"layers\.\d+\.to_img\.conv\.modulation\.(weight|bias)", r"rgb_affine.\1"),
    (r"layers\.\d+\.to_img\.conv\.weight", "rgb_weight"),
    (r"layers\.\d+\.to_img\.bias", "rgb_bias"),
)


def load_mobile_stylegan(mapping_xml: Path, synthesis_xml: Path) -> MobileStyleGAN:
    """Build the generator from its two networks.

    Args:
        mapping_xml: the network z -> w; its .bin lies beside it.
        synthesis_xml: the network w_plus -> picture; its .bin lies beside it.

    Raises:
        CheckpointError: a file is damaged or holds another network.
        OSError: a file cannot be read.
    """
    tensors = _mapping_tensors(dict(_constants(mapping_xml)))
    tensors |= _synthesis_tensors(list(_constants(synthesis_xml)))
    config = mobile_config(tensors)
    return assemble(lambda: MobileStyleGAN(config), tensors)


def _constants(xml: Path) -> Iterator[tuple[str, Tensor]]:
    """The float32 constants of a network in the order of its graph, by their original names."""
    data = xml.with_suffix(".bin").read_bytes()
    try:
        root = ElementTree.parse(xml).getroot()
    except ElementTree.ParseError as error:
        raise CheckpointError(f"{xml.name} is not XML ({error})") from error
    for layer in root.iterfind("layers/layer[@type='Const']"):
        where, port = layer.find("data"), layer.find("output/port")
        if where is None or port is None or where.get("element_type") != "f32":
            continue
        name = port.get("names") or layer.get("name") or "without a name"
        try:
            shape = [int(side) for side in where.get("shape", "").split(",") if side.strip()]
            start, size = int(where.get("offset", "")), int(where.get("size", ""))
        except ValueError as error:
            raise CheckpointError(f"the place of constant {name} in {xml.name} is not given in numbers") from error
        if start < 0 or size != 4 * prod(shape) or start + size > len(data):
            raise CheckpointError(f"constant {name} lies outside {xml.with_suffix('.bin').name}")
        values = np.frombuffer(data, np.dtype("<f4"), size // 4, start).astype(np.float32).reshape(shape)
        yield name, torch.from_numpy(values)


def _mapping_tensors(constants: dict[str, Tensor]) -> dict[str, Tensor]:
    """The fully connected layers; exported as matrices and vectors, in order, among constants of other shapes."""
    weights = [value for value in constants.values() if value.ndim == 2 and value.numel() > 1]
    biases = [value for value in constants.values() if value.ndim == 1 and value.numel() > 1]
    if len(weights) != len(biases):
        raise CheckpointError(f"the mapping network has {len(weights)} weights but {len(biases)} biases")
    tensors = {}
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        tensors[f"mapping_network.layers.{i}.weight"] = weight
        tensors[f"mapping_network.layers.{i}.bias"] = bias
    return tensors


def _synthesis_tensors(constants: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """The constants of the synthesis network under our names."""
    tensors: dict[str, Tensor] = {}
    noise = None
    for name, value in constants:
        if value.ndim == 4 and value.shape[:2] == (1, 1) and value.shape[2] == value.shape[3] > 1:
            noise = value[0, 0]
        if not name.startswith("m."):
            continue
        target = _rename(name.removeprefix("m."))
        tensors[target] = _reshape(target, value)
        if noise is not None and target.endswith(("first.bias", "conv1.bias", "conv2.bias")):
            tensors[target.removesuffix("bias") + "noise"] = noise
            noise = None
    return tensors


def _rename(name: str) -> str:
    for pattern, replacement in _NAMES:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    raise CheckpointError(f"the constant {name} belongs to no MobileStyleGAN")


def _reshape(name: str, value: Tensor) -> Tensor:
    """Drop the dimensions of length one that the graph needed for broadcasting."""
    if name.endswith("bias"):
        return value.flatten()
    if name.endswith("depthwise"):  # (C, 1, 1, 3, 3) -> (C, 1, 3, 3)
        return value.squeeze(2)
    return value.squeeze(0) if name == "const" else value
