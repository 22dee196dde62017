"""What a model file holds, once read: networks that are described and not yet built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor

from stylegan2.checkpoints.assemble import assemble
from stylegan2.checkpoints.inert import Array, Budget, NumpyArray, TensorView, shown
from stylegan2.checkpoints.sizes import discriminator_config, stylegan2_config
from stylegan2.discriminator import Discriminator
from stylegan2.errors import CheckpointError, UnsupportedCheckpoint
from stylegan2.generator import StyleGAN2Generator

GENERATORS = ("G_ema", "G")
ALIGNMENT_BYTES = 16
MAPPING_RATE = 0.01  # learning-rate multiplier of the mapping network in `stylegan2.mapping`


@dataclass(frozen=True)
class StoredNetwork:
    """One network of a file.

    Attributes:
        class_name: what the file calls it.
        arguments: how the file says it was made, JSON values.
        arrays: its tensors as the file names them, still inside the file.
        build: makes the network; its tensors may share memory with the file.
    """

    class_name: str
    arguments: dict[str, Any]
    arrays: Mapping[str, Array] = field(repr=False)
    build: Callable[[], StyleGAN2Generator | Discriminator] = field(repr=False)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(prod(array.shape) for array in self.arrays.values())


@dataclass(frozen=True)
class Checkpoint:
    """A model file.

    Attributes:
        format: who writes such files.
        networks: by role: "G_ema" (averaged over training, what one wants), "G", "D".
        settings: what else the file says about itself, JSON values.
    """

    format: str
    networks: dict[str, StoredNetwork]
    settings: dict[str, Any]

    def generator(self) -> StyleGAN2Generator:
        """Build the generator, the averaged one where there is one.

        Raises:
            CheckpointError: it contradicts itself.
            UnsupportedCheckpoint: it is no StyleGAN2, or there is none.
        """
        for role in GENERATORS:
            if role in self.networks:
                network = self.networks[role].build()
                assert isinstance(network, StyleGAN2Generator)
                return network
        raise UnsupportedCheckpoint("it has no generator")

    def discriminator(self) -> Discriminator:
        """Build the discriminator; errors as `generator`."""
        if "D" not in self.networks:
            raise UnsupportedCheckpoint("it has no discriminator")
        network = self.networks["D"].build()
        assert isinstance(network, Discriminator)
        return network


def collect(values: object, budget: Budget, prefix: str = "") -> dict[str, Array]:
    """The tensors of a state dict; what is not a tensor is left out.

    Raises:
        CheckpointError: it is no dict with texts for keys.
    """
    if not isinstance(values, dict):
        raise CheckpointError(f"{prefix or 'a network in it'} is no state dict")
    found: dict[str, Array] = {}
    for name, value in values.items():
        budget.take_node(1)
        if not isinstance(name, str):
            raise CheckpointError("a tensor in it has no name")
        if isinstance(value, TensorView | NumpyArray):
            found[prefix + name] = value
    return found


def as_float(name: str, array: Array) -> Tensor:
    """A tensor as float32, where it lies in the file if that can be."""
    values = array.values()
    if not values.dtype.is_floating_point:
        raise CheckpointError(f"{shown(name)} holds {values.dtype}, not real numbers")
    return values.float()


def _settled(tensor: Tensor) -> Tensor:
    """The same numbers, contiguous and at an address that vector instructions like."""
    if tensor.is_contiguous() and tensor.data_ptr() % ALIGNMENT_BYTES == 0:
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def build_generator(
    tensors: dict[str, Tensor],
    w_mean: Tensor | None,
    *,
    conv_clamp: float | None = None,
    fp16_resolution: int = 0,
    mapping_rate: float = MAPPING_RATE,
) -> StyleGAN2Generator:
    """Make a generator of tensors under our names; noise that the file does not have is zero.

    Args:
        tensors: named as in `StyleGAN2Generator`; the dict is changed, the tensors are not.
        w_mean: mean of w, (w_dim,), where the file has it.
        conv_clamp, fp16_resolution: see `StyleGAN2Config`.
        mapping_rate: learning-rate multiplier of the file's mapping network; ours has one, so weights are rescaled.
    """
    if mapping_rate != MAPPING_RATE:
        for name in tensors:
            if name.startswith("mapping_network.fc"):
                tensors[name] = tensors[name] * (mapping_rate / MAPPING_RATE)
    config = stylegan2_config(tensors, conv_clamp=conv_clamp, fp16_resolution=fp16_resolution)
    width = config.base_width
    for resolution in config.channels:
        for layer in ("conv0", "conv1"):
            name = f"synthesis_network.b{resolution}.{layer}"
            if f"{name}.weight" in tensors and f"{name}.noise_const" not in tensors:
                tensors[f"{name}.noise_const"] = torch.zeros(resolution, resolution * width // 4)
                tensors[f"{name}.noise_strength"] = torch.zeros([])
    settled = {name: _settled(tensor) for name, tensor in tensors.items()}
    generator = assemble(lambda: StyleGAN2Generator(config), settled)
    if w_mean is not None and tuple(w_mean.shape) != (config.w_dim,):
        raise CheckpointError(f"the mean of w has shape {tuple(w_mean.shape)}, not ({config.w_dim},)")
    generator.set_statistics(w_mean if w_mean is None else _settled(w_mean), None)
    return generator


def build_discriminator(
    tensors: dict[str, Tensor], conv_clamp: float | None = None, group_size: int = 4
) -> Discriminator:
    """Make a discriminator of tensors under our names."""
    config = discriminator_config(tensors, conv_clamp=conv_clamp, group_size=group_size)
    return assemble(lambda: Discriminator(config), {name: _settled(tensor) for name, tensor in tensors.items()})
