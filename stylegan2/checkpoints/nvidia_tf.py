"""NVIDIA's TensorFlow pickles: StyleGAN2 as first published (Karras et al. 2020), and stylegan2-ada for TensorFlow.

Such a file is a tuple of three `dnnlib.tflib.network.Network`: G, D and the averaged G. A network is a list of named
variables, a dict of settings, networks in it (`mapping`, `synthesis`), and a text with source code that nobody looks
at. TensorFlow keeps kernels as (height, width, in, out), matrices as (in, out), kernels of upsampling convolutions
turned by 180 degrees, and the scale of a style as its difference from one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from stylegan2.checkpoints.contents import (
    Checkpoint,
    StoredNetwork,
    as_float,
    build_discriminator,
    build_generator,
)
from stylegan2.checkpoints.inert import Array, Budget, Instance, NumpyArray, NumpyType, plain, shown
from stylegan2.checkpoints.pickle_names import TENSORFLOW_NETWORK
from stylegan2.discriminator import Discriminator
from stylegan2.errors import CheckpointError, UnsupportedCheckpoint
from stylegan2.generator import StyleGAN2Generator

ROLES = ("G", "D", "G_ema")
MAX_KERNEL = 3  # side of a convolution's kernel
_SETTINGS = {  # what may differ from StyleGAN2 as it is computed here -> the values that do not
    "resample_kernel": ([1, 3, 3, 1],),
    "nonlinearity": ("lrelu",),
    "mapping_nonlinearity": ("lrelu",),
    "fused_modconv": (True, False),
    "normalize_latents": (True,),
    "num_channels": (3,),
}
_Change = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _matrix(tensor: Tensor) -> Tensor:
    return tensor.t()


def _kernel(tensor: Tensor, turned: bool = False) -> Tensor:
    """(height, width, in, out) -> (out, in, height, width), 2.5 times as fast as permuting all at once."""
    height, width, inputs, outputs = tensor.shape
    if max(height, width) > MAX_KERNEL:
        raise ValueError("no kernel of StyleGAN2")
    taps = tensor.reshape(height * width, inputs, outputs).unbind()
    result = torch.empty(outputs, inputs, len(taps))
    matrix = torch.empty(outputs, inputs)  # one for all: fresh memory costs more than what is written to it
    written = result.numpy()  # numpy spreads numbers without threads, which on a busy machine wait for each other
    for place, tap in enumerate(reversed(taps) if turned else taps):
        written[:, :, place] = matrix.copy_(tap.t()).numpy()
    return result.view(outputs, inputs, height, width)


def _turned_kernel(tensor: Tensor) -> Tensor:
    return _kernel(tensor, turned=True)


def _plus_one(tensor: Tensor) -> Tensor:
    return tensor + 1


def _first(tensor: Tensor) -> Tensor:
    return tensor[0]


_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
_PARTS: dict[str, tuple[str, _Change]] = {
    "bias": ("bias", _same),
    "noise_strength": ("noise_strength", _same),
    "mod_weight": ("affine.weight", _matrix),
    "mod_bias": ("affine.bias", _plus_one),
}
_D_LAYERS = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip"}


def matches(root: object) -> bool:
    """Whether a pickle is such a file."""
    return isinstance(root, tuple) and len(root) == 3 and all(_is_network(part) for part in root)


def read(root: tuple[Instance, Instance, Instance], budget: Budget) -> Checkpoint:
    """Describe the networks of a file.

    Raises:
        CheckpointError: a network is not put together as it should be.
    """
    networks = {role: _describe(role, network, budget) for role, network in zip(ROLES, root, strict=True)}
    return Checkpoint("NVIDIA TensorFlow pickle", networks, {})


def _is_network(value: object) -> bool:
    return isinstance(value, Instance) and value.class_name == TENSORFLOW_NETWORK


def _describe(role: str, network: Instance, budget: Budget) -> StoredNetwork:
    state = network.state or {}
    arrays = dict(_variables(network, "", budget, 0))
    settings = plain(state.get("static_kwargs") or {}, budget)
    if not isinstance(settings, dict):
        raise CheckpointError("the settings of a network in it are no dict")
    build: Callable[[], StyleGAN2Generator | Discriminator]
    if role == "D":
        build = lambda: _build_discriminator(arrays, settings)  # noqa: E731
    else:
        build = lambda: _build_generator(arrays, settings)  # noqa: E731
    return StoredNetwork(shown(state.get("name", role)), settings, arrays, build)


def _variables(network: object, path: str, budget: Budget, depth: int) -> Iterator[tuple[str, Array]]:
    """The variables of a network and of those in it, by path."""
    budget.take_node(depth)
    if not isinstance(network, Instance) or not _is_network(network) or network.state is None:
        raise CheckpointError(f"{shown(path) or 'a part of it'} is no network")
    variables, components = network.state.get("variables") or [], network.state.get("components") or {}
    if not isinstance(variables, list | tuple) or not isinstance(components, dict):
        raise CheckpointError(f"{shown(path) or 'a network in it'} is not put together as a network")
    for pair in variables:
        budget.take_node(depth)
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str)):
            raise CheckpointError(f"a variable of {shown(path) or 'a network in it'} has no name or no value")
        name, value = pair
        if isinstance(value, float | int):  # TensorFlow's scalars
            data = memoryview(bytearray(struct.pack("<d", value)))
            value = NumpyArray((), NumpyType("f8"), False, data)
        if not isinstance(value, NumpyArray):
            raise CheckpointError(f"the variable {shown(path + name)} is no array")
        yield path + name, value
    for name, component in components.items():
        yield from _variables(component, f"{path}{name}/", budget, depth + 1)


def _build_generator(arrays: dict[str, Array], settings: dict[str, Any]) -> StyleGAN2Generator:
    if "synthesis/4x4/Conv/mod_weight" not in arrays:
        raise UnsupportedCheckpoint("it holds a network of another kind than StyleGAN2, perhaps the first StyleGAN")
    _check_settings(settings)
    tensors = _translate(arrays, _generator_name, _resolution(settings, arrays))
    w_mean = tensors.pop("w_mean", None)
    clamp = settings.get("conv_clamp")
    if clamp is not None and (isinstance(clamp, bool) or not isinstance(clamp, int | float) or not clamp > 0):
        raise CheckpointError(f"conv_clamp in it is {shown(clamp)}, not a positive number")
    rate = settings.get("mapping_lrmul") or 0.01
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6:
        raise CheckpointError(f"mapping_lrmul in it is {shown(rate)}, not a positive number")
    return build_generator(
        tensors, w_mean, conv_clamp=clamp, fp16_resolution=4 if clamp is not None else 0, mapping_rate=float(rate)
    )


def _build_discriminator(arrays: dict[str, Array], settings: dict[str, Any]) -> Discriminator:
    _check_settings(settings)
    group_size = settings.get("mbstd_group_size") or 4
    if not isinstance(group_size, int) or group_size < 1:
        raise CheckpointError(f"the group size of its discriminator is {shown(group_size)}")
    return build_discriminator(
        _translate(arrays, _discriminator_name, _resolution(settings, arrays)), settings.get("conv_clamp"), group_size
    )


def _check_settings(settings: dict[str, Any]) -> None:
    for name, allowed in _SETTINGS.items():
        if settings.get(name) is not None and settings[name] not in allowed:
            raise UnsupportedCheckpoint(f"its setting {name} is {shown(settings[name])}, which is not supported")


def _resolution(settings: dict[str, Any], arrays: dict[str, Array]) -> int:
    """Side of the pictures, which the names of layers to and from RGB count down from."""
    found = [int(m[1]) for name in arrays if (m := re.match(r"(?:synthesis/)?(\d{1,5})x\1/", name))]
    largest = max(found, default=0)
    said = settings.get("resolution", largest)
    if said != largest:
        raise CheckpointError(f"its settings say {shown(said)} px, its variables say {largest} px")
    return largest


def _translate(
    arrays: dict[str, Array], rename: Callable[[str], tuple[str, _Change] | None], resolution: int
) -> dict[str, Tensor]:
    """The variables under our names, in our order of dimensions."""
    tensors = {}
    for name, array in arrays.items():
        if name.rpartition("/")[2] == "lod":  # progress of growing, unused
            continue
        if match := re.search(r"(ToRGB|FromRGB)_lod(\d{1,2})", name):
            if match[2] != "0":  # of a network that grew: left behind at lower resolutions
                continue
            name = name.replace(match[0], f"{resolution}x{resolution}/{match[1]}")
        found = rename(name)
        if found is None:
            raise UnsupportedCheckpoint(f"it has a variable {shown(name)} that StyleGAN2 does not have")
        ours, change = found
        values = as_float(name, array)
        try:
            tensors[ours] = change(values)
        except (RuntimeError, IndexError, ValueError) as error:
            raise CheckpointError(f"{shown(name)} has the shape {array.shape}, which does not fit") from error
    return tensors


def _generator_name(name: str) -> tuple[str, _Change] | None:
    if name == "dlatent_avg":
        return "w_mean", _same
    if match := re.fullmatch(r"mapping/(?:(LabelEmbed)|Dense(\d{1,2}))/(weight|bias)", name):
        layer = "embed" if match[1] else f"fc{int(match[2])}"
        return f"mapping_network.{layer}.{match[3]}", _matrix if match[3] == "weight" else _same
    if name == "synthesis/4x4/Const/const":
        return "synthesis_network.b4.const", _first
    if match := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        number = int(match[1])
        place = f"b{4 << (number + 1) // 2}.conv{0 if number % 2 else 1}"
        return f"synthesis_network.{place}.noise_const", lambda noise: noise[0, 0]
    if match := re.fullmatch(r"synthesis/(\d{1,5})x\1/(\w+)/(\w+)", name):
        resolution, layer, part = match.groups()
        if layer in _LAYERS and (part in _PARTS or part == "weight"):
            turned = layer in ("Conv0_up", "Skip")
            end, change = _PARTS.get(part, (part, _turned_kernel if turned else _kernel))
            return f"synthesis_network.b{resolution}.{_LAYERS[layer]}.{end}", change
    return None


def _discriminator_name(name: str) -> tuple[str, _Change] | None:
    if match := re.fullmatch(r"(?:(LabelEmbed)|Mapping(\d{1,2}))/(weight|bias)", name):
        layer = "embed" if match[1] else f"fc{int(match[2])}"
        return f"mapping.{layer}.{match[3]}", _matrix if match[3] == "weight" else _same
    if match := re.fullmatch(r"(4x4/Dense0|Output)/(weight|bias)", name):
        layer = "out" if match[1] == "Output" else "fc"
        return f"b4.{layer}.{match[2]}", _matrix if match[2] == "weight" else _same
    if match := re.fullmatch(r"(\d{1,5})x\1/(\w+)/(weight|bias)", name):
        resolution, layer, part = match.groups()
        ours = "conv" if (resolution, layer) == ("4", "Conv") else _D_LAYERS.get(layer)
        if ours is not None:
            return f"b{resolution}.{ours}.{part}", _kernel if part == "weight" else _same
    return None
