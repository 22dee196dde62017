"""The default solver: damped Gauss-Newton on the positions of the handles (inverse kinematics in the latent space).

Each handle's tracked position is a function of the latent. Its derivative follows from the tracker by implicit
differentiation, one backward pass per axis for all handles together, because every handle has a copy of the latent
of its own. The step that moves the handles as wanted with the smallest Mahalanobis norm under the prior of W keeps
the picture natural; a trust region keeps it honest. See docs/solver.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drag.change_metric import ChangeMetric
from engine.drag.derivative import HandleDerivative
from engine.drag.descent import REFERENCE_RESOLUTION
from engine.drag.region import held_share
from engine.drag.sampling import FeatureView, view_features
from engine.drag.state import DragPoints, DragStep
from engine.drag.tracking import COARSE, FINE, PatchTracker, Tracked
from engine.latent import Whitening
from stylegan2 import Generator

REGION_SIZE = 64  # of the features that must stay


@dataclass(frozen=True)
class NewtonSettings:
    """Constants of the solver; lengths are pixels of a 512-px picture.

    Attributes:
        stop_distance: a drag whose handles are all this close has landed.
        cap: longest wanted move of a handle in one step, at the start.
        cap_min, cap_max: bounds of what the trust region makes of it.
        damping: mu, relative to the mean diagonal of the normal equations.
        trust: longest step, as RMS over the moving rows of the whitened norm.
        reach: longest way from home, same measure ("stay close").
        least_way, way_per_root_px: longest way of this drag, same measure: the first, and the second times the root
            of the summed distances of handles to targets. What asks for more is out of the model's reach, or fooled.
        recall: share of what the way so far holds beyond need that each step takes back.
        good_ratio, poor_ratio: actual over predicted progress from which the trust region grows, or shrinks.
        tries: attempts for one linearisation, each half as long and more damped.
        patience: steps without progress that are borne. One more ends the drag; if all of them broke their promise,
            and less than half of the way is made, the model of the motion is not to be trusted.
        patience_many: `patience` with many points.
        progress_px: what counts as progress of the mean distance.
        refresh_px: way of a handle after which its derivative is computed anew; until then, and while steps do as
            predicted, it is corrected by what they showed.
        blamed_share: of the largest shortfall against the prediction; from there on a handle's derivative is to blame.
        chunk: handles that are linearised at once; bounds the memory.
        region_rows: random directions that stand for everything outside the region.
        region_weight: how much a change outside counts against the prior.
        least_confidence: what a handle counts for at least; each counts as far as it is sure.
        many_points: with more, a lost handle goes where the others say.
        reach_many: `reach` with so many points: they determine the whole face, so the way may be longer.
        held, free: with a mask, how much a change of features counts where it holds, and where it does not.
    """

    stop_distance: float = 1.0
    cap: float = 6.0
    cap_min: float = 1.0
    cap_max: float = 16.0
    damping: float = 0.03
    trust: float = 1.5
    reach: float = 3.0
    least_way: float = 0.3
    way_per_root_px: float = 0.2
    recall: float = 0.3
    good_ratio: float = 0.6
    poor_ratio: float = 0.15
    tries: int = 3
    patience: int = 2
    patience_many: int = 5
    progress_px: float = 0.1
    refresh_px: float = 10.0
    blamed_share: float = 0.25
    chunk: int = 16
    region_rows: int = 12
    region_weight: float = 30.0
    least_confidence: float = 0.1
    many_points: int = 32
    reach_many: float = 4.5
    held: float = 0.3
    free: float = 0.03


# Where change is dear, ways are long in units of the model's variety.
IN_CHANGE_METRIC = NewtonSettings(trust=5.0, reach=5.0, least_way=5.0, patience=5)


class Seen(NamedTuple):
    """Features around n handles, and the moving rows that they come from; with as many, handles can be linearised."""

    latents: Tensor  # (1 or n, rows, w_dim)
    view: FeatureView


class Newton:
    """One drag; iterate over `steps` and stop whenever you like.

    Args:
        generator: any generator, parameters frozen.
        w_plus: latent of the picture before the drag, (1, num_ws, w_dim); not changed.
        points: handles and targets, model pixels; a handle that is its own target is held where it is.
        mask: region that may move, (resolution, resolution) in [0, 1], or None.
        settings: constants; None for those that fit.
        metric: what steps cost by the change they make, in place of the prior of W; None for the prior.
        home: latent of the unedited picture, like `w_plus`, from which the way is measured; None for `w_plus`.
        reach: bound of the way, in place of the settings'.
        chunk: handles linearised at once, in place of the settings'.
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        settings: NewtonSettings | None = None,
        *,
        metric: ChangeMetric | None = None,
        home: Tensor | None = None,
        reach: float | None = None,
        chunk: int | None = None,
    ) -> None:
        self.generator = generator
        self.settings = settings or (NewtonSettings() if metric is None else IN_CHANGE_METRIC)
        self.chunk = chunk or self.settings.chunk
        self.many = len(points) > self.settings.many_points
        own_reach = max(self.settings.reach, self.settings.reach_many) if self.many else self.settings.reach
        self.reach = own_reach if reach is None else reach
        self.allowance = max(self.reach / own_reach, 1.0)  # who lets a picture go further lets each drag, too
        patches = FINE if self.many else COARSE
        self.feature_size = min(patches.feature_size, generator.feature_resolutions[-1])
        self.region_size = min(REGION_SIZE, self.feature_size)
        self.unit_px = generator.resolution / REFERENCE_RESOLUTION  # model pixels per pixel at 512
        self.handles, self.targets = (torch.from_numpy(p).to(w_plus) for p in (points.handles, points.targets))
        weights = np.ones(len(points)) if points.weights is None else points.weights / points.weights.mean()
        self.slack = torch.from_numpy(1 / weights).to(w_plus).repeat_interleave(2)  # (2n,): of each coordinate
        whitening = Whitening(generator)
        self.prior = whitening.factor
        moving = w_plus[:, : generator.coarse_ws].detach()
        self.home = moving.clone() if home is None else home[:, : generator.coarse_ws].detach().clone()
        self.whitened = (moving - self.home)[0] @ whitening.inverse.T  # (rows, w_dim): the way from home
        self.first = self.whitened, self.handles  # before this drag
        self.fixed_rows = w_plus[:, generator.coarse_ws :].detach().unbind(1)
        self.cap = self.settings.cap
        copies = len(points) if len(points) <= self.chunk else 1  # then the first derivative is of the same view
        self.seen = self._see(self.whitened, self.handles, patches.reach * self.unit_px, copies)  # at the latent of now
        start = self.seen.view.detach()
        self.tracker = PatchTracker(start, self.handles, self.unit_px, patches)
        self.tracked = self.tracker.track(start, self.handles)
        self.held, self.metric = None, None
        if metric is not None:
            self.metric = metric.weighed(self._importance(mask, metric.side))
        elif mask is not None:
            self.held = held_share(mask, self.region_size, self.home)
        self.derivative = HandleDerivative(self._slopes, self.handles, self.whitened.numel(), together=self.many)
        self.outside: Tensor | None = None  # (m, D): of what must stay
        self.outside_of: Tensor | None = None  # the whitened latent that it belongs to
        self.random = torch.Generator(w_plus.device).manual_seed(0)  # the same signs in every drag

    def steps(self, max_steps: int) -> Iterator[DragStep]:
        """Yield the state at the start and after every step; the last event has a reason."""
        settings, best, stall, failed = self.settings, float("inf"), 0, 0
        start = float(self.distances.mean()) / self.unit_px
        patience = max(settings.patience, settings.patience_many) if self.many else settings.patience
        for number in range(max_steps + 1):
            distances = self.distances
            mean = float(distances.mean()) / self.unit_px
            stall = 0 if mean < best - settings.progress_px else stall + 1
            best = min(best, mean)
            reason = "landed" if self.landed else "steps" if number == max_steps else ""
            failing = failed > patience and best > start / 2
            reason = reason or ("failing" if failing else "stalled" if stall > patience else "")
            yield self.event(number, reason)
            if reason:
                return
            failed = 0 if self.step() else failed + 1

    @property
    def distances(self) -> Tensor:
        """From each handle to its target, (n,), model pixels."""
        return (self.targets - self.handles).norm(dim=1)

    @property
    def landed(self) -> bool:
        """Whether every handle has arrived."""
        return bool((self.distances <= self.settings.stop_distance * self.unit_px).all())

    def pull(self, targets: np.ndarray) -> None:
        """Change the targets, (n, 2), model pixels."""
        self.targets = torch.from_numpy(targets).to(self.targets)

    def event(self, number: int, reason: str = "") -> DragStep:
        """Describe the state now."""
        distances = self.distances
        return DragStep(
            step=number,
            loss=float(distances.square().mean()) / self.unit_px**2,
            handles=self.handles.cpu().double().numpy(),
            distances=distances.cpu().double().numpy(),
            w_plus=torch.cat([self._latent(self.whitened), *(row[:, None] for row in self.fixed_rows)], 1),
            reason=reason,
            confidence=self.tracked.confidence,
            lost=self.tracked.doubtful,
            solver="newton",
        )

    @torch.enable_grad()
    def step(self) -> bool:
        """Linearise, then take the first attempt that moves the handles about as predicted, or else the last one.

        An attempt that loses a handle is never taken; of many, it goes on where it was predicted.

        Returns:
            Whether an attempt kept its promise.
        """
        s, distances = self.settings, self.distances
        self._linearise(self.derivative.travelled_px >= s.refresh_px)
        damping = s.damping
        for _ in range(s.tries):
            limit = self.cap * self.unit_px
            wanted = (self.targets - self.handles) * (limit / distances[:, None].clamp(min=1e-6)).clamp(max=1)
            whitened = self._bounded(self._solve(wanted.flatten(), damping).view_as(self.whitened))
            moved = self.derivative.predict((whitened - self.whitened).flatten())
            seen, tracked = self._track(whitened, self.handles + moved)
            tracked = tracked.carried(self.handles + moved) if self.many else tracked
            promised = distances - (self.targets - self.handles - moved).norm(dim=1)
            progress = distances - (self.targets - tracked.positions).norm(dim=1)
            ratio = float(progress.sum() / (promised.sum() + 1e-6))
            sound = self.many or not bool((tracked.lost & ~self.tracked.lost).any())
            kept = sound and ratio > s.poor_ratio
            short = promised - progress
            blamed = short >= s.blamed_share * short.max()
            if kept:
                self.cap = min(self.cap * 1.5, s.cap_max) if ratio > s.good_ratio else self.cap
                break
            old = blamed & (self.derivative.travelled_px > 0)
            if old.any():  # old derivatives are to blame first
                self._linearise(old)
            else:
                self.cap, damping = max(self.cap * 0.5, s.cap_min), damping * 3
        if sound:
            self._take(whitened, seen, tracked)
        if ratio < s.good_ratio:
            self.derivative.distrust(blamed)
        return kept

    def _take(self, whitened: Tensor, seen: Seen, tracked: Tracked) -> None:
        """Go to a tried state, and learn from how the handles moved."""
        moved = tracked.positions - self.handles
        self.derivative.correct((whitened - self.whitened).flatten(), moved, moved.norm(dim=1) / self.unit_px)
        self.whitened, self.handles, self.tracked = whitened, tracked.positions, tracked
        self.tracker.adopt(seen.view.detach(), tracked)
        self.seen = seen

    def _linearise(self, which: Tensor) -> None:
        """Compute the derivative of some handles, (n,) bool, and once for each latent what must stay."""
        if not which.any():
            return
        self.derivative.renew(which, self.targets - self.handles)
        if self.held is not None and self.outside_of is not self.whitened:
            self.outside = self._outside_directions() * self.settings.region_weight**0.5
            self.outside_of = self.whitened

    def _bounded(self, step: Tensor) -> Tensor:
        """Add a step to the way so far, within the trust region, what the pull is worth, and reach of home."""
        s, (first, first_handles) = self.settings, self.first
        step = step * (s.trust / _length(step)).clamp(max=1)
        pull = (self.targets - first_handles).norm(dim=1).sum() / self.unit_px
        worth = self.allowance * (s.least_way + s.way_per_root_px * pull.sqrt())
        way = self.whitened + step - first
        whitened = first + way * (worth / _length(way)).clamp(max=1)
        return whitened * (self.reach / _length(whitened)).clamp(max=1)

    def _solve(self, wanted: Tensor, damping: float) -> Tensor:
        """Damped least-norm step under the prior and the held region, for wanted moves (2n,) -> (D,).

        Besides moving the handles, the step takes back a share of what the way so far does not owe to the handles:
        the sum of least-norm steps along a curved path is longer than the least-norm way to its end.
        """
        directions = self.derivative.rows
        projected = self._divided(directions)
        normal = directions @ projected.T  # (2n, 2n)
        system = normal + damping * normal.diagonal().mean() * torch.diag(self._slack())
        way = self.whitened.flatten()
        step, owed = (projected.T @ torch.linalg.solve(system, moves) for moves in (wanted, directions @ way))
        return step + self.settings.recall * (owed - way)

    def _slack(self) -> Tensor:
        """How far each coordinate may stay behind the others, (2n,): the less sure a handle, the further."""
        confidence = torch.from_numpy(self.tracked.confidence).to(self.slack).clamp(min=self.settings.least_confidence)
        surest = 1.0 if self.many else confidence.max()  # few may all be unsure, and still shall get there
        return self.slack / (confidence / surest).square().repeat_interleave(2)

    def _divided(self, directions: Tensor) -> Tensor:
        """Directions (m, D) times the inverse of the metric: of change, or of the prior and the held region."""
        if self.metric is not None:
            return self.metric.divided(directions)
        if self.outside is None:
            return directions
        gram = torch.eye(len(self.outside)).to(directions) + self.outside @ self.outside.T
        # Woodbury: (I + B^T B)^-1 = I - B^T (I + B B^T)^-1 B
        return directions - (directions @ self.outside.T) @ torch.linalg.solve(gram, self.outside)

    def _importance(self, mask: np.ndarray | None, side: int) -> Tensor | None:
        """How much a change counts in each cell of the picture, (side, side); None for all alike."""
        if mask is None:
            return None
        held = held_share(mask, side, self.home)[0, 0]
        return self.settings.free + (self.settings.held - self.settings.free) * held

    def _latent(self, whitened: Tensor) -> Tensor:
        """Whitened way from home, (rows, w_dim) -> moving rows, (1, rows, w_dim)."""
        return self.home + (whitened @ self.prior.T)[None]

    def _rows(self, w: Tensor) -> tuple[Tensor, ...]:
        """Moving rows (N, rows, w_dim) -> all rows of w_plus."""
        return (*w.unbind(1), *(row.expand(len(w), -1) for row in self.fixed_rows))

    def _view_around(self, w: Tensor, points_xy: Tensor, reach_px: float) -> FeatureView:
        return view_features(self.generator, self._rows(w), self.feature_size, points_xy, reach_px)

    def _track(self, whitened: Tensor, predicted_xy: Tensor) -> tuple[Seen, Tracked]:
        """Compute the features of a latent around the predicted handles, (n, 2), and find the handles there."""
        predicted_xy = predicted_xy.clamp(0, self.generator.resolution)
        seen = self._see(whitened, predicted_xy, self.tracker.reach_px)
        effort = float(_length(whitened - self.first[0])) / self.settings.trust
        return seen, self.tracker.track(seen.view.detach(), predicted_xy, effort)

    def _slopes(self, which: Tensor, along: Tensor) -> Tensor:
        """Derivative of some handles' positions by whitened latents, see `Slopes`, in model pixels."""
        parts = []
        for handles, axes in zip(self.handles[which].split(self.chunk), along.split(self.chunk), strict=True):
            known = len(handles) == len(self.handles) == len(self.seen.latents)
            reach_px = self.tracker.patch_reach_px
            w, view = self.seen if known else self._see(self.whitened, handles, reach_px, copies=len(handles))
            operator = self.tracker.position_operator(view.detach(), handles)
            patches = view.sample(handles[:, None] + self.tracker.patch).flatten(1)
            positions = torch.einsum("nij,nj->ni", operator, patches)  # (n, 2), up to a constant
            values = (axes @ positions[:, :, None]).sum((0, 2))  # (k,)
            last = len(values) - 1
            slopes = [torch.autograd.grad(v, w, retain_graph=known or k < last)[0] for k, v in enumerate(values)]
            parts.append((torch.stack(slopes, 1) @ self.prior).flatten(2))  # (n, k, D)
        return torch.cat(parts)

    def _see(self, whitened: Tensor, points_xy: Tensor, reach_px: float, copies: int = 1) -> Seen:
        """See handles in one picture, or each in that of a copy of the latent; whose own it is can be linearised."""
        own = copies == len(points_xy)
        with torch.set_grad_enabled(own):
            w = self._latent(whitened).repeat(copies, 1, 1).requires_grad_(own)
            return Seen(w, self._view_around(w, points_xy, reach_px))

    def _outside_directions(self) -> Tensor:
        """Random projections of the derivative of the held features by the whitened latents, (m, D)."""
        assert self.held is not None
        w = self._latent(self.whitened).requires_grad_(True)
        features = self.generator.features(self._rows(w), self.region_size)
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
