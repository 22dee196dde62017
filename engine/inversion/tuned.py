"""Weights that one photo brings along: a generator that differs from the shared one in a few tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.models import Model
from stylegan2 import Generator
from stylegan2.mobile import SeparableLayer
from stylegan2.synthesis import SynthesisLayer

LOWEST_PX = 16  # layers below steer the composition, which the latent finds better


@dataclass(frozen=True)
class TunedModel(Model):
    """A model with the weights of one photo.

    Attributes:
        deltas: by which weights differ from those of the model's file, by name, half precision.
    """

    deltas: Mapping[str, Tensor]


def tuned_model(base: Model, deltas: Mapping[str, Tensor]) -> Model:
    """Give a model the weights of a photo; it shares all others with `base`, which stays as it is.

    Args:
        base: the shared model.
        deltas: as `TunedModel.deltas`; without any the model is returned as it is.

    Raises:
        KeyError, ValueError: as `with_weights`.
    """
    if not deltas:
        return base
    return TunedModel(base.info, with_deltas(base.generator, deltas), base.path, deltas, metric=base.metric)


def tunable(generator: Generator, resolution: int) -> dict[str, nn.Parameter]:
    """Name the weights that a tuning moves: kernels and biases of the convolutions up to `resolution`.

    The layers that turn latents into scales are left out, so that a direction of W keeps its meaning.
    """
    return {
        f"{name}.{key}": parameter
        for name, layer in generator.named_modules()
        if isinstance(layer, SynthesisLayer | SeparableLayer) and min(LOWEST_PX, resolution) <= layer.resolution
        if layer.resolution <= resolution
        for key, parameter in layer.named_parameters(recurse=False)
    }


def with_weights(generator: Generator, weights: Mapping[str, Tensor]) -> Generator:
    """View a generator with some weights replaced; everything else is shared, and the original is not touched.

    Args:
        generator: the shared one.
        weights: by the names of its parameters; leaf tensors may require gradients.

    Raises:
        KeyError: it has no parameter of that name.
        ValueError: a weight has another shape than the one it stands for.
    """
    tensors = [*generator.parameters(), *generator.buffers()]
    view = copy.deepcopy(generator, {id(tensor): tensor for tensor in tensors})
    parameters = dict(generator.named_parameters())
    for name, weight in weights.items():
        if weight.shape != parameters[name].shape:
            raise ValueError(f"{name} has the shape {tuple(parameters[name].shape)}, not {tuple(weight.shape)}")
        layer, _, key = name.rpartition(".")
        parameter = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, requires_grad=False)
        setattr(view.get_submodule(layer), key, parameter)
    return view


@torch.no_grad()
def with_deltas(generator: Generator, deltas: Mapping[str, Tensor]) -> Generator:
    """As `with_weights`, for offsets of weights in any precision; without any it is the generator itself."""
    if not deltas:
        return generator
    parameters = dict(generator.named_parameters())
    return with_weights(
        generator, {name: parameters[name] + delta.to(parameters[name]) for name, delta in deltas.items()}
    )
