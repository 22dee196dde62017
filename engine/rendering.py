"""From a latent back to the document: what a drag changed, laid over the picture that was opened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.align import Crop
from engine.composite import GENERATED_TOLERANCE, PHOTO_TOLERANCE, changed_mask, restore
from engine.device import memory_guard
from engine.images import Picture, to_tensor, to_uint8
from engine.inversion.detail import FineDetail, is_finer
from engine.inversion.motion import Motion, find_motion
from engine.models import Model
from engine.preview import PREVIEW_PX, Preview, can_preview, shrink


@dataclass(frozen=True, eq=False)
class Region:
    """What may move.

    Attributes:
        document: (H, W) in [0, 1], document pixels.
        square: the part of it that the model sees, (R, R) in [0, 1], model pixels.
    """

    document: NDArray[np.float32]
    square: NDArray[np.float32]

    def joined(self, other: Region | None) -> Region | None:
        """What may move in either; None stands for everything."""
        if other is None:
            return None
        return Region(np.maximum(self.document, other.document), np.maximum(self.square, other.square))


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of picture to lay over the document.

    Attributes:
        rect: where, (x, y, width, height), whole document pixels.
        rgba: what, (h, w, 4) uint8, not premultiplied, stretched to the rect; its opacity is 0 where nothing changed.
    """

    rect: tuple[int, int, int, int]
    rgba: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Edit:
    """An edit in model pixels.

    Attributes:
        square: what the model's square shows, (1, 3, R, R) in [-1, 1].
        mask: how much of it shows, (R, R) in [0, 1]; None for all.
        motion: how it came from the picture as opened; None where that does not matter.
    """

    square: Tensor
    mask: NDArray[np.float32] | None = None
    motion: Motion | None = None


class Renderer:
    """Shows latents as edits of one picture.

    Args:
        model: whose latents they are.
        picture: as it was opened.
        crop: the square of it that the model sees.
        w_start: latent of that square before any edit, (1, num_ws, w_dim).
        generated: whether the picture is the model's own, so that the latent draws it exactly.
    """

    def __init__(self, model: Model, picture: Picture, crop: Crop, w_start: Tensor, *, generated: bool) -> None:
        self._model, self._picture, self._crop = model, picture, crop
        self._w_start, self._generated = w_start, generated

    def result(self, w_plus: Tensor, region: Region | None) -> Picture:
        """The whole picture with what changed laid over it; every other pixel is the picture's own."""
        picture = self._picture
        edit = self._edit(w_plus, region)
        if edit.mask is None:
            rgb = to_uint8(self._model.generator.trim(edit.square))
        else:
            rgb = self._crop.paste(picture.rgb, to_uint8(edit.square), edit.mask, self._fine_detail(edit))
        if region is not None:  # resampling to the model and back blurs the region's edge
            rgb = np.where(region.document[..., None] > 0, rgb, picture.rgb)
        return replace(picture, rgb=rgb)

    def patch(self, w_plus: Tensor, region: Region | None, size_px: int | None = None) -> Patch:
        """Only what changed.

        Args:
            w_plus: the latent.
            region: what may move.
            size_px: longest side of a preview, which covers all that the model sees; up to `PREVIEW_PX` it is fast
                and approximate. None for the result at the document's own size, cut to what changed.
        """
        left, top, right, bottom = box = self._crop.bounds(*self._picture.size_wh)
        size_wh = right - left, bottom - top
        small = size_px is not None and size_px <= PREVIEW_PX and can_preview(self._model.generator)
        edit = self._estimate(w_plus, region) if small else self._edit(w_plus, region)
        crop = self._crop.at_resolution(PREVIEW_PX) if small else self._crop
        if size_px is not None and max(size_wh) > size_px:
            shrinkage = size_px / max(size_wh)
            size_wh = max(1, round(size_wh[0] * shrinkage)), max(1, round(size_wh[1] * shrinkage))
        shown = np.ones((crop.resolution, crop.resolution), np.float32) if edit.mask is None else edit.mask
        detail = self._fine_detail(edit) if size_px is None else None
        rgb, opacity = crop.overlay(to_uint8(edit.square), shown, box, size_wh, detail)
        opacity = opacity * self._allowed(box, size_wh, region)
        rgba = np.dstack([rgb, (opacity * 255).round().astype(np.uint8)])
        patch = Patch((left, top, right - left, bottom - top), rgba)
        return patch if size_px is not None else _trimmed(patch)

    def drawn(self, size_px: int) -> Patch:
        """All that the model can draw of the picture as it was opened, to compare the two.

        Args:
            size_px: longest side.
        """
        return square_patch(self._crop, self._picture.size_wh, self._before, size_px)

    def _edit(self, w_plus: Tensor, region: Region | None) -> _Edit:
        edited = render(self._model, w_plus)
        if self._generated and region is None:
            return _Edit(edited)
        return self._blend(self._before, edited, self._photo, None if region is None else region.square)

    def _estimate(self, w_plus: Tensor, region: Region | None) -> _Edit:
        """As `_edit`, estimated at `PREVIEW_PX`."""
        with memory_guard(w_plus.device):
            edited = self._preview(w_plus)
        if self._generated and region is None:
            return _Edit(edited)
        square = None if region is None else shrink(torch.from_numpy(region.square)[None, None])[0, 0].numpy()
        return self._blend(shrink(self._before), edited, shrink(self._photo), square)

    def _blend(self, before: Tensor, edited: Tensor, photo: Tensor, square: NDArray[np.float32] | None) -> _Edit:
        tolerance = GENERATED_TOLERANCE if self._generated else PHOTO_TOLERANCE
        mask = changed_mask(
            before,
            edited,
            square,
            tolerance=tolerance,
            fade_border=not self._generated,
            margin=self._crop.margin * edited.shape[-1] // self._crop.resolution,
        )
        if self._generated:
            return _Edit(edited, mask)
        motion = find_motion(before, edited)
        return _Edit(restore(edited, before, photo, motion), mask, motion)

    def _fine_detail(self, edit: _Edit) -> FineDetail | None:
        """What the document shows beyond the model's resolution; None where it shows nothing."""
        if edit.motion is None or not is_finer(self._crop):
            return None
        return FineDetail(self._crop, self._picture.rgb, self._photo, edit.motion)

    def _allowed(
        self, box: tuple[int, int, int, int], size_wh: tuple[int, int], region: Region | None
    ) -> NDArray[np.float32]:
        """Where a patch may show at all, (h, w): in the region, and as far as the picture is opaque."""
        left, top, right, bottom = box
        columns = left + ((np.arange(size_wh[0]) + 0.5) * (right - left) / size_wh[0]).astype(int)
        rows = top + ((np.arange(size_wh[1]) + 0.5) * (bottom - top) / size_wh[1]).astype(int)
        picked = np.ix_(rows, columns)
        allowed = np.ones((len(rows), len(columns)), np.float32)
        if region is not None:
            allowed *= region.document[picked] > 0
        if self._picture.alpha is not None:
            allowed *= self._picture.alpha[picked].astype(np.float32) / 255
        return allowed

    @cached_property
    def _photo(self) -> Tensor:
        """What the model sees of the picture, (1, 3, R, R) in [-1, 1]."""
        return to_tensor(self._crop.extract(self._picture.rgb)).to(self._w_start)

    @cached_property
    def _before(self) -> Tensor:
        return render(self._model, self._w_start)

    @cached_property
    def _preview(self) -> Preview:
        return Preview(self._model.generator, self._w_start, self._before)


