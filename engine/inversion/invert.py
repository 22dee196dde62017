"""The inversion of one photo, from start to end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from krita_drag.wire.errors import BadOption, InversionFailed
from torch import Tensor

from engine.align import Crop
from engine.device import memory_guard
from engine.images import Picture, to_tensor
from engine.inversion.losses import PyramidLoss
from engine.inversion.project import InversionStep, Projection
from engine.models import Model

DEFAULT_STEPS = 200


@dataclass(frozen=True)
class Inversion:
    """What was found for a photo.

    Attributes:
        w_plus: the latent, (1, num_ws, w_dim).
        crop: the square of the photo that it stands for.
        loss: its distance to the photo, measured on a full rendering.
        steps: steps made.
        seconds: time they took.
        notes: sentences for the user.
    """

    w_plus: Tensor
    crop: Crop
    loss: float
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()


def invert(
    picture: Picture,
    model: Model,
    crop: Crop,
    *,
    steps: int = DEFAULT_STEPS,
    on_step: Callable[[InversionStep], bool | None] | None = None,
) -> Inversion:
    """Find the latent that draws what a photo shows in a square; the same input gives the same latent.

    Args:
        picture: upright picture; what is transparent does not count.
        model: loaded model.
        crop: the square.
        steps: more are better and slower; most are cheap, every tenth renders in full.
        on_step: told after every step; returning False stops there and keeps the best so far.

    Raises:
        BadOption: fewer steps than one.
        InversionFailed: the search left the numbers, or the square shows nothing of the picture.
        OutOfMemory: the device's memory does not suffice.
    """
    if steps < 1:
        raise BadOption("An inversion takes at least one step.", f"The usual number is {DEFAULT_STEPS}.")
    began = time.perf_counter()
    generator = model.generator
    opaque = np.full(picture.rgb.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    weight = torch.from_numpy(crop.extract(opaque).astype(np.float32) / 255)[None, None].to(generator.w_mean)
    if not weight.any():
        raise InversionFailed("The part that the model would see is empty.", "Choose a picture with something in it.")
    target = to_tensor(crop.extract(picture.rgb)).to(generator.w_mean)
    best: InversionStep | None = None
    done = 0
    with memory_guard(generator.w_mean.device), torch.enable_grad():
        for step in Projection(generator, PyramidLoss(target, weight)).run(steps):
            done = step.step
            if not math.isfinite(step.loss):
                break
            if step.exact and (best is None or step.loss < best.loss):
                best = step
            if on_step is not None and on_step(step) is False:
                break
    if best is None:
        raise InversionFailed("No latent was found that draws this picture.", "Try another picture or model.")
    return Inversion(best.w_plus, crop, best.loss, done, time.perf_counter() - began)
