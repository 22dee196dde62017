"""What an inversion tells after every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from engine.inversion.snapshot import Snapshot

PREVIEW_PX = 256

Stage = Literal["w", "w+", "tuning"]


@dataclass(frozen=True)
class InversionStep:
    """The state of an inversion at one step.

    Attributes:
        stage: "w" while all rows of the latent are one, then "w+", then "tuning" of the weights.
        step: 1 to `total`.
        total: steps that were asked for.
        loss: distance to the photo, about [-1, 1] pixel values; estimated except at exact steps.
        exact: whether the loss was measured on a full rendering.
        w_plus: latent of this state, (1, num_ws, w_dim).
        deltas: offsets of weights by name, at exact steps of a tuning.
        preview: small picture of this state, (1, 3, r, r) in [-1, 1], estimated as the loss is.
        seconds_left: estimate for what follows.
        snapshot: tells where the search is, to go on from in another process; only before its next step is asked for.
    """

    stage: Stage
    step: int
    total: int
    loss: float
    exact: bool
    w_plus: Tensor
    deltas: Mapping[str, Tensor] = field(default_factory=dict)
    preview: Tensor | None = None
    seconds_left: float = 0.0
    snapshot: Callable[[], Snapshot] | None = None


def preview(picture: Tensor) -> Tensor:
    """Reduce a picture (1, 3, R, R) for an event; smaller ones stay as they are."""
    return F.adaptive_avg_pool2d(picture.detach(), min(PREVIEW_PX, picture.shape[-1]))
