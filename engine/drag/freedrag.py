"""A second reference: features are dragged along a line, no point is tracked (FreeDrag, Ling et al., CVPR 2024).

Every handle has a place on the straight line to its target and a template of features. Adam makes the features at the
place like the template; then the template adopts what came of it, and the place moves on, waits or goes back. Constants
are those of the released program, which docs/solver.md compares with the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.drag.descent import FEATURE_SIZE, REFERENCE_RESOLUTION, Descent
from engine.drag.region import RegionTerm
from engine.drag.sampling import FeatureView
from engine.drag.state import DragPoints, DragStep
from stylegan2 import Generator

CANDIDATES = 10  # places that a line search compares
READING_MARGIN_PX = 2.0  # beyond the outermost sample, for its interpolation; at 512


@dataclass(frozen=True)
class FreedragSettings:
    """Constants of the solver; discrepancies are mean absolute differences of features.

    Attributes:
        learning_rate: of Adam.
        patch_radius: r, px at 512; a patch is 3 by 3 samples that far apart.
        expected: l, discrepancy that the next place shall have before it is worked on.
        longest_move: d, px at 512; published as 3 positions of the 128-px features.
        sub_steps: most steps of Adam for one place.
        quiet: share of l below which a discrepancy ends the work on a place, and a handle at its target has arrived.
        good: share of l up to which a place counts as reached, so that the next one is looked for.
        stop_distance: a place this close to the target is at it, px at 512.
        mask_weight: gamma, weight of the region term.
    """

    learning_rate: float = 2e-3
    patch_radius: float = 3.0
    expected: float = 0.3
    longest_move: float = 3.0 * REFERENCE_RESOLUTION / FEATURE_SIZE
    sub_steps: int = 5
    quiet: float = 0.25
    good: float = 0.5
    stop_distance: float = 1.0
    mask_weight: float = 10.0


OFFICIAL = FreedragSettings()


class Freedrag(Descent):
    """One drag; iterate over `steps` and stop whenever you like.

    Args:
        generator: any generator, parameters frozen.
        w_plus: latent of the picture before the drag, (1, num_ws, w_dim); not changed.
        points: handles and targets, model pixels.
        mask: region that may move, (resolution, resolution) in [0, 1], or None.
        settings: constants.
        home, reach: see `Descent`.

    Attributes:
        way: how far along its line each place is, (n,), model pixels from the handle's start.
        templates: features that a place shall have, (n, P, C).
    """

    def __init__(
        self,
        generator: Generator,
        w_plus: Tensor,
        points: DragPoints,
        mask: np.ndarray | None = None,
        settings: FreedragSettings = OFFICIAL,
        *,
        home: Tensor | None = None,
        reach: float | None = None,
    ) -> None:
        super().__init__(generator, w_plus, points, settings.learning_rate, home, reach)
        self.settings = settings
        axis = torch.tensor([-1.0, 0.0, 1.0]) * settings.patch_radius * self.unit_px
        self.patch = torch.cartesian_prod(axis, axis).to(w_plus)  # (P, 2)
        self.longest_move = settings.longest_move * self.unit_px
        self.start = self.handles
        line = self.targets - self.start
        self.line_length = line.norm(dim=1)  # (n,)
        self.direction = line / self.line_length.clamp(min=1e-9)[:, None]
        self.way = torch.zeros_like(self.line_length)
        self.begun_with = torch.zeros_like(self.way)  # discrepancies when work on the places began
        with torch.no_grad():
            before = self._view(dense=mask is not None)
            self.templates = self._patches(before, self.way[:, None])[:, 0]
        self.region = None if mask is None else RegionTerm(before, mask, self._mask_weight(mask))

    @torch.enable_grad()
    def steps(self, max_steps: int) -> Iterator[DragStep]:
        """Yield the state before the first step and after each one, until all handles arrive.

        The handles of an event are the last places that were reached, not those being worked on.
        """
        used = self.settings.sub_steps  # the start is a place that is done
        for number in range(max_steps + 1):
            view = self._view(dense=self.region is not None)
            loss, discrepancy = self._loss(view)
            reached = discrepancy <= self._limit(self.settings.good)
            self.handles = torch.where(reached[:, None], self._points(self.way), self.handles)
            distances = (self.targets - self.handles).norm(dim=1)
            arrived = self._arrived(discrepancy)
            reason = "landed" if arrived.all() else "steps" if number == max_steps else ""
            reason = reason if torch.isfinite(loss) else "diverged"
            yield DragStep(
                step=number,
                loss=float(loss.detach()),
                handles=self.handles.cpu().double().numpy(),
                distances=distances.cpu().double().numpy(),
                w_plus=self.w_plus,
                reason=reason,
                solver="freedrag",
            )
            if reason:
                return
            if used == self.settings.sub_steps or bool((discrepancy < self._limit(self.settings.quiet)).all()):
                self._go_on(view.detach(), discrepancy, arrived)
                loss, self.begun_with = self._loss(view)
                used = 0
            self.descend(loss)
            used += 1

    @torch.no_grad()
    def _go_on(self, view: FeatureView, discrepancy: Tensor, arrived: Tensor) -> None:
        """Adopt what came of the work on the places, then choose the next ones (section 4.2, eq. 9).

        Args:
            view: features after that work.
            discrepancy: between places and templates, (n,).
            arrived: handles that stay, (n,) bool.
        """
        share = torch.where(arrived, 1.0, renewal(discrepancy, self.settings.expected))
        self.templates = self.templates.lerp(self._patches(view, self.way[:, None])[:, 0], share[:, None, None])
        good = discrepancy <= self._limit(self.settings.good)
        worse = ~good & (discrepancy > self.begun_with)
        back = worse.to(self.way)
        first = (self.way - back * self.longest_move).clamp(min=0)
        found = self._search(view, first, (1 + back) * self.longest_move, (1 - back) * self.settings.expected)
        self.way = torch.where((good | worse) & ~arrived, found, self.way)

    def _search(self, view: FeatureView, first: Tensor, longest: Tensor, expected: Tensor) -> Tensor:
        """Find the place ahead whose discrepancy is the nearest to an expected one (section 4.2, eq. 8).

        Args:
            view: features now.
            first: ways along the lines after which the search begins, (n,), model pixels.
            longest: how far it goes, (n,), model pixels; never past the target.
            expected: discrepancies, (n,).

        Returns:
            Ways, (n,), model pixels.
        """
        shares = torch.arange(1, CANDIDATES + 1).to(first) / CANDIDATES
        last = torch.minimum(first + longest, self.line_length)
        ways = torch.lerp(first[:, None], last[:, None], shares)  # (n, CANDIDATES)
        discrepancy = (self._patches(view, ways) - self.templates[:, None]).abs().mean((2, 3))
        best = (discrepancy - expected[:, None]).abs().argmin(1)
        return ways.gather(1, best[:, None])[:, 0]

    def _points(self, ways: Tensor) -> Tensor:
        """Points on the lines, (n, ...) -> (n, ..., 2), model pixels."""
        shape = (len(ways), *[1] * (ways.dim() - 1), 2)
        return self.start.view(shape) + ways[..., None] * self.direction.view(shape)

    def _patches(self, view: FeatureView, ways: Tensor) -> Tensor:
        """Features around points on the lines (section 4, eq. 1), (n, K) -> (n, K, P, C)."""
        points = self._points(ways)[:, :, None] + self.patch  # (n, K, P, 2)
        return view.sample(points.flatten(1, 2)).unflatten(1, points.shape[1:3])

    def _view(self, dense: bool) -> FeatureView:
        """Features of the current latent: whole, or where a search and the next place read them."""
        reach = self.longest_move + (self.settings.patch_radius + READING_MARGIN_PX) * self.unit_px
        return self.view(None if dense else self._points(self.way), reach)

    def _loss(self, view: FeatureView) -> tuple[Tensor, Tensor]:
        """Loss (sections 4 and 4.4, eq. 2 and 11), and every place's discrepancy without its gradient, (n,)."""
        discrepancy = (self._patches(view, self.way[:, None])[:, 0] - self.templates).abs().mean((1, 2))
        loss = (discrepancy * self.weights).sum()
        return loss if self.region is None else loss + self.region(view), discrepancy.detach()

    def _arrived(self, discrepancy: Tensor) -> Tensor:
        """Which handles are at their targets with the features that they shall have, (n,) bool."""
        near = self.line_length - self.way <= self.settings.stop_distance * self.unit_px
        return near & (discrepancy <= self._limit(self.settings.quiet))

    def _limit(self, share: float) -> float:
        return share * self.settings.expected

    def _mask_weight(self, mask: np.ndarray) -> float:
        """Weight for a mean over what is held, where `RegionTerm` takes the mean over the whole map."""
        return self.settings.mask_weight / max(1 - float(mask.mean()), 1 / mask.size)


def renewal(discrepancy: Tensor, expected: float) -> Tensor:
    """Share of the newest features in the next template (section 4.1, eq. 4 to 6).

    A logistic curve: 0.5 at a fifth of the expected discrepancy, 0.1 at four fifths.
    """
    steepness = math.log(9) / (0.6 * expected)
    return torch.sigmoid(steepness * (0.2 * expected - discrepancy))
