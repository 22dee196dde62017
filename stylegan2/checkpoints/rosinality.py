"""Checkpoints of the PyTorch port by Kim Seonghyeon ("rosinality") and of everything trained with it.

Such a file is a dict of state dicts: `g_ema`, and from a training run also `g`, `d` and more. The numbers of layers
in its names count through the network; ours say at which resolution they work. Two differences in the maths: kernels
are scaled before they are demodulated, so the scale goes into the weights here; and the mean of w may be missing.
"""

from __future__ import annotations

import math
import re
from typing import Any

from torch import Tensor

from stylegan2.checkpoints.contents import (
    Checkpoint,
    StoredNetwork,
    as_float,
    build_discriminator,
    build_generator,
    collect,
)
from stylegan2.checkpoints.inert import Array, Budget, Instance, NumpyArray, TensorView, plain, shown
from stylegan2.discriminator import Discriminator
from stylegan2.errors import UnsupportedCheckpoint
from stylegan2.generator import StyleGAN2Generator

ROLES = {"g_ema": "G_ema", "g": "G"}
_MARK = "convs.0.conv.modulation.weight"  # of a generator; "convs.0.0.weight" of a discriminator

# end of a name within a modulated convolution -> end of our name
_CONVOLUTION = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "activate.bias": "bias",
    "noise.weight": "noise_strength",
    "bias": "bias",  # of layers to RGB
}
_EPILOGUE = {"final_conv.0": "conv", "final_conv.1": "conv", "final_linear.0": "fc", "final_linear.1": "out"}


def matches(root: object) -> bool:
    """Whether the content of a file of torch.save is such a checkpoint, or the bare state dict of its generator."""
    return isinstance(root, dict) and (
        _MARK in root or any(isinstance(root.get(key), dict) and _MARK in root[key] for key in ROLES)
    )


def read(root: dict[str, Any], budget: Budget) -> Checkpoint:
    """Describe the networks of a file.

    Raises:
        CheckpointError: its parts are not state dicts.
    """
    arguments = root.get("args")
    told = plain(arguments.state or {}, budget) if isinstance(arguments, Instance) else {}
    states = {"G_ema": root} if _MARK in root else {role: root[key] for key, role in ROLES.items() if key in root}
    w_mean = root.get("latent_avg")
    networks = {}
    for role, state in states.items():
        networks[role] = _generator(collect(state, budget), w_mean, told)
    if isinstance(root.get("d"), dict):
        arrays = collect(root["d"], budget)
        networks["D"] = StoredNetwork("Discriminator", told, arrays, lambda: _build_discriminator(arrays))
    settings = {"iteration": plain(root["iteration"], budget)} if "iteration" in root else {}
    return Checkpoint("rosinality PyTorch checkpoint", networks, settings)


def _generator(arrays: dict[str, Array], w_mean: object, arguments: dict[str, Any]) -> StoredNetwork:
    mean = w_mean if isinstance(w_mean, TensorView | NumpyArray) else None
    return StoredNetwork("Generator", arguments, arrays, lambda: _build_generator(arrays, mean))


def _build_generator(arrays: dict[str, Array], mean: Array | None) -> StyleGAN2Generator:
    tensors: dict[str, Tensor] = {}
    for name, array in arrays.items():
        if name.endswith(".kernel"):  # the low-pass filter
            continue
        ours = _generator_name(name)
        tensors[ours] = _reshaped(ours, as_float(name, array))
    w_mean = as_float("latent_avg", mean).flatten() if mean is not None else None
    return build_generator(tensors, w_mean)


def _generator_name(name: str) -> str:
    if match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):  # style.0 normalises z
        return f"mapping_network.fc{int(match[1]) - 1}.{match[2]}"
    if name == "input.input":
        return "synthesis_network.b4.const"
    if match := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        return f"synthesis_network.{_convolution(int(match[1]) - 1)}.noise_const"
    if match := re.fullmatch(r"(conv1|convs\.(\d{1,2})|to_rgb1|to_rgbs\.(\d{1,2}))\.(.+)", name):
        layer, conv, rgb, end = match.groups()
        if rgb is not None or layer == "to_rgb1":
            place = f"b{8 << int(rgb) if rgb is not None else 4}.torgb"
        else:
            place = _convolution(int(conv) if conv is not None else -1)
        if end in _CONVOLUTION:
            return f"synthesis_network.{place}.{_CONVOLUTION[end]}"
    raise UnsupportedCheckpoint(f"its generator has a tensor {shown(name)} that StyleGAN2 does not have")


def _convolution(number: int) -> str:
    """Our name of the convolution with a number in `convs`; -1 is the one before them, at 4 px."""
    return f"b{4 << (number + 2) // 2}.conv{1 if number % 2 else 0}"


def _reshaped(name: str, tensor: Tensor) -> Tensor:
    """Drop the dimensions of length one that this port keeps, and scale kernels."""
    if name.endswith(("torgb.bias", "noise_strength")):  # (1, 3, 1, 1) and (1,)
        return tensor.flatten() if name.endswith("bias") else tensor.squeeze()
    if name.endswith("noise_const"):  # (1, 1, R, R)
        return tensor.flatten(0, 1)[0] if tensor.ndim == 4 and tensor.shape[:2] == (1, 1) else tensor
    leading = {"const": 4, "torgb.weight": 5, "conv0.weight": 5, "conv1.weight": 5}
    if any(name.endswith(end) and tensor.ndim == rank for end, rank in leading.items()) and len(tensor) == 1:
        tensor = tensor[0]
    if name.endswith(("conv0.weight", "conv1.weight")) and tensor.ndim == 4:
        tensor = tensor / math.sqrt(math.prod(tensor.shape[1:]) or 1)
    return tensor


def _build_discriminator(arrays: dict[str, Array]) -> Discriminator:
    blocks = {int(m[1]) for name in arrays if (m := re.fullmatch(r"convs\.(\d{1,2})\.conv1\.0\.weight", name))}
    top = 4 << max(blocks, default=0)
    tensors = {}
    for name, array in arrays.items():
        if not name.endswith(".kernel"):
            tensors[_discriminator_name(name, top)] = as_float(name, array)
    return build_discriminator(tensors)


def _discriminator_name(name: str, resolution: int) -> str:
    """Our name of a tensor; blocks are numbered from the picture's resolution downwards."""
    if match := re.fullmatch(r"convs\.0\.(?:0|1)\.(weight|bias)", name):
        return f"b{resolution}.fromrgb.{match[1]}"
    if match := re.fullmatch(r"convs\.(\d{1,2})\.(conv1|conv2|skip)\.\d\.(weight|bias)", name):
        ours = {"conv1": "conv0", "conv2": "conv1", "skip": "skip"}[match[2]]
        return f"b{resolution >> (int(match[1]) - 1)}.{ours}.{match[3]}"
    start, _, end = name.rpartition(".")
    if start in _EPILOGUE and end in ("weight", "bias"):
        return f"b4.{_EPILOGUE[start]}.{end}"
    raise UnsupportedCheckpoint(f"its discriminator has a tensor {shown(name)} that StyleGAN2 does not have")
