"""Finding a photo in the model, one step at a time: cut short, it goes on; stopped, it keeps the best so far."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from krita_drag.wire.errors import BadFrame
from krita_drag.wire.messages import Invert

from engine.images import Picture
from engine.inversion import DEFAULT_PRESET, InversionStep, crop_from_corners, find_crop
from engine.models import Model
from engine.points import Pair
from engine.rendering import square_patch
from engine.service.pixels import to_mask, to_picture
from engine.service.reports import Report, Stopped
from engine.service.search_file import SearchOptions
from engine.session import Session

if TYPE_CHECKING:
    from engine.service.hosted import HostedSession


def prepare(hosted: HostedSession, message: Invert | None = None) -> Generator[Report, None, None]:
    """Find the picture in the model, as asked for if it was; the session is there afterwards.

    Raises:
        BadFrame: the session has no picture that could be looked for.
        BadMask, BadPoints: the model would not see what is meant.
        InversionFailed, OutOfMemory: as for `engine.inversion.inverting`.
        Stopped: it was thrown in; the session is there unless nothing was found yet.
    """
    opening = hosted.opening()
    if getattr(opening, "image", None) is None:
        raise BadFrame("Only a picture that was sent needs to be looked for.")
    kept = hosted.kept_search(None if message is None else message.id)
    yield Report("loading")
    model = hosted.model(opening.model)
    picture = to_picture(opening.image, opening.order)
    yield Report("aligning")
    options = _options(hosted, message, picture, model) if kept is None else kept.options
    hosted.notes += [note for note in options.notes if note not in hosted.notes]
    search = Session.opening(
        model,
        picture,
        hosted.models.store,
        pairs=pairs_of(message.points) if message is not None and kept is None else (),
        preset=options.preset,
        steps=options.steps,
        crop=options.crop,
        resumed=None if kept is None else kept.snapshot,
    )
    try:
        while True:
            step = next(search)
            hosted.inversion_steps = step.step
            try:
                yield _report(step, options, picture)
            except Stopped:
                _keep_best(hosted, search)
                raise
    except StopIteration as end:
        hosted.inverted(end.value)
    finally:
        search.close()


def pairs_of(points: tuple[tuple[float, ...], ...]) -> list[Pair]:
    """Return handles and targets of a message's points."""
    return [((hx, hy), (tx, ty)) for hx, hy, tx, ty in points]


def _options(hosted: HostedSession, message: Invert | None, picture: Picture, model: Model) -> SearchOptions:
    """Find the square that the model is to see, as far as the message does not say."""
    preset, steps = (DEFAULT_PRESET, None) if message is None else (message.preset, message.steps)
    if message is not None and message.corners is not None:
        corners = [(x, y) for x, y in message.corners]
        generator = model.generator
        return SearchOptions(crop_from_corners(corners, generator.resolution, generator.margin), preset, steps, ())
    selection = None if message is None else to_mask(message.selection, picture.size_wh)
    pairs = [] if message is None else pairs_of(message.points)
    crop, notes = find_crop(picture, model, hosted.models.store, selection=selection, pairs=pairs)
    return SearchOptions(crop, preset, steps, tuple(notes))


def _report(step: InversionStep, options: SearchOptions, picture: Picture) -> Report:
    show = None if step.preview is None else partial(square_patch, options.crop, picture.size_wh, step.preview)
    take = step.snapshot
    return Report(
        "tuning" if step.stage == "tuning" else "projecting",
        step.step,
        step.total,
        left_s=step.seconds_left,
        loss=float(step.loss),
        show=show,
        search=None if take is None else lambda: (options, take()),
    )


def _keep_best(hosted: HostedSession, search: Generator[InversionStep, bool | None, Session]) -> None:
    """End a search where it is."""
    try:
        search.send(False)
    except StopIteration as end:
        hosted.inverted(end.value)
