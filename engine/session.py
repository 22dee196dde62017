"""One picture being edited: opened once, dragged as often as wanted, rendered when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from krita_drag.wire.errors import BadMask, BadOption, BadPoints
from numpy.typing import NDArray
from torch import Tensor

from engine.align import Crop, identity_crop
from engine.composite import GENERATED_TOLERANCE, PHOTO_TOLERANCE, changed_mask, match_tones
from engine.device import memory_guard
from engine.drag import DEFAULT_SOLVER, DEFAULT_STEPS, DragPoints, DragStep, drag
from engine.images import Picture, to_tensor, to_uint8
from engine.inversion import DEFAULT_PRESET, InversionStep, find_crop, invert
from engine.models import Model, ModelStore
from engine.points import Pair, check_pairs


class Session:
    """A picture, the square of it that the model sees, its latent, and what drags have made of it.

    Attributes:
        model: the generator, for a photo with weights tuned to it, and what is known about it.
        picture: the picture as it was opened; never changed.
        crop: the square that the model sees.
        w_start: latent of that square, (1, num_ws, w_dim).
        w_plus: latent of the best state so far: the one with the smallest mean distance in the latest drag.
        history: all events of the latest drag.
    """

    def __init__(
        self, model: Model, picture: Picture, crop: Crop, w_start: Tensor, *, generated: bool, notes: Sequence[str] = ()
    ) -> None:
        self.model, self.picture, self.crop = model, picture, crop
        self.w_start = self.w_plus = w_start
        self.history: list[DragStep] = []
        self._opening_notes = tuple(notes)
        self._generated = generated
        self._mask: NDArray[np.float32] | None = None  # model pixels
        self._document_mask: NDArray[np.float32] | None = None
        self._best: DragStep | None = None

    @classmethod
    def from_seed(cls, model: Model, seed: int, truncation_psi: float = 0.7, class_index: int | None = None) -> Session:
        """Open a generated picture.

        Args:
            model: loaded model.
            seed: of the noise; the same seed gives the same picture.
            truncation_psi: 1 for the model's full variety, towards 0 for its average; 0.7 as in DragGAN.
            class_index: what a conditional model is to draw; None for the first of its classes.

        Raises:
            BadOption: the model has no such class.
        """
        generator = model.generator
        if class_index is not None:
            _check_class(model, class_index)
        w_plus = generator.sample_w_plus(seed, truncation_psi, class_index or 0)
        picture = Picture(to_uint8(generator.trim(_render(model, w_plus))))
        crop = identity_crop(generator.resolution, generator.margin)
        return cls(model, picture, crop, w_plus, generated=True)

    @classmethod
    def from_photo(
        cls,
        model: Model,
        picture: Picture,
        store: ModelStore,
        *,
        pairs: Sequence[Pair] = (),
        preset: str = DEFAULT_PRESET,
        steps: int | None = None,
        on_step: Callable[[InversionStep], bool | None] | None = None,
    ) -> Session:
        """Open a photo or painting: find what the model knows in it, and its latent.

        Args:
            model: loaded model.
            picture: upright picture.
            store: where the face detector's weights are.
            pairs: what is going to be dragged, if known: checked before the long work.
            preset: how much work to put into the inversion, key of `engine.inversion.PRESETS`.
            steps: of the inversion; None for the preset's own number.
            on_step: told after every step; returning False stops there and keeps the best so far.

        Raises:
            BadPoints: the model will not see one of the pairs.
            OutOfMemory: the device's memory does not suffice.
        """
        crop, notes = find_crop(picture, model, store)
        if pairs:
            _to_model(pairs, picture, crop)
        inversion = invert(picture, model, crop, preset=preset, steps=steps, on_step=on_step)
        notes = (*picture.notes, *notes, *inversion.notes)
        return cls(inversion.model(model), picture, crop, inversion.w_plus, generated=False, notes=notes)

    def drag(
        self,
        pairs: Sequence[Pair],
        *,
        solver: str = DEFAULT_SOLVER,
        mask: NDArray[np.float32] | None = None,
        max_steps: int = DEFAULT_STEPS,
    ) -> Iterator[DragStep]:
        """Drag from the start, one step each time an event is asked for; asking for no more cancels.

        Args:
            pairs: (handle, target), each (x, y), document pixels.
            solver: key of `engine.drag.SOLVERS`.
            mask: region that may move, (H, W) of the document in [0, 1]; None for everywhere.
            max_steps: steps after which the drag ends wherever it is.

        Yields:
            The state at the start, then after every step; also kept in `history`, the best one in `w_plus`.

        Raises:
            BadPoints: the points make no sense for this picture, or the model does not see them.
            BadMask: nothing of the region lies where the model sees the picture.
            BadOption: no solver has that name.
            OutOfMemory: the device's memory does not suffice.
        """
        points = _to_model(pairs, self.picture, self.crop)
        self._mask, self._document_mask = self._crop_mask(mask), mask
        self.history, self._best, self.w_plus = [], None, self.w_start
        events = drag(self.model.generator, self.w_start, points, solver=solver, mask=self._mask, max_steps=max_steps)
        for event in events:
            self.history.append(event)
            if self._best is None or event.mean_distance < self._best.mean_distance:
                self._best, self.w_plus = event, event.w_plus
            yield event

    @property
    def notes(self) -> list[str]:
        """Sentences for the user: what was found when opening, and what the latest drag could not do."""
        notes = list(self._opening_notes)
        if self._best is not None and self._best.lost is not None:
            numbers = ", ".join(str(number) for number in np.flatnonzero(self._best.lost) + 1)
            if numbers:
                notes.append(
                    f"Point {numbers} could not be followed, so where it is now is a guess; "
                    "put it on a more distinct spot, such as a corner of an eye or of the mouth."
                )
        if self.history and self.history[-1].reason == "stalled":
            notes.append(
                "The drag made no more progress: the target may be out of the model's reach. "
                "Try a shorter way, or more points."
            )
        return notes

    def best(self) -> DragStep | None:
        """The event of the latest drag that `result` shows; None before the first drag."""
        return self._best

    def handles_document(self) -> NDArray[np.float64]:
        """Where the handles are in `result`, (n, 2), document pixels; (0, 2) before the first drag."""
        return self.crop.to_document(self._best.handles) if self._best else np.zeros((0, 2))

    def before(self) -> Picture:
        """The picture that `result` is compared with: as it was opened."""
        return self.picture

    def result(self) -> Picture:
        """The whole picture with what the drag moved laid over it; every other pixel is the picture's own."""
        if self.w_plus is self.w_start:
            return self.picture
        edited = _render(self.model, self.w_plus)
        if self._generated and self._mask is None:
            rgb = to_uint8(self.model.generator.trim(edited))
        else:
            tolerance = GENERATED_TOLERANCE if self._generated else PHOTO_TOLERANCE
            mask = changed_mask(
                self._rendering_at_start,
                edited,
                self._mask,
                tolerance=tolerance,
                fade_border=not self._generated,
                margin=self.crop.margin,
            )
            if not self._generated:
                edited = match_tones(edited, self._rendering_at_start, self._photo)
            rgb = self.crop.paste(self.picture.rgb, to_uint8(edited), mask)
            if self._document_mask is not None:  # resampling to the model and back blurs the mask's edge
                rgb = np.where(self._document_mask[..., None] > 0, rgb, self.picture.rgb)
        return Picture(rgb, self.picture.alpha, self.picture.icc_profile, self.picture.notes)

    def _crop_mask(self, mask: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        if mask is None:
            return None
        square = self.crop.extract(mask)
        if not square.any():
            raise BadMask(
                "The mask leaves nothing to move where the model sees the picture.",
                f"Paint it white inside the square with the corners {_corners(self.crop)}.",
            )
        return square

    @cached_property
    def _photo(self) -> Tensor:
        return to_tensor(self.crop.extract(self.picture.rgb)).to(self.w_start)

    @cached_property
    def _rendering_at_start(self) -> Tensor:
        return _render(self.model, self.w_start)


def _to_model(pairs: Sequence[Pair], picture: Picture, crop: Crop) -> DragPoints:
    """Check pairs in document pixels and map them to model pixels."""
    check_pairs(list(pairs), *picture.size_wh)
    handles, targets = (crop.to_model(np.array(ends, float)) for ends in zip(*pairs, strict=True))
    for number, ends in enumerate(zip(handles, targets, strict=True), 1):
        if not all(crop.sees(end) for end in ends):
            raise BadPoints(
                f"Point {number} lies outside the part of the picture that the model sees.",
                f"Keep handles and targets inside the square with the corners {_corners(crop)}.",
            )
    return DragPoints(handles, targets)


def _corners(crop: Crop) -> str:
    """The corners of what the model sees as text, document pixels, clockwise."""
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in crop.corners)


def _check_class(model: Model, class_index: int) -> None:
    classes, name = model.generator.c_dim, model.info.name
    if not 0 <= class_index < classes:
        raise BadOption(
            f"The model “{name}” has no class {class_index}.",
            f"Its classes are 0 to {classes - 1}." if classes else "It draws one kind of picture: leave --class out.",
        )


@torch.no_grad()
def _render(model: Model, w_plus: Tensor) -> Tensor:
    """Render a latent, (1, 3, R, R) in [-1, 1]."""
    with memory_guard(w_plus.device):
        return model.generator.synthesis(w_plus)
