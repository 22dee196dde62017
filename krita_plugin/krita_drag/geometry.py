"""Pure maths of points, boxes and transforms.

Frames: document pixels (x right, y down, centre of the top-left pixel at (0.5, 0.5)), widget pixels of Krita's canvas
(same axes, logical pixels), and sent pixels (document pixels from the corner of the part that the engine was sent).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterable, NamedTuple


class Point(NamedTuple):
    """A position, x first."""

    x: float
    y: float

    def distance(self, other: Point) -> float:
        """Return the Euclidean distance."""
        return math.hypot(self.x - other.x, self.y - other.y)

    def shifted(self, dx: float, dy: float) -> Point:
        """Return the position moved by (dx, dy)."""
        return Point(self.x + dx, self.y + dy)


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels: covers [x, x + w) by [y, y + h)."""

    x: int
    y: int
    w: int
    h: int

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.w <= 0 or self.h <= 0

    @property
    def centre(self) -> Point:
        """Its middle."""
        return Point(self.x + self.w / 2, self.y + self.h / 2)

    def contains(self, point: Point) -> bool:
        """Whether a position lies inside."""
        return self.x <= point.x < self.x + self.w and self.y <= point.y < self.y + self.h

    def shifted(self, dx: int, dy: int) -> Box:
        """Return the box moved by (dx, dy)."""
        return Box(self.x + dx, self.y + dy, self.w, self.h)

    def intersect(self, other: Box) -> Box:
        """Return what both cover; an empty box if nothing."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.x + self.w, other.x + other.w), min(self.y + self.h, other.y + other.h)
        return Box(x, y, max(0, right - x), max(0, bottom - y))

    def rows(self, count: int) -> list[Box]:
        """Cut it into bands of at most `count` rows, top first."""
        ends = range(self.y, self.y + self.h, count)
        return [Box(self.x, y, self.w, min(count, self.y + self.h - y)) for y in ends]

    def clamp(self, point: Point) -> Point:
        """Return the nearest pixel centre inside, or the point itself."""
        x = min(max(point.x, self.x + 0.5), self.x + self.w - 0.5)
        y = min(max(point.y, self.y + 0.5), self.y + self.h - 0.5)
        return Point(x, y)


def box_around(points: Iterable[Point]) -> Box | None:
    """Return the smallest box of whole pixels that covers the points; None without points."""
    places = list(points)
    if not places:
        return None
    left, top = (math.floor(min(axis)) for axis in zip(*places))
    right, bottom = (math.ceil(max(axis)) for axis in zip(*places))
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def part_to_send(available: Box, interest: Box | None, limit_px: int) -> Box | None:
    """Choose the part of a layer that the engine is sent.

    Args:
        available: pixels of the layer inside the document.
        interest: what has to be in it (selection or points), None if nothing is known.
        limit_px: longest side of what may be sent.

    Returns:
        All of it if that fits; else, along each side that is too long, `limit_px` pixels around the middle of the
        interest. None if nothing fits: the interest is unknown or itself longer than the limit.
    """
    if available.w <= limit_px and available.h <= limit_px:
        return available
    interest = None if interest is None else interest.intersect(available)
    if interest is None or interest.empty or interest.w > limit_px or interest.h > limit_px:
        return None
    x, w = _window(available.x, available.w, interest.centre.x, limit_px)
    y, h = _window(available.y, available.h, interest.centre.y, limit_px)
    return Box(x, y, w, h)


def _window(start: int, length: int, middle: float, limit: int) -> tuple[int, int]:
    """Place a window of at most `limit` around a middle inside [start, start + length)."""
    size = min(length, limit)
    first = math.floor(middle - size / 2)
    return min(max(first, start), start + length - size), size


@dataclass(frozen=True)
class Affine:
    """x' = m11 x + m21 y + dx, y' = m12 x + m22 y + dy: the names and order of QTransform."""

    m11: float = 1.0
    m12: float = 0.0
    m21: float = 0.0
    m22: float = 1.0
    dx: float = 0.0
    dy: float = 0.0

    @staticmethod
    def scaling(x: float, y: float) -> Affine:
        """Scale about the origin."""
        return Affine(x, 0.0, 0.0, y)

    @staticmethod
    def rotation(degrees: float) -> Affine:
        """Rotate about the origin, clockwise on the screen."""
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return Affine(cosine, sine, -sine, cosine)

    @staticmethod
    def translation(dx: float, dy: float) -> Affine:
        """Move."""
        return Affine(dx=dx, dy=dy)

    @property
    def scale(self) -> float:
        """How long a unit becomes; meant for transforms without shear."""
        return math.sqrt(abs(self.m11 * self.m22 - self.m12 * self.m21))

    def map(self, point: Point) -> Point:
        """Apply to a point."""
        x, y = point
        return Point(self.m11 * x + self.m21 * y + self.dx, self.m12 * x + self.m22 * y + self.dy)

    def then(self, after: Affine) -> Affine:
        """Return the transform that applies this one first and `after` second."""
        return Affine(
            self.m11 * after.m11 + self.m12 * after.m21,
            self.m11 * after.m12 + self.m12 * after.m22,
            self.m21 * after.m11 + self.m22 * after.m21,
            self.m21 * after.m12 + self.m22 * after.m22,
            self.dx * after.m11 + self.dy * after.m21 + after.dx,
            self.dx * after.m12 + self.dy * after.m22 + after.dy,
        )

    def inverse(self) -> Affine:
        """Return the transform that undoes this one.

        Raises:
            ZeroDivisionError: it maps the plane to a line or a point.
        """
        determinant = self.m11 * self.m22 - self.m12 * self.m21
        m11, m12 = self.m22 / determinant, -self.m12 / determinant
        m21, m22 = -self.m21 / determinant, self.m11 / determinant
        return Affine(m11, m12, m21, m22, -(self.dx * m11 + self.dy * m21), -(self.dx * m12 + self.dy * m22))

    def bounds(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom of where the box (0, 0, width, height) lands."""
        corners = [self.map(Point(x, y)) for x in (0.0, width) for y in (0.0, height)]
        xs, ys = zip(*corners)
        return min(xs), min(ys), max(xs), max(ys)


