"""Read a generator's sizes off the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from stylegan2.discriminator import DiscriminatorConfig
from stylegan2.errors import CheckpointError
from stylegan2.generator import StyleGAN2Config
from stylegan2.mobile import MobileConfig

Tensors = Mapping[str, Tensor]
MAX_RESOLUTION = 4096
MAX_MAP_ELEMENTS = 1 << 28  # of one feature map; eight times what NVIDIA's largest networks have


def stylegan2_config(
    tensors: Tensors, conv_clamp: float | None = None, fp16_resolution: int = 0, coarse_ws: int = 6
) -> StyleGAN2Config:
    """Infer a StyleGAN2 configuration.

    Args:
        tensors: name -> tensor, named as in `StyleGAN2Generator`.
        conv_clamp, fp16_resolution, coarse_ws: what tensors cannot tell; see `StyleGAN2Config`.

    Raises:
        CheckpointError: the names or shapes are not those of a StyleGAN2 generator.
    """
    prefix = "synthesis_network."
    resolutions = _numbers(tensors, r"synthesis_network\.b(\d{1,5})\.conv1\.weight")
    if not resolutions or resolutions != [4 << i for i in range(len(resolutions))]:
        raise CheckpointError(f"the blocks of the synthesis network are at {resolutions[:16]}, not 4, 8, 16, …")
    if resolutions[-1] > MAX_RESOLUTION:
        raise CheckpointError(f"pictures of {resolutions[-1]} px are beyond the limit of {MAX_RESOLUTION}")
    w_dim = _shape(tensors, f"{prefix}b4.conv1.affine.weight", 2)[1]
    base_width = _shape(tensors, f"{prefix}b4.const", 3)[2]
    if base_width not in (2, 4):  # others would not stay whole numbers of columns between equal margins
        raise CheckpointError(f"its pictures are {base_width}/4 as wide as high; 1 and 1/2 are supported")
    c_dim = embedded = 0
    if "mapping_network.embed.weight" in tensors:
        embedded, c_dim = _shape(tensors, "mapping_network.embed.weight", 2)
    channels = {r: _shape(tensors, f"{prefix}b{r}.conv1.weight", 4)[0] for r in resolutions}
    largest = max(resolutions, key=lambda r: channels[r] * r * r)
    if channels[largest] * largest**2 > MAX_MAP_ELEMENTS:
        raise CheckpointError(f"{channels[largest]} channels at {largest} px are beyond what can be computed")
    return StyleGAN2Config(
        z_dim=_shape(tensors, "mapping_network.fc0.weight", 2)[1] - embedded,
        c_dim=c_dim,
        w_dim=w_dim,
        resolution=resolutions[-1],
        channels=channels,
        architecture=_architecture(tensors),
        mapping_layers=_count(tensors, r"mapping_network\.fc(\d{1,2})\.weight"),
        conv_clamp=conv_clamp,
        fp16_resolution=fp16_resolution,
        coarse_ws=coarse_ws,
        base_width=base_width,
    )


def discriminator_config(tensors: Tensors, conv_clamp: float | None = None, group_size: int = 4) -> DiscriminatorConfig:
    """Infer the configuration of a StyleGAN2 discriminator.

    Args:
        tensors: name -> tensor, named as in `Discriminator`.
        conv_clamp, group_size: what tensors cannot tell; see `DiscriminatorConfig`.

    Raises:
        CheckpointError: the names or shapes are not those of such a discriminator.
    """
    resolutions = _numbers(tensors, r"b(\d{1,5})\.conv0\.weight")
    if not resolutions or resolutions != [8 << i for i in range(len(resolutions))] or resolutions[-1] > MAX_RESOLUTION:
        raise CheckpointError(f"the blocks of the discriminator are at {resolutions[:16]}, not 8, 16, …")
    c_dim = cmap_dim = 0
    if "mapping.embed.weight" in tensors:
        cmap_dim, c_dim = _shape(tensors, "mapping.embed.weight", 2)
    channels = {r: _shape(tensors, f"b{r}.conv0.weight", 4)[0] for r in resolutions}
    last_channels = _shape(tensors, "b4.conv.weight", 4)[0]
    is_narrow = _shape(tensors, "b4.fc.weight", 2)[1] == last_channels * 8
    return DiscriminatorConfig(
        resolution=resolutions[-1],
        channels={4: last_channels} | channels,
        architecture=_discriminator_architecture(tensors),
        c_dim=c_dim,
        cmap_dim=cmap_dim or None,
        mapping_layers=_count(tensors, r"mapping\.fc(\d{1,2})\.weight") if c_dim else 0,
        group_size=group_size,
        conv_clamp=conv_clamp,
        base_width=2 if is_narrow else 4,
    )


def mobile_config(tensors: Tensors) -> MobileConfig:
    """Infer a MobileStyleGAN configuration.

    Raises:
        CheckpointError: the names or shapes are not those of a MobileStyleGAN.
    """
    blocks = _count(tensors, r"blocks\.(\d{1,2})\.conv2\.pointwise")
    if 4 << blocks > MAX_RESOLUTION:
        raise CheckpointError(f"{blocks} blocks are beyond the limit of {MAX_RESOLUTION} px")
    w_dim, z_dim = _shape(tensors, "mapping_network.layers.0.weight", 2)
    tops = [_shape(tensors, f"blocks.{i}.conv2.pointwise", 4)[0] for i in range(blocks)]
    return MobileConfig(
        z_dim=z_dim,
        w_dim=w_dim,
        channels=(_shape(tensors, "const", 3)[0], *tops),
        mapping_layers=_count(tensors, r"mapping_network\.layers\.(\d{1,2})\.weight"),
    )


def _architecture(tensors: Tensors) -> Literal["orig", "skip", "resnet"]:
    if any(name.endswith(".skip.weight") for name in tensors):
        return "resnet"
    rgb_layers = sum(name.endswith(".torgb.weight") for name in tensors)
    return "skip" if rgb_layers > 1 else "orig"


def _discriminator_architecture(tensors: Tensors) -> Literal["orig", "skip", "resnet"]:
    if any(name.endswith(".skip.weight") for name in tensors):
        return "resnet"
    rgb_layers = sum(name.endswith(".fromrgb.weight") for name in tensors)
    return "skip" if rgb_layers > 1 else "orig"


def _numbers(tensors: Tensors, pattern: str) -> list[int]:
    """The numbers that `pattern` captures in the names, ascending."""
    return sorted({int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))})


def _count(tensors: Tensors, pattern: str) -> int:
    """How many layers there are, numbered from 0 without a gap."""
    numbers = _numbers(tensors, pattern)
    if not numbers or numbers != list(range(len(numbers))):
        raise CheckpointError(f"the layers {pattern} are numbered {numbers[:16]}, not 0, 1, 2, …")
    return len(numbers)


def _shape(tensors: Tensors, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors:
        raise CheckpointError(f"there is no tensor {name}")
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions:
        raise CheckpointError(f"{name} has shape {shape}, not {dimensions} dimensions")
    return shape
