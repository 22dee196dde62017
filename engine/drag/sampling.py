"""Read feature maps at points: where the points are, only windows of the map need to exist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import Generator, Windows
from stylegan2.windows import crop

DENSE_SHARE = 0.5  # windows that hold more than this share of the map's positions do not pay


@dataclass(frozen=True)
class FeatureView:
    """A feature map, or K windows of it, addressed in model pixels.

    Attributes:
        maps: (1, C, R, R) for the whole map, (K, C, size, size) for windows.
        origins: top-left position of each map in the feature map, (1 or K, 2), x first.
        feature_size: R, side of the whole feature map.
        resolution: side of the picture, model pixels.
        margin: columns at its left and right that no picture has, model pixels; see `Generator`.
    """

    maps: Tensor
    origins: Tensor
    feature_size: int
    resolution: int
    margin: int = 0

    def detach(self) -> FeatureView:
        """The same values without their gradient."""
        return replace(self, maps=self.maps.detach())

    def sample(self, points_xy: Tensor) -> Tensor:
        """Interpolate the map bilinearly; beyond its border the nearest value holds.

        Args:
            points_xy: (K, P, 2), model pixels; the P points of row k are read in window k.

        Returns:
            (K, P, C).
        """
        positions = self._positions(points_xy)  # (K, P, 2), feature positions
        k, p, _ = positions.shape
        local = (positions - self.origins[:, None]) * (2 / max(self.maps.shape[-1] - 1, 1)) - 1
        grid = local.view(-1, 1, k * p, 2) if len(self.maps) == 1 else local[:, None]  # (maps, 1, points, 2)
        values = F.grid_sample(self.maps, grid, align_corners=True, padding_mode="border")
        return values.permute(0, 2, 3, 1).reshape(k, p, -1)

    def sample_resized(self, points_xy: Tensor) -> Tensor:
        """As `sample`, but of the map resized to the picture, which the official DragGAN code builds in full.

        That map is bilinear between pixel centres, not between feature positions: four pixels decide.
        """
        corner = (points_xy - 0.5).floor() + 0.5  # centre of the pixel up and left of the point
        fraction = points_xy - corner
        offsets = points_xy.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])  # (4, 2)
        weights = torch.where(offsets.bool(), fraction[:, :, None], 1 - fraction[:, :, None]).prod(-1)  # (K, P, 4)
        corners = (corner[:, :, None] + offsets).flatten(1, 2)  # (K, P * 4, 2)
        values = self.sample(corners).unflatten(1, (-1, 4))  # (K, P, 4, C)
        return (values * weights[..., None]).sum(2)

    def sample_grid(self, xs: Tensor, ys: Tensor) -> Tensor:
        """Interpolate on a raster per point; separable, so far cheaper than `sample` for dense rasters.

        Args:
            xs: columns, (K, A), model pixels.
            ys: rows, (K, B), model pixels.

        Returns:
            (K, C, B, A).
        """
        columns, rows = self._weights(xs, axis=0), self._weights(ys, axis=1)  # (K, A, size), (K, B, size)
        return rows[:, None] @ self.maps @ columns.transpose(1, 2)[:, None]

    def squared_distances(self, xs: Tensor, ys: Tensor, features: Tensor) -> Tensor:
        """Squared distance of one feature per point to those interpolated on its raster, which are never made.

        The square of an interpolation of differences is one of the products of neighbouring differences.

        Args:
            xs: columns, (K, A), model pixels.
            ys: rows, (K, B), model pixels.
            features: (K, C).

        Returns:
            (K, B, A).
        """
        near = self._cut_to(xs, ys)
        (wx, cross_x), (wy, cross_y) = (_products(near._weights(v, axis)) for axis, v in enumerate((xs, ys)))
        wx, cross_x = wx.mT, cross_x.mT
        d = near.maps - features[:, :, None, None]
        left, right = d[..., :-1], d[..., 1:]
        own, beside, below = d.square().sum(1), (left * right).sum(1), (d[:, :, :-1] * d[:, :, 1:]).sum(1)
        diagonal = (left[:, :, :-1] * right[:, :, 1:] + right[:, :, :-1] * left[:, :, 1:]).sum(1)
        return wy @ (own @ wx + 2 * beside @ cross_x) + 2 * cross_y @ (below @ wx + diagonal @ cross_x)

    def _cut_to(self, xs: Tensor, ys: Tensor) -> FeatureView:
        """Cut a window around each raster out of a whole map; windows stay as they are."""
        if len(self.maps) == len(xs):
            return self
        places = [self._clamped(v, axis) for axis, v in enumerate((xs, ys))]
        size = min(max(math.ceil(float((v.amax(1) - v.amin(1)).amax())) for v in places) + 2, self.feature_size)
        first = torch.stack([v.amin(1) for v in places], 1).floor().long().clamp(0, self.feature_size - size)
        windows = Windows(tuple((int(x), int(y)) for x, y in first.tolist()), size)
        return replace(self, maps=crop(self.maps, windows), origins=first.to(self.maps))

    def _positions(self, points_xy: Tensor) -> Tensor:
        """Model pixels (..., 2) -> feature positions (centres at integers), clamped into the map."""
        if not self.margin:
            return self._clamped(points_xy, axis=1)
        return torch.stack([self._clamped(points_xy[..., axis], axis) for axis in (0, 1)], -1)

    def _clamped(self, coordinates: Tensor, axis: int) -> Tensor:
        """As `_positions`, for coordinates along one axis: 0 for x, which the margins narrow, 1 for y."""
        scale = self.feature_size / self.resolution
        first = self.margin * scale if axis == 0 else 0
        return (coordinates * scale - 0.5).clamp(first, self.feature_size - 1 - first)

    def _weights(self, coordinates: Tensor, axis: int) -> Tensor:
        """Bilinear weights of each coordinate over the positions of its window. (K, A) -> (K, A, size)."""
        local = self._clamped(coordinates, axis) - self.origins[:, axis, None]  # (K, A)
        positions = torch.arange(self.maps.shape[-1], device=local.device, dtype=local.dtype)
        return (1 - (local[..., None] - positions).abs()).clamp(min=0)


def _products(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Bilinear weights (K, A, size) -> their squares, and the products of neighbours, (K, A, size - 1)."""
    return weights.square(), weights[..., :-1] * weights[..., 1:]


