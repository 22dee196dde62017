"""One picture being edited: opened once, dragged as often as wanted, undone, rendered when asked."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
from krita_drag.wire.errors import BadOption
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from engine.align import Crop, identity_crop
from engine.drag import DEFAULT_SOLVER, DEFAULT_STEPS, DragPoints, DragStep, LiveDrag, drag
from engine.drag.change_metric import ChangeMetric
from engine.edit_history import EditHistory
from engine.images import Picture, to_uint8
from engine.inversion import DEFAULT_PRESET, Inversion, InversionStep, Snapshot, find_crop, inverting
from engine.model_points import seen_part, to_model_points
from engine.models import Model, ModelStore
from engine.points import Pair
from engine.rendering import Patch, Region, Renderer, render


class Session:
    """A picture, the square of it that the model sees, its latent, and what drags have made of it.

    Attributes:
        model: the generator, for a photo with weights tuned to it, and what is known about it.
        picture: the picture as it was opened; never changed.
        crop: the square that the model sees.
        w_start: latent of that square, (1, num_ws, w_dim).
        edits: what drags have made of it, for undo and redo.
        chunk: handles that `newton` works on at once, to save memory; None for as many as it likes.
        generated: whether the picture is the model's own.
        opening_notes: what was found when opening, one sentence each.
    """

    def __init__(
        self, model: Model, picture: Picture, crop: Crop, w_start: Tensor, *, generated: bool, notes: Sequence[str] = ()
    ) -> None:
        self.model, self.picture, self.crop, self.w_start = model, picture, crop, w_start
        self.edits = EditHistory(w_start)
        self.chunk: int | None = None
        self.generated = generated
        self.opening_notes = tuple(notes)
        self._renderer = Renderer(model, picture, crop, w_start, generated=generated)

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
            OutOfMemory: the device's memory does not suffice.
        """
        generator = model.generator
        if class_index is not None:
            _check_class(model, class_index)
        w_plus = generator.sample_w_plus(seed, truncation_psi, class_index or 0)
        picture = Picture(to_uint8(generator.trim(render(model, w_plus))))
        crop = identity_crop(generator.resolution, generator.margin)
        return cls(model, picture, crop, w_plus, generated=True)

    @classmethod
    def opening(
        cls,
        model: Model,
        picture: Picture,
        store: ModelStore,
        *,
        pairs: Sequence[Pair] = (),
        preset: str = DEFAULT_PRESET,
        steps: int | None = None,
        selection: NDArray[np.float32] | None = None,
        crop: Crop | None = None,
        resumed: Snapshot | None = None,
    ) -> Generator[InversionStep, bool | None, Session]:
        """Open a photo or painting: find what the model knows in it, and its latent, one step at a time.

        `engine.inversion.drive` runs the steps to their end; sending False ends them with the best so far.

        Args:
            model: loaded model.
            picture: upright picture.
            store: where the face detector's weights are.
            pairs: what is going to be dragged, if known: checked before the long work.
            preset: how much work to put into the inversion, key of `engine.inversion.PRESETS`.
            steps: of the inversion; None for the preset's own number.
            selection: what the user works on, (H, W) in [0, 1]: which face is meant, or where the model is to look.
            crop: the square, if it was placed by hand; None to find it.
            resumed: what a step told in another process, to go on from; needs the crop of then.

        Raises:
            BadOption: there is no such preset, or less than one step is asked for.
            BadPoints: the model will not see one of the pairs.
            InversionFailed: as for `engine.inversion.inverting`.
            NetworkBlocked, ModelCorrupt: the face detector's weights cannot be had.
            OutOfMemory: the device's memory does not suffice.
        """
        notes: tuple[str, ...] = ()
        if crop is None:
            crop, notes = find_crop(picture, model, store, selection=selection, pairs=pairs)
        if pairs:
            to_model_points(pairs, picture, crop)
        inversion = yield from inverting(picture, model, crop, preset=preset, steps=steps, resumed=resumed)
        return cls.from_inversion(model, picture, inversion, notes)

    @classmethod
    def from_inversion(cls, model: Model, picture: Picture, inversion: Inversion, notes: Sequence[str] = ()) -> Session:
        """Open a picture that was found in a model.

        Args:
            model: that was searched.
            picture: upright picture.
            inversion: what was found.
            notes: what was said on the way to it, one sentence each.
        """
        notes = (*picture.notes, *notes, *inversion.notes)
        return cls(inversion.model(model), picture, inversion.crop, inversion.w_plus, generated=False, notes=notes)

    def drag(
        self,
        pairs: Sequence[Pair],
        *,
        solver: str = DEFAULT_SOLVER,
        mask: NDArray[np.float32] | None = None,
        max_steps: int = DEFAULT_STEPS,
        weights: ArrayLike | None = None,
        reach: float | None = None,
        onward: bool = False,
        resumed: DragStep | None = None,
    ) -> Iterator[DragStep]:
        """Drag, one step each time an event is asked for; asking for no more cancels and keeps the best so far.

        Args:
            pairs: (handle, target), each (x, y), document pixels; a handle that is its own target is an anchor.
            solver: key of `engine.drag.SOLVERS`.
            mask: region that may move, (H, W) of the document in [0, 1]; None for everywhere.
            max_steps: steps after which the drag ends wherever it is.
            weights: how hard each pair pulls compared with the others, (n,), above 0; None for all alike.
            reach: "stay close": how far the latent may go from the picture as it was opened, as
                `engine.drag.drag`; None for the solver's default.
            onward: start from the state that is shown, in which the handles are; else from the picture as opened.
            resumed: event of the same drag in another process, to go on from; the pairs' handles are where it was.

        Yields:
            The state at the start, then after every step; also kept in `edits`, the best one as a state.

        Raises:
            BadPoints: the points make no sense for this picture, or the model does not see them.
            BadMask: nothing of the region lies where the model sees the picture.
            BadOption: no solver has that name.
            OutOfMemory: the device's memory does not suffice.
        """
        points = to_model_points(pairs, self.picture, self.crop, weights)
        region = self.region(mask)
        start = self.edits.begin(region, onward, resumed)
        events = drag(
            self.model.generator,
            start.w_plus,
            points,
            solver=solver,
            mask=None if region is None else region.square,
            max_steps=max_steps,
            metric=self._metric(region),
            home=self.w_start,
            reach=reach,
            chunk=self.chunk,
        )
        for event in events:
            self.edits.keep(event, points)
            yield event

    def live(
        self,
        pairs: Sequence[Pair],
        *,
        mask: NDArray[np.float32] | None = None,
        weights: ArrayLike | None = None,
        reach: float | None = None,
        resumed: DragStep | None = None,
    ) -> SessionLiveDrag:
        """Press handles of the state that is shown, to drag them as the pointer moves; arguments as for `drag`."""
        points = to_model_points(pairs, self.picture, self.crop, weights, still=True)
        region = self.region(mask)
        start = self.edits.begin(region, onward=True, resumed=resumed)
        square = None if region is None else region.square
        solver = LiveDrag(
            self.model.generator,
            start.w_plus,
            points,
            square,
            metric=self._metric(region),
            home=self.w_start,
            reach=reach,
            chunk=self.chunk,
        )
        return SessionLiveDrag(self, solver, points)

    def region(self, mask: NDArray[np.float32] | None) -> Region | None:
        """What a mask of the document lets move; None for everything.

        Raises:
            BadMask: nothing of it lies where the model sees the picture.
        """
        if mask is None:
            return None
        return Region(mask, seen_part(mask, self.crop))

    @property
    def w_plus(self) -> Tensor:
        """Latent of the state that is shown, (1, num_ws, w_dim)."""
        return self.edits.state.w_plus

    @property
    def notes(self) -> list[str]:
        """Sentences for the user: what was found when opening, and what the latest drag could not do."""
        notes, best = list(self.opening_notes), self.best()
        if best is not None and best.lost is not None:
            doubtful = [str(number) for number in np.flatnonzero(best.lost) + 1]
            if doubtful:
                notes.append(
                    f"Look closely at point{'s' * (len(doubtful) > 1)} {', '.join(doubtful)}: what was pulled may have "
                    "slipped. Shorter ways are surer, and so are distinct spots, such as a corner of an eye."
                )
        if len({event.solver for event in self.edits.events}) > 1:
            notes.append("The fast solver could not tell how this picture moves, so the slower “draggan” went on.")
        if self.edits.events and self.edits.events[-1].reason == "stalled":
            notes.append(
                "The drag made no more progress: the target may be out of the model's reach. "
                "Try a shorter way, or more points."
            )
        return notes

    def best(self) -> DragStep | None:
        """The event that `result` shows; None for the picture as it was opened."""
        return self.edits.state.event

    def handles_document(self) -> NDArray[np.float64]:
        """Where the handles are in `result`, (n, 2), document pixels; (0, 2) before the first drag."""
        best = self.best()
        return self.crop.to_document(best.handles) if best else np.zeros((0, 2))

    def result(self, event: DragStep | None = None) -> Picture:
        """The whole picture with what drags moved laid over it; every other pixel is the picture's own.

        Args:
            event: of the latest drag, to show instead of the best one.
        """
        state = self.edits.state
        w_plus = state.w_plus if event is None else event.w_plus
        return self.picture if w_plus is self.w_start else self._renderer.result(w_plus, state.region)

    def patch(self, size_px: int | None = None, event: DragStep | None = None) -> Patch:
        """What drags changed, to lay over the picture; arguments as for `result` and `Renderer.patch`."""
        state = self.edits.state
        return self._renderer.patch(state.w_plus if event is None else event.w_plus, state.region, size_px)

    def on_the_way(self, fraction: float) -> Patch:
        """What a moment on the way from the picture as it was opened to the state shown looks like, full size.

        Every drag on the way takes the same time, and between its ends the latent moves straight.

        Args:
            fraction: of the way, 0 to 1.
        """
        states, shown = self.edits.states, self.edits.shown
        whole, part = divmod(fraction * shown, 1)
        before, after = states[int(whole)].w_plus, states[min(int(whole) + 1, shown)].w_plus
        return self._renderer.patch(before.lerp(after, part), self.edits.state.region)

    def drawn(self, size_px: int) -> Patch:
        """What the model can draw of the picture; see `Renderer.drawn`."""
        return self._renderer.drawn(size_px)

    def _metric(self, region: Region | None) -> ChangeMetric | None:
        """Of photos and inside masks as much as possible shall stay; a generated picture may change to another one."""
        return None if self.generated and region is None else self.model.metric