def square_patch(crop: Crop, document_wh: tuple[int, int], drawn: Tensor, size_px: int) -> Patch:
    """Lay all that a model draws over the document.

    Args:
        crop: the square that the model sees.
        document_wh: of the document, pixels.
        drawn: what the model draws, (1, 3, r, r) in [-1, 1], of any resolution.
        size_px: longest side of the patch.
    """
    left, top, right, bottom = box = crop.bounds(*document_wh)
    shrinkage = min(1.0, size_px / max(right - left, bottom - top))
    size_wh = max(1, round((right - left) * shrinkage)), max(1, round((bottom - top) * shrinkage))
    side = drawn.shape[-1]
    everything = np.ones((side, side), np.float32)
    rgb, opacity = crop.at_resolution(side).overlay(to_uint8(drawn), everything, box, size_wh)
    return Patch((left, top, right - left, bottom - top), np.dstack([rgb, (opacity * 255).round().astype(np.uint8)]))


def render(model: Model, w_plus: Tensor) -> Tensor:
    """Render a latent as the model draws it, (1, 3, R, R) in [-1, 1].

    Raises:
        OutOfMemory: the device's memory does not suffice.
    """
    with memory_guard(w_plus.device), torch.no_grad():
        return model.generator.synthesis(w_plus)


def _trimmed(patch: Patch) -> Patch:
    """Cut a patch at full size to the pixels that show, one pixel at least."""
    x, y, _, _ = patch.rect
    rows, columns = (np.flatnonzero(patch.rgba[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return Patch((x, y, 1, 1), patch.rgba[:1, :1])
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    rgba = np.ascontiguousarray(patch.rgba[top:bottom, left:right])
    return Patch((x + int(left), y + int(top), int(right - left), int(bottom - top)), rgba)
