"""How preview, the model's square and pairs look on the canvas. Sizes are in widget pixels, the same at any zoom."""

from __future__ import annotations

from typing import Iterable

from .geometry import Affine, Box, Point
from .marker_shapes import BLUE, RED
from .pairs import End, Grip, PairEditor
from .qt import Qt, QtCore, QtGui
from .scene import Scene

SMOOTH_BELOW = 2.0  # zoom from which single pixels shall be seen
DARK, LIGHT = QtGui.QColor(0, 0, 0, 170), QtGui.QColor(255, 255, 255)


def draw_preview(painter: QtGui.QPainter, transform: Affine, image: QtGui.QImage, box: Box) -> None:
    """Lay a picture over the document, stretched to a box of document pixels."""
    painter.save()
    painter.setTransform(
        QtGui.QTransform(transform.m11, transform.m12, transform.m21, transform.m22, transform.dx, transform.dy), True
    )
    smooth = transform.scale * box.w / max(1, image.width()) < SMOOTH_BELOW
    painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform, smooth)
    painter.drawImage(QtCore.QRectF(box.x, box.y, box.w, box.h), image)
    painter.restore()


def draw_square(painter: QtGui.QPainter, transform: Affine, corners: Iterable[Point]) -> None:
    """Outline what the model sees."""
    outline = QtGui.QPolygonF([_place(transform, corner) for corner in corners])
    if outline.isEmpty():
        return
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, style in ((DARK, Qt.PenStyle.SolidLine), (LIGHT, Qt.PenStyle.DashLine)):
        painter.setPen(QtGui.QPen(colour, 1.0, style))
        painter.drawPolygon(outline)


def draw_pairs(painter: QtGui.QPainter, transform: Affine, editor: PairEditor, scene: Scene, size: float) -> None:
    """Draw every pair: red handle, blue target, the way between them, and where the handle has come to.

    The ring around that place is dotted where it is doubtful.

    Args:
        painter: in widget pixels.
        transform: document pixels -> widget pixels.
        editor: the pairs and which end is selected.
        scene: where the handles are now.
        size: radius of a dot, widget pixels.
    """
    for pair in editor.pairs:
        handle, target = _place(transform, pair.handle), _place(transform, pair.target)
        place, doubtful = scene.places.of(pair), scene.places.is_doubtful(pair)
        if not pair.is_anchor:
            _line(painter, handle, target, size)
        _dot(painter, handle, size, RED, editor.selected == Grip(pair.key, End.HANDLE), square=pair.is_anchor)
        if not pair.is_anchor:
            _dot(painter, target, size, BLUE, editor.selected == Grip(pair.key, End.TARGET))
        if place is not None and (doubtful or not pair.is_anchor):
            _ring(painter, _place(transform, place), size, dotted=doubtful)


def _place(transform: Affine, point: Point) -> QtCore.QPointF:
    return QtCore.QPointF(*transform.map(point))


def _line(painter: QtGui.QPainter, start: QtCore.QPointF, end: QtCore.QPointF, size: float) -> None:
    for colour, width in ((DARK, size * 0.6), (LIGHT, size * 0.3)):
        painter.setPen(QtGui.QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(start, end)


def _dot(
    painter: QtGui.QPainter, at: QtCore.QPointF, size: float, colour: str, selected: bool, square: bool = False
) -> None:
    draw = painter.drawRect if square else painter.drawEllipse
    box = QtCore.QRectF(at.x() - size, at.y() - size, 2 * size, 2 * size)
    painter.setBrush(QtGui.QColor(colour))
    for pen, width in ((DARK, size * 0.6), (LIGHT, size * 0.3)):
        painter.setPen(QtGui.QPen(pen, width))
        draw(box)
    if selected:
        grown = box.adjusted(-size * 0.5, -size * 0.5, size * 0.5, size * 0.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QtGui.QPen(QtGui.QColor("#ffd23c"), size * 0.3))
        draw(grown)


def _ring(painter: QtGui.QPainter, at: QtCore.QPointF, size: float, dotted: bool) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    style = Qt.PenStyle.DotLine if dotted else Qt.PenStyle.SolidLine
    for pen, width in ((DARK, size * 0.5), (QtGui.QColor("#ff8a3c"), size * 0.25)):
        painter.setPen(QtGui.QPen(pen, width, style))
        painter.drawEllipse(at, size * 0.7, size * 0.7)
