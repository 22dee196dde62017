"""The default solver: damped Gauss-Newton on the positions of the handles (inverse kinematics in the latent space).

Each handle's tracked position is a function of the latent. Its derivative follows from the tracker by implicit
differentiation, one backward pass per axis for all handles together, because every handle has a copy of the latent
of its own. The step that moves the handles as wanted with the smallest Mahalanobis norm under the prior of W keeps
the picture natural; a trust region keeps it honest. See docs/solver.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.drag.draggan import FEATURE_SIZE, REFERENCE_RESOLUTION
from engine.drag.region import held_share
from engine.drag.sampling import FeatureView, view_features
from engine.drag.state import DragPoints, DragStep
from engine.drag.tracking import PatchTracker, Tracked
from engine.latent import Whitening
from stylegan2 import Generator


@dataclass(frozen=True)
class NewtonSettings:
    """Constants of the solver; lengths are pixels of a 512-px picture.

    Attributes:
        stop_distance: a drag whose handles are all this close has landed.
        cap: longest wanted move of a handle in one step, at the start.
        cap_min, cap_max: bounds of what the trust region makes of it.
        damping: mu, relative to the mean diagonal of the normal equations.
        trust: longest step, as RMS over the moving rows of the whitened norm.
        farthest: longest way from the start, same measure ("stay close").
        recall: share of what the way so far holds beyond need that each step takes back.
        good_ratio, poor_ratio: actual over predicted progress from which the trust region grows, or shrinks.
        tries: attempts for one linearisation, each half as long and more damped.
        patience: steps without progress after which the drag ends.
        progress_px: what counts as progress of the mean distance.
        chunk: handles that are linearised at once; bounds the memory.
        region_rows: random directions that stand for everything outside the region.
        region_weight: how much a change outside counts against the prior.
    """

    stop_distance: float = 1.0
    cap: float = 6.0
    cap_min: float = 1.0
    cap_max: float = 16.0
    damping: float = 0.03
    trust: float = 1.5
    farthest: float = 3.0
    recall: float = 0.3
    good_ratio: float = 0.6
    poor_ratio: float = 0.15
    tries: int = 3
    patience: int = 5
    progress_px: float = 0.1
    chunk: int = 16
    region_rows: int = 12
    region_weight: float = 30.0


class Newton:
    """One drag; iterate over `steps` and stop whenever you like.

    Args:
        generator: any generator, parameters frozen.
        w_plus: latent of the picture before the drag, (1, num_ws, w_dim); not changed.
        points: handles and targets, model pixels; a handle that is its own target is held where it is.
        mask: region that may move, (resolution, resolution) in [0, 1], or None.
        settings: constants.
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        settings: NewtonSettings | None = None,
    ) -> None:
        self.generator, self.settings = generator, settings or NewtonSettings()
        self.feature_size = min(FEATURE_SIZE, generator.feature_resolutions[-1])
        self.unit_px = generator.resolution / REFERENCE_RESOLUTION  # model pixels per pixel at 512
        self.handles, self.targets = (torch.from_numpy(p).to(w_plus) for p in (points.handles, points.targets))
        self.w_start = w_plus[:, : generator.coarse_ws].detach().clone()
        self.fixed_rows = w_plus[:, generator.coarse_ws :].detach().unbind(1)
        self.whitened = torch.zeros_like(self.w_start[0])  # (rows, w_dim): the way from the start
        self.prior = Whitening(generator).factor
        self.cap = self.settings.cap
        with torch.no_grad():
            start = self._view_around(self.w_start, self.handles, PatchTracker.start_reach_px(self.unit_px))
        self.tracker = PatchTracker(start, self.handles, self.unit_px)
        self.tracked = self.tracker.track(start, self.handles)
        self.held = None if mask is None else held_share(mask, self.feature_size, self.w_start)
        self.random = torch.Generator(w_plus.device).manual_seed(0)  # the same signs in every drag

    def steps(self, max_steps: int) -> Iterator[DragStep]:
        """Yield the state at the start and after every step; the last event has a reason."""
        settings, best, stall = self.settings, float("inf"), 0
        for number in range(max_steps + 1):
            distances = (self.targets - self.handles).norm(dim=1)
            mean = float(distances.mean()) / self.unit_px
            stall = 0 if mean < best - settings.progress_px else stall + 1
            best = min(best, mean)
            landed = bool((distances <= settings.stop_distance * self.unit_px).all())
            reason = "landed" if landed else "stalled" if stall > settings.patience else ""
            reason = reason or ("steps" if number == max_steps else "")
            yield self._event(number, distances, reason)
            if reason:
                return
            self._step(distances)

    def _event(self, number: int, distances: Tensor, reason: str) -> DragStep:
        w = self._latent(self.whitened)
        return DragStep(
            step=number,
            loss=float(distances.square().mean()) / self.unit_px**2,
            handles=self.handles.cpu().double().numpy(),
            distances=distances.cpu().double().numpy(),
            w_plus=torch.cat([w, *(row[:, None] for row in self.fixed_rows)], 1),
            reason=reason,
            confidence=self.tracked.similarity.clamp(0, 1).cpu().double().numpy(),
            lost=self.tracked.lost.cpu().numpy(),
        )

    def _step(self, distances: Tensor) -> None:
        """Linearise, then take the first attempt that moves the handles about as predicted, or else the last one.

        An attempt that loses a handle is never taken.
        """
        s = self.settings
        directions = (self._jacobian() @ self.prior).flatten(1)  # (2n, D): positions by whitened latents
        solve = self._metric(directions)
        damping = s.damping
        for _ in range(s.tries):
            limit = self.cap * self.unit_px
            wanted = (self.targets - self.handles) * (limit / distances[:, None].clamp(min=1e-6)).clamp(max=1)
            whitened = self._bounded(solve(wanted.flatten(), damping).view_as(self.whitened))
            moved = (directions @ (whitened - self.whitened).flatten()).view(-1, 2)
            view, tracked = self._track(whitened, self.handles + moved)
            after = (self.targets - tracked.positions).norm(dim=1)
            predicted = (self.targets - self.handles - moved).norm(dim=1)
            ratio = float((distances - after).sum() / ((distances - predicted).sum() + 1e-6))
            sound = not bool((tracked.lost & ~self.tracked.lost).any())
            if sound and ratio > s.poor_ratio:
                self.cap = min(self.cap * 1.5, s.cap_max) if ratio > s.good_ratio else self.cap
                break
            self.cap, damping = max(self.cap * 0.5, s.cap_min), damping * 3
        else:
            if not sound:
                return
        self.whitened, self.handles, self.tracked = whitened, tracked.positions, tracked
        self.tracker.adopt(view, tracked.positions)

    def _bounded(self, step: Tensor) -> Tensor:
        """Add a step to the way so far, within the trust region and within reach of the start."""
        s = self.settings
        step = step * (s.trust / _length(step)).clamp(max=1)
        whitened = self.whitened + step
        return whitened * (s.farthest / _length(whitened)).clamp(max=1)

    def _metric(self, directions: Tensor) -> Callable[[Tensor, float], Tensor]:
        """Return the damped least-norm solver for the given derivatives, under the prior and the held region.

        The solver maps wanted moves (2n,) and a damping to a step (D,). Besides moving the handles, the step takes
        back a share of what the way so far does not owe to the handles: the sum of least-norm steps along a curved
        path is longer than the least-norm way to its end.
        """
        projected = directions
        if self.held is not None:
            outside = self._outside_directions() * self.settings.region_weight**0.5  # (m, D)
            gram = torch.eye(len(outside)).to(outside) + outside @ outside.T
            # Woodbury: (I + B^T B)^-1 = I - B^T (I + B B^T)^-1 B
            projected = directions - (directions @ outside.T) @ torch.linalg.solve(gram, outside)
        normal = directions @ projected.T  # (2n, 2n)
        scale, way = normal.diagonal().mean(), self.whitened.flatten()

        def solve(wanted: Tensor, damping: float) -> Tensor:
            system = normal + damping * scale * torch.eye(len(normal)).to(normal)
            step, owed = (projected.T @ torch.linalg.solve(system, moves) for moves in (wanted, directions @ way))
            return step + self.settings.recall * (owed - way)

        return solve

    def _latent(self, whitened: Tensor) -> Tensor:
        """Whitened way from the start, (rows, w_dim) -> moving rows, (1, rows, w_dim)."""
        return self.w_start + (whitened @ self.prior.T)[None]

    def _rows(self, w: Tensor) -> tuple[Tensor, ...]:
        """Moving rows (N, rows, w_dim) -> all rows of w_plus."""
        return (*w.unbind(1), *(row.expand(len(w), -1) for row in self.fixed_rows))

    def _view_around(self, w: Tensor, points_xy: Tensor, reach_px: float) -> FeatureView:
        return view_features(self.generator, self._rows(w), self.feature_size, points_xy, reach_px)

    @torch.no_grad()
    def _track(self, whitened: Tensor, predicted_xy: Tensor) -> tuple[FeatureView, Tracked]:
        """Compute the features of a latent around the predicted handles, (n, 2), and find the handles there."""
        predicted_xy = predicted_xy.clamp(0, self.generator.resolution)
        view = self._view_around(self._latent(whitened), predicted_xy, self.tracker.reach_px)
        return view, self.tracker.track(view, predicted_xy)

    def _jacobian(self) -> Tensor:
        """Derivative of the handles' positions by the moving rows, (2n, rows, w_dim), in model pixels."""
        parts = []
        w_now = self._latent(self.whitened)
        for handles in self.handles.split(self.settings.chunk):
            w = w_now.repeat(len(handles), 1, 1).requires_grad_(True)
            view = self._view_around(w, handles, self.tracker.patch_reach_px)
            operator = self.tracker.position_operator(view.detach(), handles)
            patches = view.sample(handles[:, None] + self.tracker.patch).flatten(1)
            positions = torch.einsum("nij,nj->ni", operator, patches)  # (n, 2), up to a constant
            slopes = [torch.autograd.grad(positions[:, axis].sum(), w, retain_graph=axis == 0)[0] for axis in (0, 1)]
            parts.append(torch.stack(slopes, 1))  # (n, 2, rows, w_dim)
        return torch.cat(parts).flatten(0, 1)

    def _outside_directions(self) -> Tensor:
        """Random projections of the derivative of the held features by the whitened latents, (m, D)."""
        assert self.held is not None
        w = self._latent(self.whitened).requires_grad_(True)
        features = self.generator.features(self._rows(w), self.feature_size)
        scale = features.detach().std() * (self.held.sum() * features.shape[1]).clamp(min=1).sqrt()
        outside = features * self.held.sqrt() / scale
        rows = []
        for _ in range(self.settings.region_rows):
            signs = torch.empty_like(features).bernoulli_(0.5, generator=self.random).mul_(2).sub_(1)
            value = (outside * signs).sum()
            rows.append(torch.autograd.grad(value, w, retain_graph=True)[0][0])
        return (torch.stack(rows) @ self.prior).flatten(1)


def _length(whitened: Tensor) -> Tensor:
    """RMS over rows of the norm of whitened rows, (rows, w_dim) -> scalar."""
    return whitened.norm(dim=1).square().mean().sqrt().clamp(min=1e-12)
