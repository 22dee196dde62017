"""The inversion of one photo, from start to end: latent, then weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from krita_drag.wire.errors import InversionFailed
from torch import Tensor

from engine.align import Crop
from engine.device import memory_guard
from engine.images import Picture, to_tensor
from engine.inversion.losses import face_weight
from engine.inversion.presets import DEFAULT_PRESET, find_preset
from engine.inversion.search import Search
from engine.inversion.snapshot import Snapshot
from engine.inversion.steps import InversionStep
from engine.inversion.tuned import tuned_model
from engine.models import Model

ROUGH_LOSS = 0.5  # the average picture of a model comes to about 1, a face after the first third of `fast` to 0.4
ROUGH = "The model draws only roughly what the picture shows, so drags may lead to strange results."


@dataclass(frozen=True)
class Inversion:
    """What was found for a photo.

    Attributes:
        w_plus: the latent, (1, num_ws, w_dim).
        crop: the square of the photo that it stands for.
        loss: its distance to the photo, measured on a full rendering.
        steps: steps made.
        seconds: time they took.
        deltas: offsets of the generator's weights for this photo, by name, half precision; empty without tuning.
        notes: sentences for the user.
    """

    w_plus: Tensor
    crop: Crop
    loss: float
    steps: int
    seconds: float
    deltas: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def model(self, model: Model) -> Model:
        """A model with this photo's weights, which shares all others with the given one and leaves it untouched."""
        return tuned_model(model, self.deltas)


def invert(
    picture: Picture,
    model: Model,
    crop: Crop,
    *,
    preset: str = DEFAULT_PRESET,
    steps: int | None = None,
    on_step: Callable[[InversionStep], bool | None] | None = None,
) -> Inversion:
    """Find what makes a model draw what a photo shows in a square; the same input gives the same result.

    Args:
        picture, model, crop, preset, steps: as for `inverting`.
        on_step: told after every step; returning False stops there and keeps the best so far.

    Raises:
        BadOption, InversionFailed, OutOfMemory: as for `inverting`.
    """
    return drive(inverting(picture, model, crop, preset=preset, steps=steps), on_step)


@torch.enable_grad()
def inverting(
    picture: Picture,
    model: Model,
    crop: Crop,
    *,
    preset: str = DEFAULT_PRESET,
    steps: int | None = None,
    resumed: Snapshot | None = None,
) -> Generator[InversionStep, bool | None, Inversion]:
    """As `invert`, one step each time one is asked for; sending False ends it with the best so far.

    Args:
        picture: upright picture; what is transparent does not count.
        model: loaded model.
        crop: the square.
        preset: key of `engine.inversion.presets.PRESETS`.
        steps: share these out over the preset's stages instead of its own number.
        resumed: what a step of the same inversion, with the same arguments, told in another process: goes on there.

    Yields:
        The state at every step.

    Returns:
        What was found.

    Raises:
        BadOption: fewer steps than one, or no such preset.
        InversionFailed: the search left the numbers, or the square shows nothing of the picture.
        OutOfMemory: the device's memory does not suffice.
    """
    plan = find_preset(preset, steps)
    began = time.perf_counter()
    with memory_guard(model.generator.w_mean.device):
        search = Search(model, *_what_is_seen(picture, model, crop), plan, resumed)
        for step in search.run():
            told = replace(step, seconds_left=search.forecast.seconds_left(step.step), snapshot=search.snapshot)
            if (yield told) is False:
                break
    best = search.best
    if best is None:
        raise InversionFailed("No latent was found that draws this picture.", "Try another picture or model.")
    notes = (ROUGH,) if best.loss > ROUGH_LOSS else ()
    return Inversion(best.w_plus, crop, best.loss, search.done, time.perf_counter() - began, best.deltas, notes)


def _what_is_seen(picture: Picture, model: Model, crop: Crop) -> tuple[Tensor, Tensor]:
    """The square as the model sees it, (1, 3, R, R), and how much its pixels count, (1, 1, R, R).

    Raises:
        InversionFailed: it shows nothing of the picture.
    """
    like = model.generator.w_mean
    opaque = np.full(picture.rgb.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    weight = torch.from_numpy(crop.extract(opaque).astype(np.float32) / 255)[None, None].to(like)
    if not weight.any():
        raise InversionFailed("The part that the model would see is empty.", "Choose a picture with something in it.")
    if model.info.aligned:
        weight = weight * face_weight(crop.resolution).to(like)
    return to_tensor(crop.extract(picture.rgb)).to(like), weight


Step = TypeVar("Step")
Result = TypeVar("Result")


def drive(work: Generator[Step, bool | None, Result], on_step: Callable[[Step], bool | None] | None = None) -> Result:
    """Run work that yields its steps to its end.

    Args:
        work: ends early, with the best so far, when it is sent False.
        on_step: told every step; its answer is sent.
    """
    answer: bool | None = None
    while True:
        try:
            step = work.send(answer)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer = None if on_step is None else on_step(step)
