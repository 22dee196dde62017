"""A stand-in for Krita's Python module: documents, layers, shapes, selections, undo steps, windows.

It behaves as the real one was seen to (Krita 5.1.5), also where that is odd: `setPixelData` is no undo step, adding a
node to a paint layer says True and does nothing, and a new layer becomes the active one some time later.
"""

# ruff: noqa: N802, N815
from __future__ import annotations

import re
import uuid
import zipfile
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree

from PyQt5 import QtCore, QtWidgets

SRGB = ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")


class Box:
    """A QRect that is empty without being strange."""

    def __init__(self, x: int, y: int, w: int, h: int) -> None:
        self._values = (x, y, w, h)

    def x(self) -> int:
        return self._values[0]

    def y(self) -> int:
        return self._values[1]

    def width(self) -> int:
        return self._values[2]

    def height(self) -> int:
        return self._values[3]


class Node:
    """A layer or mask; pixels are BGRA in a dictionary of rows."""

    def __init__(self, document: Document, name: str, kind: str) -> None:
        self._document, self._name, self._kind = document, name, kind
        self._id = QtCore.QUuid("{" + str(uuid.uuid4()) + "}")
        self._children: list[Node] = []
        self._parent: Node | None = None
        self._pixels: dict[tuple[int, int], bytes] = {}
        self._visible = True
        self._position = (0, 0)
        self.space = document.space

    def name(self) -> str:
        return self._name

    def setName(self, name: str) -> None:
        self._name = name

    def type(self) -> str:
        return self._kind

    def uniqueId(self) -> QtCore.QUuid:
        return self._id

    def parentNode(self) -> Node | None:
        return self._parent

    def childNodes(self) -> list[Node]:
        return list(self._children)

    def visible(self) -> bool:
        return self._visible

    def setVisible(self, on: bool) -> None:
        self._visible = on

    def setPinnedToTimeline(self, on: bool) -> None:
        self.pinned = on

    def colorModel(self) -> str:
        return self.space[0]

    def colorDepth(self) -> str:
        return self.space[1]

    def colorProfile(self) -> str:
        return self.space[2]

    def setColorSpace(self, *space: str) -> bool:
        assert all(space), "Krita crashes"
        if space[0] == "odd":
            return False
        # enough to see that both ways were gone: another space has its bytes inverted
        if (self.space == SRGB) != (space == SRGB):
            flip = bytes(255 - value for value in range(256))
            self._pixels = {place: value.translate(flip) for place, value in self._pixels.items()}
        self._document.steps.append("Convert Layer Type")
        self.space = space
        return True

    def position(self) -> QtCore.QPoint:
        return QtCore.QPoint(*self._position)

    def move(self, x: int, y: int) -> None:
        dx, dy = x - self._position[0], y - self._position[1]
        self._pixels = {(px + dx, py + dy): value for (px, py), value in self._pixels.items()}
        self._position = x, y

    def bounds(self) -> Box:
        if not self._pixels:
            return Box(0, 0, 0, 0)
        xs, ys = [x for x, _ in self._pixels], [y for _, y in self._pixels]
        return Box(min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)

    def setPixelData(self, data: Any, x: int, y: int, w: int, h: int) -> None:
        data = bytes(data)
        assert len(data) == 4 * w * h, "Krita ignores data of the wrong size"
        for row in range(h):
            for column in range(w):
                start = 4 * (row * w + column)
                self._pixels[x + column, y + row] = data[start : start + 4]

    def pixelData(self, x: int, y: int, w: int, h: int) -> QtCore.QByteArray:
        places = ((x + column, y + row) for row in range(h) for column in range(w))
        return QtCore.QByteArray(b"".join(self._pixels.get(place, b"\0\0\0\0") for place in places))

    def projectionPixelData(self, x: int, y: int, w: int, h: int) -> QtCore.QByteArray:
        return self.pixelData(x, y, w, h)

    def addChildNode(self, node: Node, above: Node | None) -> bool:
        if self._kind == "paintlayer" and not node.type().endswith("mask"):
            return True
        index = len(self._children) if above is None else self._children.index(above) + 1
        self._children.insert(index, node)
        node._parent = self

        def undo() -> None:
            self._children.remove(node)
            node._parent = None

        self._document.push("Add Layer", undo)
        if not node.type().endswith("mask"):
            QtCore.QTimer.singleShot(0, lambda: setattr(self._document, "active", node))
        return True

    def clone(self) -> Node:
        twin = Node(self._document, self._name, self._kind)
        twin._children = [child.clone() for child in self._children]
        return twin

    def remove(self) -> None:
        assert self._parent is not None
        self._parent._children.remove(self)
        self._parent = None


class Shape:
    """A shape of a vector layer, known by the middle of its box, in points."""

    def __init__(self, name: str, middle: QtCore.QPointF) -> None:
        self._name, self._middle, self._visible = name, middle, True

    def name(self) -> str:
        return self._name

    def visible(self) -> bool:
        return self._visible

    def setVisible(self, on: bool) -> None:
        self._visible = on

    def update(self) -> None:
        """Krita draws again what is under the shape."""

    def boundingBox(self) -> QtCore.QRectF:
        return QtCore.QRectF(self._middle.x() - 2, self._middle.y() - 2, 4, 4)

    def move_by_hand(self, x: float, y: float) -> None:
        """Do what Krita's shape tool does; points."""
        self._middle = QtCore.QPointF(x, y)


