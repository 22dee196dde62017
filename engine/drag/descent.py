"""What the solvers share that change the latent by Adam: the latent and its bounds, the points, the features."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.drag.sampling import FeatureView, view_features
from engine.drag.state import DragPoints
from engine.latent import Whitening
from stylegan2 import Generator

REFERENCE_RESOLUTION = 512  # radii and distances of the references are pixels of a picture of this size
FEATURE_SIZE = 128  # the papers' 6th block


class Descent:
    """A drag whose leading rows of the latent descend a loss.

    Args:
        generator: any generator, parameters frozen.
        w_plus: latent of the picture before the drag, (1, num_ws, w_dim); not changed.
        points: handles and targets, model pixels.
        learning_rate: of Adam.
        home: latent of the unedited picture, like `w_plus`, from which the way is measured; None for `w_plus`.
        reach: longest way from there, as `NewtonSettings.reach`; None for no bound, as published.

    Attributes:
        unit_px: model pixels per pixel of a 512-px picture.
        handles: where the handles are, (n, 2), model pixels.
        targets: (n, 2), model pixels.
        weights: of the points, (n,), 1 on average.
        w: the rows that move, (1, coarse_ws, w_dim).
        fixed_rows: the others, each (1, w_dim).
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        learning_rate: float,
        home: Tensor | None = None,
        reach: float | None = None,
    ) -> None:
        self.generator = generator
        self.feature_size = min(FEATURE_SIZE, generator.feature_resolutions[-1])
        self.unit_px = generator.resolution / REFERENCE_RESOLUTION
        self.handles, self.targets = (torch.from_numpy(p).to(w_plus) for p in (points.handles, points.targets))
        weights = np.ones(len(points)) if points.weights is None else points.weights / points.weights.mean()
        self.weights = torch.from_numpy(weights).to(w_plus)
        self.w = w_plus[:, : generator.coarse_ws].detach().clone().requires_grad_(True)
        self.fixed_rows = w_plus[:, generator.coarse_ws :].detach().unbind(1)
        self.home, self.reach = (w_plus if home is None else home)[:, : generator.coarse_ws].detach().clone(), reach
        self.optimizer = torch.optim.Adam([self.w], lr=learning_rate)

    @property
    def w_plus(self) -> Tensor:
        """A copy of the whole latent, (1, num_ws, w_dim)."""
        return torch.cat([self.w.detach(), *(row[:, None] for row in self.fixed_rows)], 1)

    def view(self, around_xy: Tensor | None, reach_px: float = 0.0) -> FeatureView:
        """Features of the current latent, with its gradient; see `view_features`."""
        return view_features(
            self.generator, (*self.w.unbind(1), *self.fixed_rows), self.feature_size, around_xy, reach_px
        )

    def descend(self, loss: Tensor) -> None:
        """Make one step of Adam, then come back within `reach`."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.reach is not None:
            self._stay_close(self.reach)

    @torch.no_grad()
    def _stay_close(self, reach: float) -> None:
        whitening = Whitening(self.generator)
        way = (self.w - self.home) @ whitening.inverse.T  # (1, rows, w_dim)
        length = way.norm(dim=-1).square().mean().sqrt()
        if length > reach:
            self.w.copy_(self.home + way * (reach / length) @ whitening.factor.T)
