"""NVIDIA's PyTorch pickles: stylegan2-ada-pytorch, the stylegan2 configurations of stylegan3, DragGAN's models.

Such a file is a dict with the networks `G`, `D` and `G_ema`. A network is its `__dict__`, module by module, and a
text with the source code of its class, which the official loader runs and we never look at. All that matters is in
the `__dict__`s: tensors, and for each layer what clamps it, how it is activated and how its weights are scaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stylegan2.checkpoints.contents import (
    Checkpoint,
    StoredNetwork,
    as_float,
    build_discriminator,
    build_generator,
    collect,
)
from stylegan2.checkpoints.inert import Array, Budget, Instance, TensorView, plain, shown
from stylegan2.errors import CheckpointError, UnsupportedCheckpoint
from stylegan2.generator import StyleGAN2Generator
from stylegan2.ops import FIR_TAPS

ROLES = ("G_ema", "G", "D")
_MARK = "synthesis.b4.const"
_RENAMED = (("synthesis.", "synthesis_network."), ("mapping.", "mapping_network."))
# what constructors are told and tensors tell as well: argument -> attribute of our configuration
_TOLD = {"z_dim": "z_dim", "c_dim": "c_dim", "w_dim": "w_dim", "img_resolution": "resolution"}
_POSITIONS = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")

Attributes = dict[str, Any]  # dotted path of a layer's attribute -> plain value


def matches(root: object) -> bool:
    """Whether a pickle is such a file, or holds the bare state dicts of such networks."""
    return isinstance(root, dict) and (_MARK in root or any(_is_network(root.get(role)) for role in ROLES))


def read(root: dict[str, Any], budget: Budget) -> Checkpoint:
    """Describe the networks of a file.

    Raises:
        CheckpointError: a network is not put together as it should be.
    """
    if _MARK in root:
        return Checkpoint("NVIDIA PyTorch state dict", {"G_ema": _describe(root, budget)}, {})
    networks = {role: _describe(root[role], budget) for role in ROLES if _is_network(root.get(role))}
    settings = {str(key): plain(value, budget) for key, value in root.items() if key not in ROLES}
    return Checkpoint("NVIDIA PyTorch pickle", networks, settings)


def _is_network(value: object) -> bool:
    if isinstance(value, dict):
        return _MARK in value or "b4.conv.weight" in value
    return isinstance(value, Instance) and value.class_name.startswith("persistent:")


def _describe(network: Instance | dict[str, Any], budget: Budget) -> StoredNetwork:
    """One network; of a bare state dict nothing is known but its tensors, so it is taken not to clamp."""
    if isinstance(network, dict):
        return _stored("state dict", collect(network, budget), {}, {})
    arrays: dict[str, Array] = {}
    attributes: Attributes = {}
    for path, module in _modules(network, "", budget, 0):
        for name, value in [*_members(module, "_parameters", budget), *_members(module, "_buffers", budget)]:
            if isinstance(value, TensorView):
                arrays[path + name] = value
        for name, value in module.items():
            budget.take_node(0)
            if isinstance(value, str | int | float | bool):
                attributes[f"{path}{name}"] = value
    state = network.state or {}
    arguments = plain(state.get("_init_kwargs") or {}, budget)
    positional = state.get("_init_args") or ()
    if not isinstance(arguments, dict) or not isinstance(positional, tuple | list):
        raise CheckpointError("the arguments of a network in it are not arguments")
    arguments = dict(zip(_POSITIONS, plain(list(positional), budget), strict=False)) | arguments
    return _stored(network.class_name.removeprefix("persistent:"), arrays, attributes, arguments)


def _stored(name: str, arrays: dict[str, Array], attributes: Attributes, arguments: dict[str, Any]) -> StoredNetwork:
    is_generator = any(name.startswith("synthesis.") for name in arrays)
    build = _build_generator if is_generator else _build_discriminator
    return StoredNetwork(name, arguments, arrays, lambda: build(arrays, attributes, arguments))


def _modules(module: object, path: str, budget: Budget, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A network and all modules in it, each as its path (ending in a dot) and its `__dict__`."""
    budget.take_node(depth)
    if not isinstance(module, Instance) or not isinstance(module.state, dict):
        raise CheckpointError(f"{shown(path) or 'a network in it'} is no network")
    yield path, module.state
    for name, child in _members(module.state, "_modules", budget):
        if child is not None:
            yield from _modules(child, f"{path}{name}.", budget, depth + 1)