class VectorLayer(Node):
    """Reads circles, rectangles and paths of an SVG, as far as our markers use them."""

    def __init__(self, document: Document, name: str) -> None:
        super().__init__(document, name, "vectorlayer")
        self._shapes: list[Shape] = []

    def shapes(self) -> list[Shape]:
        return list(self._shapes)

    def addShapesFromSvg(self, svg: str) -> list[Shape]:
        assert f'width="{self._document.width()}px"' in svg
        scale = 72 / self._document.xRes()
        added = []
        for tag in re.findall(r"<(?:circle|rect|path) [^>]*>", svg):
            value = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            if "cx" in value:
                x, y = float(value["cx"]), float(value["cy"])
            elif "x" in value:
                x = float(value["x"]) + float(value["width"]) / 2
                y = float(value["y"]) + float(value["height"]) / 2
            else:
                x, y = map(float, re.findall(r"-?[\d.]+", value["d"])[:2])
            added.append(Shape(value["id"], QtCore.QPointF(x * scale, y * scale)))
        self._shapes += added
        self._document.push("Create shapes", lambda: [self._shapes.remove(shape) for shape in added])
        return added


class Selection:
    """A soft selection: one byte a pixel."""

    def __init__(self, x: int, y: int, w: int, h: int, value: int = 255) -> None:
        self._box, self._value = (x, y, w, h), value

    def x(self) -> int:
        return self._box[0]

    def y(self) -> int:
        return self._box[1]

    def width(self) -> int:
        return self._box[2]

    def height(self) -> int:
        return self._box[3]

    def pixelData(self, x: int, y: int, w: int, h: int) -> QtCore.QByteArray:
        left, top, width, height = self._box
        inside = (
            left <= x + column < left + width and top <= y + row < top + height
            for row in range(h)
            for column in range(w)
        )
        return QtCore.QByteArray(bytes(self._value if one else 0 for one in inside))


class Document:
    """A document with an undo stack; `steps` names its entries."""

    def __init__(self, width: int = 64, height: int = 48, space: tuple[str, str, str] = SRGB, dpi: float = 300) -> None:
        self.space, self._size, self._dpi = space, (width, height), dpi
        self.steps: list[str] = []
        self._undo: list[Callable[[], object]] = []
        self._annotations: dict[str, QtCore.QByteArray] = {}
        self.chosen: Selection | None = None
        self.imported: list[list[str]] = []
        self.closed = False
        self.root = Node(self, "root", "grouplayer")
        self.active: Node | None = None

    def push(self, name: str, undo: Callable[[], object]) -> None:
        self.steps.append(name)
        self._undo.append(undo)

    def undo(self) -> None:
        """Do what Ctrl+Z does."""
        self.steps.pop()
        self._undo.pop()()

    def add(self, node: Node, parent: Node | None = None) -> Node:
        """Put a layer in as if the document had been opened with it."""
        node._parent = parent or self.root
        node._parent._children.append(node)
        self.active = node
        return node

    def fileName(self) -> str:
        return "photo.kra"

    def width(self) -> int:
        return self._size[0]

    def height(self) -> int:
        return self._size[1]

    def crop(self, x: int, y: int, w: int, h: int) -> None:
        """Do what Image > Crop does."""
        for node in self.root.childNodes():
            node.move(node._position[0] - x, node._position[1] - y)
        self._size = w, h

    def scaleImage(self, w: int, h: int, *more: object) -> None:
        for node in self.root.childNodes():
            across, down = self._size[0] / w, self._size[1] / h
            old = node._pixels
            node._pixels = {
                (x, y): old[int(x * across), int(y * down)]
                for x in range(w)
                for y in range(h)
                if (int(x * across), int(y * down)) in old
            }
        self._size = w, h

    def xRes(self) -> float:
        return self._dpi

    def yRes(self) -> float:
        return self._dpi

    def colorModel(self) -> str:
        return self.space[0]

    def colorDepth(self) -> str:
        return self.space[1]

    def colorProfile(self) -> str:
        return self.space[2]

    def rootNode(self) -> Node:
        return self.root

    def topLevelNodes(self) -> list[Node]:
        return self.root.childNodes()

    def activeNode(self) -> Node | None:
        return self.active

    def setActiveNode(self, node: Node) -> None:
        self.active = node

    def selection(self) -> Selection | None:
        return self.chosen

    def createNode(self, name: str, kind: str) -> Node:
        return Node(self, name, kind)

    def createVectorLayer(self, name: str) -> VectorLayer:
        return VectorLayer(self, name)

    def annotation(self, key: str) -> QtCore.QByteArray:
        return self._annotations.get(key, QtCore.QByteArray())

    def annotationTypes(self) -> list[str]:
        return list(self._annotations)

    def setAnnotation(self, key: str, description: str, data: QtCore.QByteArray) -> None:
        self._annotations[key] = data

    def importAnimation(self, files: list[str], first: int, step: int) -> bool:
        self.imported.append([QtCore.QFile(name).exists() and name for name in files])
        self.add(Node(self, "Paint Layer 2", "paintlayer"))
        self.push("Import animation", lambda: None)
        return True

    def fullClipRangeEndTime(self) -> int:
        return 0

    def setFullClipRangeEndTime(self, time: int) -> None:
        self.clip_end = time

    def setModified(self, on: bool) -> None:
        pass

    def refreshProjection(self) -> None:
        pass

    def close(self) -> bool:
        self.closed = True
        return True