def view_features(
    generator: Generator,
    rows: Sequence[Tensor],
    feature_size: int,
    around_xy: Tensor | None,
    reach_px: float = 0.0,
) -> FeatureView:
    """Compute the features that are read within a distance of some points, as cheaply as possible.

    Args:
        generator: any generator.
        rows: rows of w_plus, num_ws times (1, w_dim); or (K, w_dim), then point k is seen in the picture of latent k.
        feature_size: resolution of the block that is read.
        around_xy: points, (K, 2), model pixels; None for the whole map.
        reach_px: largest distance per axis at which the map is read around a point, model pixels.

    Returns:
        View with one window per point, or with the whole map where windows do not pay.
    """
    if around_xy is not None:
        reach = reach_px * feature_size / generator.resolution
        size = min(math.ceil(2 * reach) + 2, feature_size)
        own_latents = len(around_xy) == len(rows[0]) > 1
        if own_latents or len(around_xy) * size**2 <= DENSE_SHARE * feature_size**2:
            first = around_xy * (feature_size / generator.resolution) - 0.5 - reach
            origins = first.floor().long().clamp(0, feature_size - size)  # inside the map: samples are clamped too
            windows = Windows(tuple((int(x), int(y)) for x, y in origins.tolist()), size)
            maps = generator.features(rows, feature_size, windows)
            return FeatureView(maps, origins.to(maps), feature_size, generator.resolution, generator.margin)
    maps = generator.features(rows, feature_size)
    origin = torch.zeros(1, 2, device=maps.device)
    return FeatureView(maps, origin, feature_size, generator.resolution, generator.margin)