class SessionLiveDrag:
    """A drag that follows the pointer; made by `Session.live`, whose newest state it keeps up to date."""

    def __init__(self, session: Session, solver: LiveDrag, points: DragPoints) -> None:
        self._session, self._solver, self._points = session, solver, points

    def move(self, targets: ArrayLike) -> None:
        """Pull the handles to other places, (n, 2), document pixels; the newest count, and nothing is computed yet."""
        crop = self._session.crop
        targets = crop.nearest_seen(crop.to_model(targets))
        self._points = replace(self._points, targets=targets)
        self._solver.move(targets)

    def step(self) -> DragStep | None:
        """Make one step towards the newest targets; None when there is nothing left to do.

        Raises:
            OutOfMemory: the device's memory does not suffice.
        """
        event = self._solver.step()
        if event is not None:
            self._session.edits.follow(event)
        return event

    def release(self) -> Iterator[DragStep]:
        """End the drag with its last exact steps; the best of them is kept. The last event has a reason."""
        self._session.edits.events.clear()
        for event in self._solver.release():
            self._session.edits.keep(event, self._points)
            yield event


def _check_class(model: Model, class_index: int) -> None:
    classes, name = model.generator.c_dim, model.info.name
    if not 0 <= class_index < classes:
        raise BadOption(
            f"The model “{name}” has no class {class_index}.",
            f"Its classes are 0 to {classes - 1}." if classes else "It draws one kind of picture: leave --class out.",
        )
