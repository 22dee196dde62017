"""Pictures of the way from the start of a drag to its end, as files or as one animation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from engine.images import atomic_output
from engine.overlay import HANDLE, OUTLINE, TARGET, TRACKED, Markers, with_markers

MOST_FRAMES = 24
GIF_SIDE = 480
STEP_MS = 80
HOLD_MS = 900


def chosen_steps(count: int, every: int | None) -> list[int]:
    """Choose which of `count` pictures are shown: every `every`-th, always the first and the last.

    Args:
        count: pictures there are, numbered from 0.
        every: distance between those that are shown; None for at most `MOST_FRAMES` in all.

    Returns:
        Numbers, ascending.
    """
    stride = every or max(1, -(-(count - 1) // (MOST_FRAMES - 1)))
    return sorted({*range(0, count, stride), count - 1})


def gif_frame(picture: Image.Image, markers: Markers) -> Image.Image:
    """Reduce a picture to at most `GIF_SIDE` pixels a side and draw the points over it.

    Args:
        picture: RGB.
        markers: points in pixels of `picture`.
    """
    scale = min(1.0, GIF_SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    return with_markers(small, markers.scaled(scale), unit=0.8)


def save_gif(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write an endless animation that rests on its last frame, all or nothing.

    Raises:
        BadOutput: it cannot be written.
    """
    palette = _palette(frames[0], frames[-1])
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    durations = [HOLD_MS, *[STEP_MS] * (len(frames) - 2), HOLD_MS][-len(frames) :]
    with atomic_output(path) as temporary:
        indexed[0].save(
            temporary, save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=False, disposal=1
        )


def _palette(first: Image.Image, last: Image.Image) -> Image.Image:
    """One palette for all frames, which keeps still areas from flickering, with the colours of the points in it."""
    markers = (HANDLE, TARGET, TRACKED, OUTLINE)
    ends = Image.new("RGB", (first.width, 2 * first.height))
    ends.paste(first, (0, 0))
    ends.paste(last, (0, first.height))
    room = 256 - len(markers)
    colours = (ends.quantize(room).getpalette() or [])[: 3 * room]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colours, *(value for colour in markers for value in colour)])
    return palette
