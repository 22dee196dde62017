"""The vector layer "Drag markers": pairs are read from it and written to it."""

from __future__ import annotations

import json
from typing import Any, Iterable

from .geometry import Point
from .guard import guarded
from .marker_shapes import Mark, current_versions, marker_radius, parse, to_pairs, to_svg
from .pairs import Pair
from .qt import QtCore, give_back

LAYER_NAME = "Drag markers"
ANNOTATION = "krita_drag/weights"
ACTIVATE_AFTER_MS = (0, 100, 400)


class MarkerLayer:
    """The markers of one document.

    Args:
        document: Krita's document.
    """

    def __init__(self, document: Any) -> None:
        self._document = document

    def read(self) -> tuple[Pair, ...]:
        """Return the pairs as the layer shows them now; hides the versions that no longer count."""
        layer = self.find()
        if layer is None:
            return ()
        shapes = self._shapes(layer)
        versions = current_versions(mark for _, mark in shapes)
        for shape, mark in shapes:
            counts = mark.version == versions[mark.key] and mark.part != "gone"
            if shape.visible() != counts:
                shape.setVisible(counts)
                shape.update()  # else Krita goes on showing the picture as it was
        weights = self._weights()
        pairs = to_pairs(mark for _, mark in shapes)
        return tuple(Pair(pair.key, pair.handle, pair.target, weights.get(str(pair.key), 1.0)) for pair in pairs)

    def write(self, pairs: Iterable[Pair]) -> None:
        """Show these pairs; whatever changes is one undo step."""
        pairs = list(pairs)
        layer = self.find()
        marks = [mark for _, mark in self._shapes(layer)] if layer is not None else []
        size = (self._document.width(), self._document.height())
        svg = to_svg(pairs, marks, size, marker_radius(size))
        self._store_weights(pairs)
        if svg is not None:
            layer = layer or self.ensure()
            layer.addShapesFromSvg(svg)
            layer.setVisible(True)
            self.read()

    def ensure(self) -> Any:
        """Return the layer, made if the document has none: an undo step of its own, so that gestures stay one each."""
        layer = self.find()
        if layer is None:
            active = self._document.activeNode()
            layer = self._document.createVectorLayer(LAYER_NAME)
            self._document.rootNode().addChildNode(layer, None)
            if active is not None:
                for delay_ms in ACTIVATE_AFTER_MS:
                    QtCore.QTimer.singleShot(delay_ms, lambda: self._leave(layer, active))
        return layer

    @guarded
    def _leave(self, layer: Any, active: Any) -> None:
        """Make the artist's layer the active one again: Krita activates a new layer some time after it was added."""
        now = self._document.activeNode()
        if now is not None and now.uniqueId() == layer.uniqueId():
            self._document.setActiveNode(active)

    def find(self) -> Any | None:
        """Return Krita's node, None if the document has no markers."""
        nodes = give_back(self._document.rootNode().childNodes())
        return next((node for node in nodes if node.name() == LAYER_NAME and node.type() == "vectorlayer"), None)

    def set_visible(self, visible: bool) -> None:
        """Show or hide the layer; no undo step."""
        layer = self.find()
        if layer is not None and layer.visible() != visible:
            layer.setVisible(visible)
            for shape in give_back(layer.shapes()):
                shape.update()

    def _shapes(self, layer: Any) -> list[tuple[Any, Mark]]:
        """Return our shapes with what they mark; positions from the middle of the box, exact at any resolution."""
        per_point_x, per_point_y = self._document.xRes() / 72, self._document.yRes() / 72
        found = []
        for shape in give_back(layer.shapes()):
            middle = shape.boundingBox().center()
            mark = parse(shape.name(), Point(middle.x() * per_point_x, middle.y() * per_point_y))
            if mark is not None:
                found.append((shape, mark))
        return found

    def _weights(self) -> dict[str, float]:
        stored = bytes(self._document.annotation(ANNOTATION))
        try:
            weights = json.loads(stored) if stored else {}
        except ValueError:
            weights = {}
        if not isinstance(weights, dict):
            return {}
        return {key: float(value) for key, value in weights.items() if type(value) in (int, float) and value > 0}

    def _store_weights(self, pairs: list[Pair]) -> None:
        weights = {str(pair.key): pair.weight for pair in pairs if pair.weight != 1.0}
        if weights != self._weights():
            text = QtCore.QByteArray(json.dumps(weights).encode())
            self._document.setAnnotation(ANNOTATION, "Weights of the drag markers", text)
