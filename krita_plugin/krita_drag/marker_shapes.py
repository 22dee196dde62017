"""Pairs as named shapes of a vector layer: what is written, and how it is read back; no Krita.

Krita has no undoable "move shape" for plugins, so shapes are never moved: a changed pair is written again under the
next version number, as one undo step, and the highest version counts. Undo removes that version, and the one before
counts again. A deleted pair gets a last version that only says so.
"""

from __future__ import annotations

import math
import re
from typing import Iterable, NamedTuple

from .geometry import Point
from .pairs import SAME_PX, Pair

NAME = re.compile(r"drag-(\d{1,6})\.(\d{1,6})-(handle|target|anchor|arrow|gone)$")
RED, BLUE = "#e5323c", "#2a6df4"


class Mark(NamedTuple):
    """One shape of the layer: what its name says, and where its middle is (document pixels)."""

    key: int
    version: int
    part: str
    at: Point


def parse(name: str, at: Point) -> Mark | None:
    """Read a shape's name; None for shapes that are not ours."""
    match = NAME.match(name)
    return Mark(int(match[1]), int(match[2]), match[3], at) if match else None


def current_versions(marks: Iterable[Mark]) -> dict[int, int]:
    """Return key -> the version that counts."""
    versions: dict[int, int] = {}
    for mark in marks:
        versions[mark.key] = max(mark.version, versions.get(mark.key, 0))
    return versions


def to_pairs(marks: Iterable[Mark]) -> tuple[Pair, ...]:
    """Read the pairs; one whose other end was deleted by hand is left out."""
    marks = list(marks)
    versions = current_versions(marks)
    ends = {(mark.key, mark.part): mark.at for mark in marks if mark.version == versions[mark.key]}
    pairs = []
    for key in sorted(versions):
        handle = ends.get((key, "handle"), ends.get((key, "anchor")))
        target = ends.get((key, "target"), ends.get((key, "anchor")))
        if handle is not None and target is not None:
            pairs.append(Pair(key, handle, target))
    return tuple(pairs)


def to_svg(wanted: Iterable[Pair], marks: Iterable[Mark], document_wh: tuple[int, int], radius_px: float) -> str | None:
    """Write what changed.

    Args:
        wanted: the pairs that the layer shall show.
        marks: what is on it.
        document_wh: size of the document, pixels: the frame that keeps SVG units pixels at any resolution.
        radius_px: of the dots, document pixels.

    Returns:
        The shapes to add in one undo step; None if the layer shows the pairs already.
    """
    marks, wanted = list(marks), list(wanted)
    shown = {pair.key: pair for pair in to_pairs(marks)}
    versions = current_versions(marks)
    parts: list[str] = []
    for pair in wanted:
        if not _same_place(pair, shown.pop(pair.key, None)):
            parts += _shapes(pair, f"drag-{pair.key}.{versions.get(pair.key, 0) + 1}", radius_px)
    for pair in shown.values():
        name = f"drag-{pair.key}.{versions[pair.key] + 1}-gone"
        parts.append(f'<circle id="{name}" {_centre(pair.handle)} r="0.01" fill="none" stroke="none"/>')
    if not parts:
        return None
    width, height = document_wh
    size = f'width="{width}px" height="{height}px" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _same_place(pair: Pair, shown: Pair | None) -> bool:
    if shown is None or pair.is_anchor != shown.is_anchor:
        return False
    same_target = pair.is_anchor or pair.target.distance(shown.target) < SAME_PX
    return same_target and pair.handle.distance(shown.handle) < SAME_PX


def _shapes(pair: Pair, name: str, radius: float) -> list[str]:
    """Draw a pair; every end is symmetric about its place, so that the middle of its box is the place."""
    line = f'stroke="#ffffff" stroke-width="{radius / 4:.3f}"'
    if pair.is_anchor:
        corner = f'x="{pair.handle.x - radius:.4f}" y="{pair.handle.y - radius:.4f}"'
        side = f'width="{2 * radius:.4f}" height="{2 * radius:.4f}"'
        return [f'<rect id="{name}-anchor" {corner} {side} fill="{RED}" {line}/>']
    return [
        f'<path id="{name}-arrow" d="{_arrow(pair.handle, pair.target, radius)}" fill="#ffffff" stroke="none"/>',
        f'<circle id="{name}-handle" {_centre(pair.handle)} r="{radius:.4f}" fill="{RED}" {line}/>',
        f'<circle id="{name}-target" {_centre(pair.target)} r="{radius:.4f}" fill="{BLUE}" {line}/>',
    ]


def _centre(at: Point) -> str:
    return f'cx="{at.x:.4f}" cy="{at.y:.4f}"'


def _arrow(start: Point, end: Point, radius: float) -> str:
    """Outline of an arrow from the rim of one dot to the rim of the other."""
    length = start.distance(end)
    ux, uy = (end.x - start.x) / length, (end.y - start.y) / length
    half, head = radius / 6, min(radius * 1.5, length / 2)
    tip = max(length - radius, head)
    outline = [
        (0.0, -half), (tip - head, -half), (tip - head, -3 * half), (tip, 0.0),
        (tip - head, 3 * half), (tip - head, half), (0.0, half),
    ]  # fmt: skip
    corners = [(start.x + ux * along - uy * side, start.y + uy * along + ux * side) for along, side in outline]
    return "M" + " L".join(f"{x:.4f} {y:.4f}" for x, y in corners) + " Z"


def marker_radius(document_wh: tuple[int, int]) -> float:
    """Return the size of a dot that is seen and does not hide what it marks, document pixels."""
    return max(3.0, math.hypot(*document_wh) / 200)
