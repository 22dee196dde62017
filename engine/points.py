"""Points of the command line: text -> pairs in pixels of the picture, refused early when they make no sense."""

from __future__ import annotations

import math
from typing import NamedTuple

from krita_drag.wire.errors import BadPoints

Point = tuple[float, float]
Pair = tuple[Point, Point]

_FORM = "x,y:x,y"


class Pull(NamedTuple):
    """One pair, and how hard it pulls compared with the others."""

    pair: Pair
    weight: float = 1.0


def parse_pull(text: str) -> Pull:
    """Read "x,y:x,y", handle first, then target, or "x,y:x,y@weight".

    Raises:
        ValueError: the text has another form, or the weight is not above 0.
    """
    ends, at, number = text.partition("@")
    points = ends.split(":")
    if len(points) != 2:
        raise ValueError(f"{text!r} is not of the form {_FORM}")
    handle, target = (_parse_point(point, text) for point in points)
    return Pull((handle, target), _parse_weight(number) if at else 1.0)


def parse_anchor(text: str) -> Pull:
    """Read "x,y", a point that is held where it is.

    Raises:
        ValueError: the text has another form.
    """
    point = _parse_point(text, text, "x,y")
    return Pull((point, point))


def _parse_point(text: str, whole: str, form: str = _FORM) -> Point:
    numbers = text.split(",")
    if len(numbers) != 2:
        raise ValueError(f"{whole!r} is not of the form {form}")
    try:
        x, y = (float(number) for number in numbers)
    except ValueError as error:
        raise ValueError(f"{whole!r} is not of the form {form}: {text!r} is not two numbers") from error
    return x, y


def _parse_weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ValueError(f"{text!r} is not a weight: use a number above 0, where 1 is usual")
    return weight


def check_pairs(pairs: list[Pair], width: int, height: int, *, still: bool = False) -> None:
    """Refuse pairs that cannot be dragged, before minutes are spent on the picture.

    Args:
        pairs: handles and targets, pixels of the picture; a handle on its own target is held where it is.
        width, height: size of the picture, pixels.
        still: none of them needs to move yet.

    Raises:
        BadPoints: there are none, or one is not finite, outside or given twice, or none of them moves.
    """
    if not pairs:
        raise BadPoints("No point is given.", f"Add at least one --point {_FORM}: from where to where.")
    for handle, target in pairs:
        _check_pair(handle, target, width, height)
    if not still and all(handle == target for handle, target in pairs):
        raise BadPoints(
            "Every handle is its own target, so nothing would move.", "Such points are anchors; add one that moves."
        )
    handles = [handle for handle, _ in pairs]
    for handle in handles:
        if handles.count(handle) > 1:
            raise BadPoints(
                f"The handle at {_text(handle)} is given {handles.count(handle)} times.",
                "Give each handle once: it can go to one target only.",
            )


def _check_pair(handle: Point, target: Point, width: int, height: int) -> None:
    for name, point in (("handle", handle), ("target", target)):
        if not all(math.isfinite(number) for number in point):
            raise BadPoints(f"The {name} {_text(point)} is not a place in the picture.", "Use finite numbers.")
        x, y = point
        if not (0 <= x <= width and 0 <= y <= height):
            raise BadPoints(
                f"The {name} {_text(point)} is outside the picture, which is {width} x {height} pixels.",
                "Points are pixels of the picture, x from the left first, then y from the top.",
            )


def _text(point: Point) -> str:
    return f"({point[0]:g}, {point[1]:g})"
