"""Follow handles through the feature map while the picture changes.

`nearest_neighbour` is the paper's tracker (DragGAN section 3.3). `PatchTracker` is ours: patches instead of single
features, sub-pixel, with a check that tells when a handle is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.drag.sampling import FeatureView

Norm = Literal["l1", "l2"]
ADAPTATION = 0.5  # share of the newest patch in the template
LOST_SIMILARITY = 0.3
LOST_BACKWARD_PX = 5.0  # at 512
MOST_EFFORT = 0.7  # in longest steps; a picture that went further makes no handle surer, it may be ruined
COMPARED_AT_ONCE = 4  # handles whose differences stay in a processor's cache


@torch.no_grad()
def nearest_neighbour(
    view: FeatureView, templates: Tensor, handles_xy: Tensor, radius_px: int, norm: Norm = "l2"
) -> Tensor:
    """Move every handle to the pixel whose feature is closest to its template (DragGAN eq. 2).

    Args:
        view: features after the latest step.
        templates: features at the handles before the drag, (n, C).
        handles_xy: handles now, (n, 2), model pixels.
        radius_px: half-width of the searched square, whole pixels; clipped to the picture.
        norm: distance over the channels: "l1" as in the paper, "l2" as in the official code.

    Returns:
        New handles, (n, 2), whole pixels away from the old ones.
    """
    steps = torch.arange(-radius_px, radius_px + 1, device=handles_xy.device, dtype=handles_xy.dtype)
    xs, ys = (handles_xy[:, axis, None] + steps for axis in (0, 1))  # (n, 2 r + 1)
    if norm == "l2":
        cost = view.squared_distances(xs, ys, templates)  # (n, 2 r + 1, 2 r + 1)
    else:
        cost = (view.sample_grid(xs, ys) - templates[:, :, None, None]).abs().sum(1)
    margins = (view.margin, 0)
    outside_x, outside_y = ((v < m) | (v > view.resolution - m) for v, m in zip((xs, ys), margins, strict=True))
    cost = cost.masked_fill(outside_x[:, None, :] | outside_y[:, :, None], torch.inf)
    best = cost.flatten(1).argmin(1)
    return torch.stack([xs.gather(1, (best % len(steps))[:, None]), ys.gather(1, (best // len(steps))[:, None])], -1)[
        :, 0
    ]


class Certainty(NamedTuple):
    """Coefficients of the logit of `Tracked.confidence`; lengths count in pixels of a 512-px picture.

    A handle that went far, though the picture hardly had to change for it, may have slid over what it should have
    taken along, the sooner where its patch looks much the same some way off, as on an outline.

    Attributes:
        constant: for a patch unlike the first one that went nowhere.
        resemblance: of the correlation with the patch before the drag.
        backward: of the worst backward error.
        along, across: of the way, by the axis in which the patch is least distinct.
        effort: of how far the picture went, up to `MOST_EFFORT`.
    """

    constant: float
    resemblance: float
    backward: float
    along: float = 0.0
    across: float = 0.0
    effort: float = 0.0


@dataclass(frozen=True)
class PatchSettings:
    """What `PatchTracker` compares and where it looks; whole pixels of a 512-px picture.

    Attributes:
        feature_size: side of the feature map that is read.
        radius: of the patch.
        spacing: distance between its samples, a multiple of `raster`.
        search: half-width of the searched square, a multiple of `raster`.
        raster: distance between the searched positions.
        certainty: what makes a handle sure.
        doubtful: confidence below which a handle is reported.
    """

    feature_size: int
    radius: int
    spacing: int
    search: int
    raster: int
    certainty: Certainty
    doubtful: float

    @property
    def reach(self) -> int:
        """Distance around a prediction at which features are read."""
        return self.search + self.radius + 3


# The certainties are logistic fits to 224 and 1810 handles that were tracked through drags of development faces and
# judged by dlib's landmarks (docs/solver.md).
FINE = PatchSettings(
    128, radius=6, spacing=2, search=6, raster=1, doubtful=0.75, certainty=Certainty(0.88, 2.37, backward=-0.32)
)
COARSE = PatchSettings(
    64,
    radius=12,
    spacing=4,
    search=8,
    raster=2,
    doubtful=0.8,
    certainty=Certainty(-0.08, 3.31, backward=-0.147, along=-0.119, across=-0.036, effort=2.25),
)


@dataclass(frozen=True)
class Tracked:
    """Where handles were found.

    Attributes:
        positions: (n, 2), model pixels, sub-pixel.
        similarity: correlation of the patch found with the template, (n,), 1 = the same.
        backward_error: how far from where it was the patch found leads back, (n,), model pixels.
        resemblance: correlation with the patch before the drag, (n,).
        worst_backward: largest backward error of the way here, (n,), model pixels.
        way: since the drag began, along the axis in which the patch is least distinct and across it, (n, 2), model
            pixels.
        effort: how far the latent has gone for it, in longest steps of the solver.
        unit_px: model pixels per pixel of a 512-px picture.
        settings: of the tracker.
    """

    positions: Tensor
    similarity: Tensor
    backward_error: Tensor
    resemblance: Tensor
    worst_backward: Tensor
    way: Tensor
    effort: float
    unit_px: float
    settings: PatchSettings

    @property
    def confidence(self) -> np.ndarray:
        """Share of such handles that are within 10 px at 512 of where they should be, (n,)."""
        c = self.settings.certainty
        logit = c.constant + c.resemblance * self.resemblance + c.effort * min(self.effort, MOST_EFFORT)
        along, across = self.way.unbind(1)
        logit = logit + (c.backward * self.worst_backward + c.along * along + c.across * across) / self.unit_px
        return torch.sigmoid(logit).cpu().double().numpy()

    @property
    def doubtful(self) -> np.ndarray:
        """Handles that the user should be told about, (n,) bool."""
        return ~(self.confidence >= self.settings.doubtful) | self.lost.cpu().numpy()

    @property
    def lost(self) -> Tensor:
        """Handles that a step must not lead to, (n,) bool; also what is not a number."""
        alike, leads_back = self.similarity >= LOST_SIMILARITY, self.backward_error <= LOST_BACKWARD_PX * self.unit_px
        return ~(alike & leads_back)

    def carried(self, predicted_xy: Tensor) -> Tracked:
        """The same with lost handles where they were predicted, (n, 2), model pixels."""
        return replace(self, positions=torch.where(self.lost[:, None], predicted_xy, self.positions))


class PatchTracker:
    """Matches the patch around each handle in the features of later pictures.

    A position is searched on a raster around a prediction and refined by Gauss-Newton steps on the squared
    difference (Lucas and Kanade 1981); the same linearisation gives the handles' derivative by the features. The
    template follows what the handle turns into (FreeDrag, Ling et al. 2024, section 3.1), so that a face may change
    under a handle without losing it; `track` does not change it, `adopt` does.

    Args:
        view: features before the drag, around the handles.
        handles_xy: (n, 2), model pixels.
        unit_px: model pixels per pixel of a 512-px picture.
        settings: what is compared, and where.
    """

    def __init__(
        self,
        view: FeatureView,
        handles_xy: Tensor,
        unit_px: float,
        settings: PatchSettings,
    ) -> None:
        self.unit_px, self.settings = unit_px, settings
        self.offsets = _disc(settings.radius, settings.spacing)  # (P, 2), px at 512
        self.patch = self.offsets.to(handles_xy) * unit_px  # (P, 2), model pixels
        self.last_view, self.last_xy, self.first_xy = view, handles_xy, handles_xy
        self.first_templates = self.templates = view.sample(handles_xy[:, None] + self.patch)  # (n, P, C)
        self.worst_backward = torch.zeros_like(handles_xy[:, 0])

    @property
    def reach_px(self) -> float:
        """Distance around a prediction at which `track` reads features, model pixels."""
        return self.settings.reach * self.unit_px

    @property
    def patch_reach_px(self) -> float:
        """Distance around a position at which `position_operator` reads features, model pixels."""
        return (self.settings.radius + 3) * self.unit_px

    @torch.no_grad()
    def track(self, view: FeatureView, predicted_xy: Tensor, effort: float = 0.0) -> Tracked:
        """Find the handles near their predicted positions, (n, 2), model pixels; `effort` as in `Tracked`."""
        positions = self._refine(view, self._search(view, predicted_xy, self.templates), self.templates)
        found = view.sample(positions[:, None] + self.patch)
        back = self._search(self.last_view, self.last_xy, found)
        similarity = torch.cosine_similarity(_centred(found), _centred(self.templates), dim=1)
        resemblance = torch.cosine_similarity(_centred(found), _centred(self.first_templates), dim=1)
        backward_error = (back - self.last_xy).norm(dim=1)
        return Tracked(
            positions,
            similarity,
            backward_error,
            resemblance,
            worst_backward=torch.maximum(self.worst_backward, backward_error),
            way=self._by_distinctness(positions - self.first_xy, view, positions),
            effort=effort,
            unit_px=self.unit_px,
            settings=self.settings,
        )

    @torch.no_grad()
    def adopt(self, view: FeatureView, tracked: Tracked) -> None:
        """Take handles found in this picture as true: the next ones are compared with them."""
        patches = view.sample(tracked.positions[:, None] + self.patch)
        self.templates = self.templates.lerp(patches, ADAPTATION)
        self.last_view, self.last_xy, self.worst_backward = view, tracked.positions, tracked.worst_backward

    @torch.no_grad()
    def position_operator(self, view: FeatureView, positions_xy: Tensor) -> Tensor:
        """Derivative of the tracked positions by the features of their patches, (n, 2, P * C).

        By the implicit function theorem on the squared difference between patch and template.
        """
        gradient, normal = self._gradients(view, positions_xy)
        ridge = 1e-2 * normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
        return -torch.linalg.solve(normal + ridge * torch.eye(2).to(normal), gradient)

    def _gradients(self, view: FeatureView, positions_xy: Tensor) -> tuple[Tensor, Tensor]:
        """Derivative of the patches by the place, (n, 2, P * C), and its square, (n, 2, 2)."""
        step = 1.5 * self.unit_px
        axes = torch.eye(2).to(positions_xy) * step
        beside = torch.cat([axes, -axes])[:, None] + self.patch  # (4, P, 2): right, below, left, above
        values = view.sample(positions_xy[:, None] + beside.flatten(0, 1)).unflatten(1, (4, -1))  # (n, 4, P, C)
        gradient = (values[:, :2] - values[:, 2:]).flatten(2) / (2 * step)
        return gradient, gradient @ gradient.mT

    def _by_distinctness(self, way: Tensor, view: FeatureView, positions_xy: Tensor) -> Tensor:
        """Split ways (n, 2) into their lengths along the axis in which the patches are least distinct and across it."""
        normal = self._gradients(view, positions_xy)[1]
        angle = torch.atan2(2 * normal[:, 0, 1], normal[:, 0, 0] - normal[:, 1, 1]) / 2  # of the most distinct axis
        cosine, sine = angle.cos(), angle.sin()
        x, y = way.unbind(1)
        return torch.stack([cosine * y - sine * x, cosine * x + sine * y], 1).abs()

    def _search(self, view: FeatureView, around_xy: Tensor, templates: Tensor) -> Tensor:
        """Best match on a raster, refined by a parabola per axis. -> (n, 2), model pixels."""
        search, raster, radius = self.settings.search, self.settings.raster, self.settings.radius
        searched = torch.arange(-search, search + 1, raster, device=around_xy.device)  # px at 512
        read = torch.arange(-search - radius, search + radius + 1, raster, device=around_xy.device) * self.unit_px
        features = view.sample_grid(around_xy[:, :1] + read, around_xy[:, 1:] + read)  # (n, C, S, S)
        features = features.permute(0, 2, 3, 1).contiguous()  # channels, the longest axis, lie together
        side = len(searched)
        cost = features.new_zeros(len(around_xy), side, side)
        corners = ((self.offsets + radius) // raster).int().tolist()
        for own, patch, into in zip(*(x.split(COMPARED_AT_ONCE) for x in (features, templates, cost)), strict=True):
            difference = own.new_empty(len(own), side, side, own.shape[-1])
            for k, (dx, dy) in enumerate(corners):
                torch.sub(own[:, dy : dy + side, dx : dx + side], patch[:, k, None, None], out=difference)
                into += difference.abs_().mean(-1)
        square = searched.square()
        cost = cost * (1 + 0.003 * (square[:, None] + square))  # of equals, the nearest to the prediction
        best = cost.flatten(1).argmin(1)
        row, column = best // side, best % side
        fine_x = _parabola(cost[torch.arange(len(cost)), row], column)
        fine_y = _parabola(cost[torch.arange(len(cost)), :, column], row)
        shift = torch.stack([column + fine_x, row + fine_y], 1) * raster - search
        return around_xy + shift * self.unit_px

    def _refine(self, view: FeatureView, positions_xy: Tensor, templates: Tensor, iterations: int = 2) -> Tensor:
        limit = self.settings.raster * self.unit_px
        for _ in range(iterations):
            residual = view.sample(positions_xy[:, None] + self.patch) - templates
            operator = self.position_operator(view, positions_xy)
            step = torch.einsum("nij,nj->ni", operator, residual.flatten(1))
            positions_xy = positions_xy + step.clamp(-limit, limit)
        return positions_xy


def _disc(radius: int, spacing: int) -> Tensor:
    """Offsets on a raster through the middle, no farther from it than a radius, (P, 2), x first."""
    axis = torch.arange(-(radius // spacing), radius // spacing + 1) * spacing
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    offsets = torch.stack([xs.flatten(), ys.flatten()], 1)
    return offsets[offsets.square().sum(1) <= radius**2]


def _parabola(values: Tensor, index: Tensor) -> Tensor:
    """Sub-sample offset of the minimum of each row of (n, S) near `index`, within half a sample; 0 at the ends."""
    inner = index.clamp(1, values.shape[1] - 2)
    before, here, after = (values.gather(1, (inner + k)[:, None])[:, 0] for k in (-1, 0, 1))
    offset = 0.5 * (before - after) / (before - 2 * here + after).clamp(min=1e-9)
    return torch.where(index == inner, offset.clamp(-0.5, 0.5), torch.zeros_like(offset))


def _centred(patches: Tensor) -> Tensor:
    """(n, P, C) -> (n, P * C), each channel minus its mean over the patch."""
    return (patches - patches.mean(1, keepdim=True)).flatten(1)