def _members(state: dict[str, Any], kind: str, budget: Budget) -> Iterator[tuple[str, object]]:
    members = state.get(kind) or {}
    if not isinstance(members, dict):
        raise CheckpointError(f"a module in it has strange {kind}")
    for name, member in members.items():
        budget.take_node(0)
        if not isinstance(name, str):
            raise CheckpointError(f"a module in it has strange {kind}")
        yield name, member


def _build_generator(arrays: dict[str, Array], attributes: Attributes, arguments: dict[str, Any]) -> StyleGAN2Generator:
    if _MARK not in arrays:
        other = "StyleGAN3" if any(name.startswith("synthesis.input.") for name in arrays) else "unknown"
        raise UnsupportedCheckpoint(f"it holds a network of the {other} kind, not a StyleGAN2")
    _check_layers(arrays, attributes)
    tensors = _tensors(arrays)
    w_mean = tensors.pop("mapping.w_avg", None)
    for theirs, ours in _RENAMED:
        tensors = {
            ours + name.removeprefix(theirs) if name.startswith(theirs) else name: t for name, t in tensors.items()
        }
    conv_clamp, resolution = _clamps(attributes)
    rate = attributes.get("mapping.fc0.bias_gain", 0.01)
    generator = build_generator(
        tensors, w_mean, conv_clamp=conv_clamp, fp16_resolution=resolution, mapping_rate=_positive("bias_gain", rate)
    )
    for argument, attribute in _TOLD.items():
        said, measured = arguments.get(argument), getattr(generator.config, attribute)
        if said is not None and said != measured:
            raise CheckpointError(f"its arguments say {argument} {shown(said)}, its tensors say {measured}")
    return generator


def _build_discriminator(arrays: dict[str, Array], attributes: Attributes, arguments: dict[str, Any]) -> Any:
    _check_layers(arrays, attributes)
    tensors = {name: tensor for name, tensor in _tensors(arrays).items() if name != "mapping.w_avg"}
    clamps = {value for name, value in attributes.items() if name.endswith(".conv_clamp")}
    group_size = attributes.get("b4.mbstd.group_size", 4)
    if not isinstance(group_size, int) or isinstance(group_size, bool) or group_size < 1:
        raise CheckpointError(f"the group size of its discriminator is {shown(group_size)}")
    return build_discriminator(tensors, _only(clamps), group_size)


def _tensors(arrays: dict[str, Array]) -> dict[str, Tensor]:
    return {name: as_float(name, array) for name, array in arrays.items() if not name.endswith("resample_filter")}


def _check_layers(arrays: dict[str, Array], attributes: Attributes) -> None:
    """Refuse layers that compute something else than ours, which the tensors alone would not show."""
    for name, value in attributes.items():
        last = name.rpartition(".")[2]
        if last == "activation" and value not in ("lrelu", "linear"):
            raise UnsupportedCheckpoint(f"its layer {shown(name)} is {shown(value)}, which is not supported")
    filters = [array for name, array in arrays.items() if name.endswith("resample_filter") and 0 not in array.shape]
    taps = torch.tensor(FIR_TAPS)
    expected = torch.outer(taps, taps) / taps.sum() ** 2
    for array in filters:
        values = array.values().float()
        if values.shape != expected.shape or not torch.allclose(values, expected, atol=1e-4):
            raise UnsupportedCheckpoint("its layers use a low-pass filter other than 1, 3, 3, 1")


def _clamps(attributes: Attributes) -> tuple[float | None, int]:
    """The bound on activations and the lowest resolution where it applies; (None, 0) where nothing is clamped."""
    clamped = {}
    layers = [name for name in attributes if name.startswith("synthesis.b") and name.endswith(".resolution")]
    resolutions = {attributes[name] for name in layers if isinstance(attributes[name], int)}
    for resolution in sorted(resolutions):
        value = attributes.get(f"synthesis.b{resolution}.conv1.conv_clamp")
        if value is not None:
            clamped[resolution] = _positive("conv_clamp", value)
        elif clamped:
            raise UnsupportedCheckpoint(f"it clamps activations below {resolution} px, but not there")
    return (_only(set(clamped.values())), min(clamped)) if clamped else (None, 0)


def _only(values: set[Any]) -> float | None:
    if len(values) > 1:
        raise UnsupportedCheckpoint("its layers clamp activations at several values")
    return _positive("conv_clamp", values.pop()) if values else None


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise CheckpointError(f"{name} in it is {shown(value)}, not a positive number")
    return float(value)
