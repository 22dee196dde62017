"""The search for a photo in a model, as the commands that need one show it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.commands.common import by_hand, inversion_progress, say_notes
from engine.images import Picture
from engine.inversion import Inversion, find_crop, find_preset, invert
from engine.model_points import seen_part, to_model_points
from engine.models import Model, ModelStore
from engine.points import Pair
from engine.progress import Progress, stop_on_interrupt
from engine.session import Session


@dataclass(frozen=True)
class Found:
    """A photo that was looked for.

    Attributes:
        session: opened on what was found.
        inversion: what was found.
        stopped: whether Ctrl-C ended the search.
    """

    session: Session
    inversion: Inversion
    stopped: bool


def search(
    options: argparse.Namespace,
    picture: Picture,
    model: Model,
    store: ModelStore,
    progress: Progress,
    *,
    pairs: Sequence[Pair] = (),
    mask: NDArray[np.float32] | None = None,
) -> Found:
    """Find the square and then the latent; all that may be reason not to wait for that comes before it.

    Args:
        options: `crop`, `preset` and `inversion_steps`.
        picture: upright photo.
        model: loaded model.
        store: where the face detector is.
        progress: where notes and steps are shown.
        pairs: what is going to be dragged.
        mask: what may move, (H, W) in [0, 1]; of several faces the one in it is meant.

    Raises:
        BadPoints, BadMask: the model will not see the points, or nothing that may move.
        KritaDragError: the photo cannot be found.
    """
    crop = by_hand(options, model)
    notes: tuple[str, ...] = ()
    if crop is None:
        selection = mask if model.info.aligned else None  # else it only says what may move
        crop, notes = find_crop(picture, model, store, selection=selection, pairs=pairs)
    say_notes([*picture.notes, *notes], progress)
    if pairs:
        to_model_points(pairs, picture, crop)
    if pairs and mask is not None:
        seen_part(mask, crop)
    preset, steps = options.preset, options.inversion_steps
    total = find_preset(preset, steps).steps
    with stop_on_interrupt(progress) as stop, inversion_progress(progress, total, stop) as on_step:
        inversion = invert(picture, model, crop, preset=preset, steps=steps, on_step=on_step)
    return Found(Session.from_inversion(model, picture, inversion, notes), inversion, stop.wanted)
