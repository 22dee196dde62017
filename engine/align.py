"""The square of a photo that the model sees, there and back.

A :class:`Crop` is a similarity between document pixels and model pixels. Pictures travel through it with
antialiasing whichever way they shrink: box reduction by whole factors, bicubic sampling twice as dense as needed,
and an antialiased halving. Faces are framed as the training pictures of FFHQ models were (Karras et al. 2018,
appendix C; Karras et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

_STRIP_PIXELS = 4_000_000  # of the document, pasted at a time; bounds the memory of large crops
_GREY = 128
_ROUNDING_PX = 1e-6  # that a point on the border may move by on its way through the crop
_MARGIN_PX = 4  # bicubic sampling reads two pixels beyond a position, the antialiased halving two more

Vector = tuple[float, float]
Box = tuple[int, int, int, int]  # left, top, right, bottom; whole pixels
Points = NDArray[np.float64]


class Detail(Protocol):
    """Something finer than the model's pixels (`engine.inversion.detail`)."""

    def at(self, positions_model_xy: Points) -> Tensor:
        """What to add at positions (h, w, 2), model pixels: (1, 3, h, w) in levels of 0 to 255."""
        ...


@dataclass(frozen=True)
class Crop:
    """Where the model's square picture lies in the document.

    Attributes:
        origin_xy: its top-left corner, document pixels.
        right_xy: the vector along its top edge, document pixels.
        down_xy: the vector along its left edge, as long as and at right angles to `right_xy`.
        resolution: side of the model's picture, model pixels.
        margin: columns at its left and right that show nothing, as the model draws narrower pictures; model pixels.
    """

    origin_xy: Vector
    right_xy: Vector
    down_xy: Vector
    resolution: int
    margin: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.origin_xy, self.right_xy, self.down_xy]).all() and self.side_px > 0):
            raise ValueError(f"not a square: {self}")

    @property
    def side_px(self) -> float:
        """Side of the square, document pixels."""
        return math.hypot(*self.right_xy)

    @property
    def scale(self) -> float:
        """Document pixels per model pixel."""
        return self.side_px / self.resolution

    @property
    def corners(self) -> Points:
        """Of what the model sees, clockwise from the top left, (4, 2), document pixels."""
        left, right = self.margin, self.resolution - self.margin
        return self.to_document([(left, 0), (right, 0), (right, self.resolution), (left, self.resolution)])

    def sees(self, point_model_xy: Points) -> bool:
        """Whether a point (2,), model pixels, lies in what the model sees, or on its border."""
        return bool(np.abs(point_model_xy - self.nearest_seen(point_model_xy)).max() <= _ROUNDING_PX)

    def nearest_seen(self, points_model_xy: Points) -> Points:
        """The places in what the model sees that are nearest to points (..., 2), model pixels."""
        return points_model_xy.clip((self.margin, 0), (self.resolution - self.margin, self.resolution))

    @cached_property
    def _axes(self) -> Points:
        """Document vectors of one model pixel right and down, as columns, (2, 2)."""
        return np.array([self.right_xy, self.down_xy], np.float64).T / self.resolution

    def to_document(self, points_model_xy: ArrayLike) -> Points:
        """Map model pixels (..., 2) to document pixels (..., 2)."""
        return np.asarray(points_model_xy, np.float64) @ self._axes.T + np.array(self.origin_xy)

    def to_model(self, points_document_xy: ArrayLike) -> Points:
        """Map document pixels (..., 2) to model pixels (..., 2)."""
        offsets = np.asarray(points_document_xy, np.float64) - np.array(self.origin_xy)
        return offsets @ np.linalg.inv(self._axes).T

    def extract(self, array: NDArray) -> NDArray:
        """Cut the square out of the document.

        Args:
            array: a picture (H, W, 3) uint8, continued beyond its edges by reflection, or a mask or alpha channel
                (H, W), continued by zero.

        Returns:
            (resolution, resolution[, 3]), same dtype; in the margins mid-grey, and 0 for a mask.
        """
        is_mask = array.ndim == 2
        mode: _Mode = "bilinear" if is_mask else "bicubic"
        reduction, oversampling = _shrinkage(self.scale)
        left, top, right, bottom = self.bounds(array.shape[1], array.shape[0], _MARGIN_PX * reduction)
        source = _load(array[top:bottom, left:right], reduction)  # (1, C, h, w)
        positions = self.to_document(_centres((0, 0, self.resolution, self.resolution), oversampling))
        positions = (positions - (left, top)) / reduction
        square = _sample(source, positions, mode, "zeros" if is_mask else "reflection", oversampling)
        return self._without_margins(_store(square, array), 0 if is_mask else _GREY)

    def paste(
        self, rgb: NDArray[np.uint8], edited: NDArray[np.uint8], mask: NDArray, detail: Detail | None = None
    ) -> NDArray[np.uint8]:
        """Lay an edited square over the document.

        Args:
            rgb: the document, (H, W, 3); not changed.
            edited: the model's picture, (resolution, resolution, 3).
            mask: how much of `edited` shows, (resolution, resolution) in [0, 1].
            detail: what is added to `edited` where the document has more pixels than the model.

        Returns:
            (H, W, 3); bit-identical to `rgb` where the mask is 0 and outside the square.
        """
        result = rgb.copy()
        reduction, oversampling = _shrinkage(1 / self.scale)
        mask = self._without_margins(mask.astype(np.float32), 0)
        pictures = _load(edited, reduction), _load(mask, reduction)
        for box in self._strips(rgb.shape[1], rgb.shape[0]):
            left, top, right, bottom = box
            places = self.to_model(_centres(box, oversampling))
            positions = places / reduction
            opacity = _sample(pictures[1], positions, "bilinear", "zeros", oversampling).clamp(0, 1)
            if not opacity.any():
                continue
            overlay = _sample(pictures[0], positions, "bicubic", "reflection", oversampling)
            if detail is not None and oversampling == 1:
                overlay = overlay + detail.at(places)
            overlay = overlay.clamp(0, 255)
            below = _load(rgb[top:bottom, left:right], 1)
            blended = below.lerp(overlay, opacity)  # exactly `below` where the opacity is 0
            result[top:bottom, left:right] = _store(blended, rgb)
        return result

    def _without_margins(self, square: NDArray, value: int) -> NDArray:
        """A square (resolution, resolution[, C]) with one value in the margins."""
        if self.margin:
            square = square.copy()
            square[:, : self.margin] = square[:, self.resolution - self.margin :] = value
        return square

    def overlay(
        self,
        edited: NDArray[np.uint8],
        mask: NDArray,
        box: Box,
        size_wh: tuple[int, int],
        detail: Detail | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Draw an edited square as something to lay over a box of the document.

        Args:
            edited: the model's picture, (resolution, resolution, 3).
            mask: how much of it shows, (resolution, resolution) in [0, 1].
            box: of the document.
            size_wh: (w, h) of the drawing, which is stretched to the box.
            detail: as for `paste`.

        Returns:
            Colours (h, w, 3) and opacity (h, w) in [0, 1]; outside the square the opacity is 0.
        """
        (left, top, right, bottom), (width, height) = box, size_wh
        pitch = np.array([(right - left) / width, (bottom - top) / height])  # document pixels per drawn pixel
        reduction, oversampling = _shrinkage(pitch.max() / self.scale)
        mask = self._without_margins(mask.astype(np.float32), 0)
        colours, opacity = _load(edited, reduction), _load(mask, reduction)
        rgb, alpha = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32)
        rows = max(1, _STRIP_PIXELS // width)
        for first in range(0, height, rows):
            last = min(first + rows, height)
            positions = _centres((0, first, width, last), oversampling) * pitch + (left, top)
            places = self.to_model(positions)
            positions = places / reduction
            drawn = _sample(colours, positions, "bicubic", "reflection", oversampling)
            if detail is not None and oversampling == 1:
                drawn = drawn + detail.at(places)
            rgb[first:last] = _store(drawn, rgb)
            shown = _sample(opacity, positions, "bilinear", "zeros", oversampling)
            alpha[first:last] = _store(shown.clamp(0, 1), alpha)
        return rgb, alpha

    def at_resolution(self, resolution: int) -> Crop:
        """The same square, seen with another number of pixels."""
        return replace(self, resolution=resolution, margin=self.margin * resolution // self.resolution)

    def bounds(self, width: int, height: int, around_px: int = 0) -> Box:
        """The box of a document of this size around what the model sees, at least one pixel large."""
        low = np.floor(self.corners.min(0)).astype(int) - around_px
        high = np.ceil(self.corners.max(0)).astype(int) + around_px
        low = np.clip(low, 0, (width - 1, height - 1))
        high = np.clip(high, low + 1, (width, height))
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _strips(self, width: int, height: int) -> Iterator[Box]:
        left, top, right, bottom = self.bounds(width, height)
        if self.scale < 1:  # small; and strips would show where the document's picture is antialiased
            yield left, top, right, bottom
            return
        rows = max(1, _STRIP_PIXELS // (right - left))
        for start in range(top, bottom, rows):
            yield left, start, right, min(start + rows, bottom)


def face_crop(landmarks_xy: ArrayLike, resolution: int) -> Crop:
    """Frame a face as the pictures of FFHQ are framed (Karras et al. 2018, appendix C).

    Args:
        landmarks_xy: left eye, right eye, nose, left and right corner of the mouth as seen in the picture, (5, 2),
            document pixels.
        resolution: side of the model's picture, model pixels.

    Raises:
        ValueError: the points coincide, so that no frame follows from them.
    """
    points = np.asarray(landmarks_xy, np.float64)
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    eye_to_eye, eye_to_mouth = points[1] - points[0], mouth - eyes
    x = eye_to_eye - _rotate_90(eye_to_mouth)  # the head's right, told by both pairs
    x /= max(math.hypot(*x), 1e-9)
    x *= max(2.0 * math.hypot(*eye_to_eye), 1.8 * math.hypot(*eye_to_mouth))
    y = _rotate_90(x)
    corner = eyes + 0.1 * eye_to_mouth - x - y
    return Crop(_vector(corner), _vector(2 * x), _vector(2 * y), resolution)


def centre_crop(width: int, height: int, resolution: int, margin: int = 0) -> Crop:
    """Frame the middle of a picture, as much as the model can see, on whole pixels.

    Args:
        width, height: of the picture.
        resolution: side of the model's square, model pixels.
        margin: of that square, see `Crop`; the square's margins may lie outside the picture.
    """
    side = min(width * resolution // (resolution - 2 * margin), height)
    origin = ((width - side) // 2, (height - side) // 2)
    return Crop(_vector(origin), (float(side), 0.0), (0.0, float(side)), resolution, margin)


def identity_crop(resolution: int, margin: int = 0) -> Crop:
    """The frame of a picture that the model itself made: document pixels are model pixels, less the margin."""
    return centre_crop(resolution - 2 * margin, resolution, resolution, margin)


def crop_from_json(told: Mapping[str, Any]) -> Crop:
    """Return the square of which `dataclasses.asdict` and JSON made this.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    values: Any = {field.name: told[field.name] for field in fields(Crop)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Crop(**values)


_Mode = Literal["bilinear", "bicubic"]


def _rotate_90(vector: Points) -> Points:
    """Turn from the x axis towards the y axis (clockwise on the screen)."""
    return np.array([-vector[1], vector[0]])


def _vector(values: ArrayLike) -> Vector:
    x, y = np.asarray(values, np.float64)
    return float(x), float(y)


def _shrinkage(scale: float) -> tuple[int, int]:
    """Split a shrinking by `scale` into a whole box reduction and how much denser than the result to sample."""
    if scale <= 1 + 1e-9:
        return 1, 1
    return max(1, math.floor(scale + 1e-9)), 2


def _load(array: NDArray, reduction: int) -> Tensor:
    """(H, W[, C]) -> (1, C, ceil(H / reduction), ceil(W / reduction)) float32, filtered.

    Pictures by Lanczos; masks by the plain mean, which neither rings nor reaches further.
    """
    if reduction > 1:
        rows, columns = (math.ceil(side / reduction) for side in array.shape[:2])
        missing = (rows * reduction - array.shape[0], columns * reduction - array.shape[1])
        padding = [(0, missing[0]), (0, missing[1]), (0, 0)][: array.ndim]
        filter_ = Image.Resampling.BOX if array.ndim == 2 else Image.Resampling.LANCZOS
        whole = Image.fromarray(np.pad(array, padding, mode="edge"))
        array = np.asarray(whole.resize((columns, rows), filter_))
    tensor = torch.from_numpy(np.array(array, np.float32))
    return tensor[None, None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)[None]


def _store(tensor: Tensor, like: NDArray) -> NDArray:
    """(1, C, H, W) -> (H, W[, C]) with the dtype and the number of dimensions of `like`."""
    if like.dtype == np.uint8:
        tensor = tensor.round().clamp(0, 255)
    array = tensor[0].permute(1, 2, 0).numpy().astype(like.dtype)
    return array[..., 0] if like.ndim == 2 else array


def _centres(box: Box, oversampling: int) -> Points:
    """Centres of all (sub)pixels of a box, (height * oversampling, width * oversampling, 2)."""
    left, top, right, bottom = box
    x = left + (np.arange((right - left) * oversampling) + 0.5) / oversampling
    y = top + (np.arange((bottom - top) * oversampling) + 0.5) / oversampling
    return np.stack(np.meshgrid(x, y), axis=-1)


def _sample(
    source: Tensor,
    positions_xy: Points,
    mode: _Mode,
    beyond: Literal["zeros", "reflection"],
    oversampling: int,
) -> Tensor:
    """Read a picture at positions and average the extra ones away.

    Args:
        source: (1, C, H, W).
        positions_xy: (h * oversampling, w * oversampling, 2), pixels of `source`.
        mode: interpolation.
        beyond: what lies outside the source.
        oversampling: 1 or 2.

    Returns:
        (1, C, h, w).
    """
    height, width = source.shape[2:]
    grid = torch.from_numpy((positions_xy * (2 / width, 2 / height) - 1).astype(np.float32))
    sampled = F.grid_sample(source, grid[None], mode, beyond, align_corners=False)
    if oversampling == 1:
        return sampled
    size = [side // oversampling for side in sampled.shape[2:]]
    return F.interpolate(sampled, size, mode=mode, antialias=True, align_corners=False)
