"""The reference solver: motion supervision by Adam on the latent (DragGAN, Pan et al. 2023, section 3.2 and 3.3).

Two sets of constants: those of the paper, and those of the authors' released program, which differ. Neither needs
the picture or a feature map of its size while it drags: the maps are read where the handles are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.drag.descent import Descent
from engine.drag.region import RegionTerm
from engine.drag.sampling import FeatureView
from engine.drag.state import DragPoints, DragStep
from engine.drag.tracking import FINE, Norm, PatchTracker, Tracked, nearest_neighbour
from stylegan2 import Generator

RENEWAL_PX = 4.0  # way of a handle after which the patches that are followed are renewed; at 512


@dataclass(frozen=True)
class DragganSettings:
    """Constants of the solver.

    Attributes:
        learning_rate: of Adam; 2e-3 is the paper's value for faces, cats and cars.
        patch_radius: r1, radius of the supervised disc, px at 512.
        search_radius: r2, half-width of the searched square, px at 512.
        stop_distance: a handle this close to its target has arrived, px at 512.
        stop_distance_many: the same where there are more than `many_points` points.
        many_points: see above.
        mask_weight: lambda, weight of the region term.
        tracking_norm: distance between features when tracking.
        reduction: "mean" or "sum" over channels and pixels in both terms of the loss.
        rest_px: a point this close to its target no longer pulls, px of the picture.
        robust: follow patches, with confidence (`PatchTracker`), instead of single features as published.
    """

    learning_rate: float = 2e-3
    patch_radius: float = 3.0
    search_radius: float = 12.0
    stop_distance: float = 2.0
    stop_distance_many: float = 2.0
    many_points: int = 5
    mask_weight: float = 20.0
    tracking_norm: Norm = "l2"
    reduction: Literal["mean", "sum"] = "mean"
    rest_px: float = 1.0
    robust: bool = False


OFFICIAL = DragganSettings()
ROBUST = DragganSettings(robust=True)
PAPER = DragganSettings(stop_distance=1.0, tracking_norm="l1", reduction="sum", rest_px=0.0)


class Draggan(Descent):
    """One drag; iterate over `steps` and stop whenever you like.

    Args:
        generator: any generator, parameters frozen.
        w_plus: latent of the picture before the drag, (1, num_ws, w_dim); not changed.
        points: handles and targets, model pixels.
        mask: region that may move, (resolution, resolution) in [0, 1], or None.
        settings: constants.
        home: latent of the unedited picture, like `w_plus`, from which the way is measured; None for `w_plus`.
        reach: longest way from there, as `NewtonSettings.reach`; None for no bound, as published.
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        settings: DragganSettings = OFFICIAL,
        *,
        home: Tensor | None = None,
        reach: float | None = None,
    ) -> None:
        super().__init__(generator, w_plus, points, settings.learning_rate, home, reach)
        self.settings = settings
        self.patch_radius = round(settings.patch_radius * self.unit_px) or 1
        self.search_radius = round(settings.search_radius * self.unit_px) or 1
        self.patch = disc(self.patch_radius).to(w_plus)  # (P, 2)
        with torch.no_grad():
            before = self._view(dense=mask is not None)
            self.templates = before.sample(self.handles[:, None])[:, 0]  # (n, C)
        self.tracker = PatchTracker(before, self.handles, self.unit_px, FINE) if settings.robust else None
        self.tracked: Tracked | None = None
        self.region = None if mask is None else RegionTerm(before, mask, settings.mask_weight, settings.reduction)

    @torch.enable_grad()
    def steps(self, max_steps: int) -> Iterator[DragStep]:
        """Yield the state before the first step and after each one, until all handles arrive.

        Every event holds the handles as tracked in the picture of that very latent.
        """
        for number in range(max_steps + 1):
            view = self._view(dense=self.region is not None)
            if number:
                self._follow(view.detach())
            distances = (self.targets - self.handles).norm(dim=1)
            loss = self._loss(view, distances)
            reason = self._reason_to_stop(distances, loss, last=number == max_steps)
            yield DragStep(
                step=number,
                loss=float(loss.detach()),
                handles=self.handles.cpu().double().numpy(),
                distances=distances.cpu().double().numpy(),
                w_plus=self.w_plus,
                reason=reason,
                confidence=None if self.tracked is None else self.tracked.confidence,
                lost=None if self.tracked is None else self.tracked.doubtful,
                solver="draggan",
            )
            if reason:
                return
            self.descend(loss)

    def _follow(self, view: FeatureView) -> None:
        """Find the handles in the picture after the latest step."""
        if self.tracker is None:
            self.handles = nearest_neighbour(
                view, self.templates, self.handles, self.search_radius, self.settings.tracking_norm
            )
            return
        self.tracked = self.tracker.track(view, self.handles)
        self.handles = self.tracked.positions.clamp(0, self.generator.resolution)
        moved = (self.handles - self.tracker.last_xy).norm(dim=1).amax()
        if moved > RENEWAL_PX * self.unit_px and not self.tracked.lost.any():
            self.tracker.adopt(view, self.tracked)

    def _view(self, dense: bool) -> FeatureView:
        """Features of the current latent: whole, or where tracking and motion supervision read them."""
        reach = self.search_radius + self.patch_radius + 2.0  # search, then the shifted disc around what was found
        if self.settings.robust:
            reach = max(reach, FINE.reach * self.unit_px)
        return self.view(None if dense else self.handles, reach)

    def _loss(self, view: FeatureView, distances: Tensor) -> Tensor:
        """Motion supervision (DragGAN eq. 1): pull the disc around each handle one pixel towards its target."""
        direction = (self.targets - self.handles) / (distances[:, None] + 1e-7)  # (n, 2)
        source = self.handles[:, None] + self.patch  # (n, P, 2)
        wanted = view.detach().sample_resized(source)
        difference = (view.sample_resized(source + direction[:, None]) - wanted).abs()  # (n, P, C)
        per_point = difference.mean((1, 2)) if self.settings.reduction == "mean" else difference.sum((1, 2))
        pulling = distances > self.settings.rest_px
        loss = (per_point * pulling * self.weights).sum()
        return loss if self.region is None else loss + self.region(view)

    def _reason_to_stop(self, distances: Tensor, loss: Tensor, last: bool) -> str:
        settings = self.settings
        many = len(distances) > settings.many_points
        limit = (settings.stop_distance_many if many else settings.stop_distance) * self.unit_px
        if not torch.isfinite(loss):
            return "diverged"
        if bool((distances <= max(limit, settings.stop_distance)).all()):
            return "landed"
        return "steps" if last else ""


def disc(radius_px: float) -> Tensor:
    """Offsets of all whole pixels closer than a radius, (P, 2), x first (the paper's Omega_1)."""
    reach = torch.arange(-int(radius_px), int(radius_px) + 1.0)
    ys, xs = torch.meshgrid(reach, reach, indexing="ij")
    offsets = torch.stack([xs.flatten(), ys.flatten()], 1)
    return offsets[offsets.norm(dim=1) < radius_px]