class CanvasView(NamedTuple):
    """How Krita shows a document, as far as 5.0 and 5.1 tell."""

    document_wh: tuple[int, int]
    widget_wh: tuple[int, int]
    zoom: float  # widget pixels per document pixel
    mirrored: bool
    rotation_deg: float
    scroll_xy: tuple[int, int]
    vast_scrolling: float  # Krita's setting, 0 to 1: how far one may scroll beyond the picture


def document_to_widget(view: CanvasView) -> Affine:
    """Rebuild Krita's own transform from document pixels to widget pixels.

    Krita scales, mirrors, rotates, and then moves the bounding box of the picture to where the scroll bars say; where
    the picture is smaller than the canvas and scrolling is not vast, it centres it.
    """
    turned = Affine.scaling(view.zoom, view.zoom)
    if view.mirrored:
        turned = turned.then(Affine.scaling(-1.0, 1.0))
    turned = turned.then(Affine.rotation(view.rotation_deg))
    left, top, right, bottom = turned.bounds(*view.document_wh)
    width, height = math.ceil(right) - math.floor(left), math.ceil(bottom) - math.floor(top)
    return turned.then(
        Affine.translation(
            -left - view.scroll_xy[0] + _centring(width, view.widget_wh[0], view.vast_scrolling),
            -top - view.scroll_xy[1] + _centring(height, view.widget_wh[1], view.vast_scrolling),
        )
    )


def _centring(picture: float, widget: float, vast: float) -> float:
    return -min(picture - widget + 2 * vast * widget, 0.0) / 2