class Canvas:
    """How the view is zoomed, turned and mirrored."""

    def __init__(self) -> None:
        self.zoom, self.turn, self.flip = 1.0, 0.0, False

    def zoomLevel(self) -> float:
        return self.zoom

    def rotation(self) -> float:
        return self.turn

    def mirror(self) -> bool:
        return self.flip


class View:
    def __init__(self, document: Document) -> None:
        self._document, self._canvas = document, Canvas()

    def document(self) -> Document:
        return self._document

    def canvas(self) -> Canvas:
        return self._canvas


class Window:
    def __init__(self, view: View | None = None) -> None:
        self.view = view
        self._qwindow = QtWidgets.QMainWindow()
        self.actions: dict[str, QtWidgets.QAction] = {}

    def qwindow(self) -> QtWidgets.QMainWindow:
        return self._qwindow

    def activeView(self) -> View | None:
        return self.view

    def addView(self, document: Document) -> View:
        self.view = View(document)
        return self.view

    def createAction(self, name: str, text: str, menu: str) -> QtWidgets.QAction:
        self.actions[name] = QtWidgets.QAction(text)
        return self.actions[name]


class Notifier(QtCore.QObject):
    imageClosed = QtCore.pyqtSignal(str)
    imageSaved = QtCore.pyqtSignal(str)
    applicationClosing = QtCore.pyqtSignal()

    def setActive(self, on: bool) -> None:
        pass


class Krita(QtCore.QObject):
    """The application; `Krita.instance()` is set by the tests."""

    the_instance: Krita | None = None

    def __init__(self) -> None:
        super().__init__()
        self.open_documents: list[Document] = []
        self.open_windows: list[Window] = []
        self.settings: dict[tuple[str, str], str] = {}
        self.factories: list[DockWidgetFactory] = []
        self.extensions: list[Extension] = []
        self.triggered: list[str] = []
        self.reads_files = True
        self._notifier = Notifier()

    @staticmethod
    def instance() -> Krita:
        assert Krita.the_instance is not None
        return Krita.the_instance

    def version(self) -> str:
        return "5.1.5"

    def documents(self) -> Iterable[Document]:
        return [document for document in self.open_documents if not document.closed]

    def windows(self) -> list[Window]:
        return self.open_windows

    def activeWindow(self) -> Window | None:
        return self.open_windows[0] if self.open_windows else None

    def batchmode(self) -> bool:
        return False

    def setBatchmode(self, on: bool) -> None:
        pass

    def openDocument(self, path: str) -> Document | None:
        """Read the layers of a file, with their masks and no pixels."""
        if not self.reads_files:
            return None
        with zipfile.ZipFile(path) as file:
            image = ElementTree.fromstring(file.read("maindoc.xml"))
        found = Document()
        for one in image.iter("{http://www.calligra.org/DTD/krita}layer"):
            layer = found.add(Node(found, one.attrib["name"], one.attrib["nodetype"]))
            for mask in one.iter("{http://www.calligra.org/DTD/krita}mask"):
                found.add(Node(found, mask.attrib["name"], mask.attrib["nodetype"]), layer)
        return found

    def createDocument(self, width: int, height: int, name: str, *space: Any) -> Document:
        made = Document(width, height, space[:3], space[3])
        made.add(Node(made, "Background", "paintlayer"))
        return made

    def readSetting(self, group: str, key: str, default: str) -> str:
        return self.settings.get((group, key), default)

    def writeSetting(self, group: str, key: str, value: str) -> None:
        self.settings[group, key] = value

    def notifier(self) -> Notifier:
        return self._notifier

    def action(self, name: str) -> QtWidgets.QAction:
        action = QtWidgets.QAction(name)
        action.triggered.connect(lambda: self.triggered.append(name))
        self._kept = action
        return action

    def addDockWidgetFactory(self, factory: DockWidgetFactory) -> None:
        self.factories.append(factory)

    def addExtension(self, extension: Extension) -> None:
        self.extensions.append(extension)


class DockWidget(QtWidgets.QDockWidget):
    pass


class Extension(QtCore.QObject):
    pass


class DockWidgetFactoryBase:
    DockRight = 2


class DockWidgetFactory:
    def __init__(self, name: str, place: int, make: type) -> None:
        self.name, self.place, self.make = name, place, make
