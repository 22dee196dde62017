"""Points and masks that make sense: checked by the client before it asks, and by the engine before it computes."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from .errors import BadMask, BadPoints
from .vocabulary import MAX_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .fields import Frame

ANCHOR_PX = 1.0  # a target nearer than this to its handle holds the place


@dataclasses.dataclass(frozen=True)
class CheckedPoints:
    """What a drag may begin with.

    Attributes:
        points: x and y of the handle, then of its target, document pixels; all inside the document.
        weights: importance of each of them; empty when all are alike.
        numbers: which of the given points each is, from 0.
        use_mask: whether the mask leaves anything out.
        notes: what was changed, sentences for the artist.
    """

    points: tuple[tuple[float, float, float, float], ...]
    weights: tuple[float, ...]
    numbers: tuple[int, ...]
    use_mask: bool
    notes: tuple[str, ...]

    @property
    def moving(self) -> list[int]:
        """Positions in `points` of those that are no anchors."""
        return [place for place, point in enumerate(self.points) if not is_anchor(point)]


def is_anchor(point: Sequence[float]) -> bool:
    """Whether the target is so near that the point holds its place; point as (hx, hy, tx, ty)."""
    return math.hypot(point[2] - point[0], point[3] - point[1]) < ANCHOR_PX


def check_points(
    points: Sequence[Sequence[float]],
    size_wh: tuple[int, int],
    *,
    weights: Sequence[float] = (),
    mask: Frame | None = None,
    live: bool = False,
) -> CheckedPoints:
    """Refuse what cannot be dragged, and repair what is only careless.

    Args:
        points: x and y of the handle, then of its target, document pixels.
        size_wh: width and height of the document, pixels.
        weights: importance of each point, or none.
        mask: (h, w) of the document; 255 may move, 0 must not.
        live: whether this is a gesture, which begins with all targets on their handles.

    Raises:
        BadPoints: there is no point, there are too many, one makes no sense, or none is to move; `at` says which.
        BadMask: it has another size, is empty, or holds all that is to move.
    """
    if not points:
        raise BadPoints("There is no point yet.", "Place at least one handle and its target.")
    if len(points) > MAX_POINTS:
        raise BadPoints(f"There are {len(points)} points; at most {MAX_POINTS} can be dragged.", "Remove some.")
    notes: list[str] = []
    kept: dict[tuple[int, int], tuple[int, tuple[float, float, float, float]]] = {}
    for number, point in enumerate(points):
        inside = _place(number, point, size_wh, notes)
        pixel = (math.floor(inside[0]), math.floor(inside[1]))
        if pixel in kept:
            _check_repeated(number, inside, *kept[pixel])
            notes.append(f"Point {number + 1} repeats point {kept[pixel][0] + 1}.")
        else:
            kept[pixel] = (number, inside)
    numbers = tuple(number for number, _ in kept.values())
    checked = CheckedPoints(
        points=tuple(point for _, point in kept.values()),
        weights=tuple(weights[number] for number in numbers) if weights else (),
        numbers=numbers,
        use_mask=mask is not None and not _is_full(mask, size_wh),
        notes=tuple(notes),
    )
    if not live and not checked.moving:
        raise BadPoints("Every handle is already at its target.", "Pull at least one target away from its handle.")
    if mask is not None:
        _check_frozen(checked, mask, live)
        if not checked.use_mask:
            checked = dataclasses.replace(
                checked, notes=(*checked.notes, "The mask covers the whole picture and has no effect.")
            )
    return checked


def _place(
    number: int, point: Sequence[float], size_wh: tuple[int, int], notes: list[str]
) -> tuple[float, float, float, float]:
    """Return the point with its target inside the document."""
    if len(point) != 4 or not all(math.isfinite(value) for value in point):
        raise BadPoints(f"Point {number + 1} has an impossible coordinate.", "Remove it.", at=number)
    width, height = size_wh
    hx, hy, tx, ty = point
    if not (0 <= hx < width and 0 <= hy < height):
        raise BadPoints(
            f"Handle {number + 1} at ({hx:.0f}, {hy:.0f}) lies outside the picture of {width} x {height} pixels.",
            "Move it into the picture, or remove it.",
            at=number,
        )
    inside_x, inside_y = _last_inside(tx, width), _last_inside(ty, height)
    if (inside_x, inside_y) != (tx, ty):
        notes.append(f"Target {number + 1} lay outside the picture and was moved to its edge.")
    return hx, hy, inside_x, inside_y


def _last_inside(value: float, side: int) -> float:
    edge = side - 0.5  # the centre of the last pixel
    return value if 0 <= value < side else min(max(value, 0.5), edge)


def _check_repeated(
    number: int, point: Sequence[float], earlier_number: int, earlier: tuple[float, float, float, float]
) -> None:
    if [math.floor(value) for value in point[2:]] != [math.floor(value) for value in earlier[2:]]:
        raise BadPoints(
            f"Handles {earlier_number + 1} and {number + 1} start at the same pixel but go to different places.",
            "Remove one of them, or move it.",
            at=number,
        )


def _is_full(mask: Frame, size_wh: tuple[int, int]) -> bool:
    if mask.shape != (size_wh[1], size_wh[0]):
        raise BadMask(
            f"The mask is {mask.shape[-1]} x {mask.shape[0]} pixels, the picture {size_wh[0]} x {size_wh[1]}.",
            "Make the mask as large as the picture.",
        )
    data = bytes(mask.data)
    if data.count(0) == len(data):
        raise BadMask("The mask lets nothing move.", "Select the part that may move, or clear the selection.")
    return data.count(255) == len(data)


def _check_frozen(checked: CheckedPoints, mask: Frame, live: bool) -> None:
    """Refuse a mask under which every point that is to move lies in the part that must not."""
    view = memoryview(mask.data)
    width = mask.shape[1]
    pulled = [checked.points[place] for place in (range(len(checked.points)) if live else checked.moving)]
    if all(view[math.floor(point[1]) * width + math.floor(point[0])] == 0 for point in pulled):
        raise BadMask(
            "Every handle that is to move lies in the part that must not change.",
            "Include the handles in the mask or selection.",
        )
