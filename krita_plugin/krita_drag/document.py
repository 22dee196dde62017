"""The document in Krita: pixels and selection out, result layer in.

Pixels leave and arrive as rows of BGRA, 8 bit, straight alpha, sRGB; those of other documents are converted by Krita
itself, on a layer of a hidden document: in the artist's own document every conversion would be an undo step.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, NamedTuple

from krita import Krita

from .geometry import Box
from .markers import LAYER_NAME
from .masked_layer import masked_layer
from .qt import QtCore, give_back
from .wire.errors import LayerChanged, NoLayer, SelectionTooSmall, UnsupportedColor

SRGB = ("RGBA", "U8", "sRGB-elle-V2-srgbtrc.icc")
BAND_PX = 250_000  # read or written in one go: a few milliseconds of the GUI thread
SMALLEST_SELECTION_PX = 16
ANNOTATION = "krita_drag/edit-"
_SHOWN = b"\0" + b"\xff" * 255


class Source(NamedTuple):
    """The layer that an edit starts from.

    Attributes:
        node: Krita's node.
        name: as the layer stack shows it.
        bounds: its pixels inside the document.
        notes: what the artist should know, one sentence each.
    """

    node: Any
    name: str
    bounds: Box
    notes: tuple[str, ...]


class KritaDocument:
    """One open document.

    Args:
        document: Krita's wrapper of it.

    Attributes:
        key: stays the same for all wrappers of one document.
    """

    def __init__(self, document: Any) -> None:
        self.krita = document
        self.key: str = document.rootNode().uniqueId().toString()

    @property
    def frame(self) -> Box:
        """The document's own box."""
        return Box(0, 0, self.krita.width(), self.krita.height())

    def is_open(self, documents: Iterable[Any]) -> bool:
        """Whether it is among Krita's open documents."""
        return any(document.rootNode().uniqueId().toString() == self.key for document in documents)

    def holds(self, node: Any) -> bool:
        """Whether a layer is in the document, and not only in a group that was taken out of it."""
        while node is not None and node.uniqueId().toString() != self.key:
            node = node.parentNode()
        return node is not None

    def source(self) -> Source:
        """Look at the active layer.

        Raises:
            NoLayer: there is none that has a picture.
        """
        node = layer_of(self.krita.activeNode())
        if node is not None and is_markers(node):
            node = self._below_markers()
        if node is None:
            raise NoLayer("No layer is selected.", "Select the layer with the picture.")
        name, kind = node.name(), node.type()
        if kind == "filterlayer":
            raise NoLayer(f"“{name}” is a filter layer and has no picture.", "Select the layer below it.")
        bounds = node.bounds()
        box = Box(bounds.x(), bounds.y(), bounds.width(), bounds.height()).intersect(self.frame)
        if box.empty:
            raise NoLayer(f"“{name}” is empty inside the canvas.", "Select the layer with the picture.")
        return Source(node, name, box, tuple(_notes(node)))

    def _below_markers(self) -> Any | None:
        """Return the topmost layer that is not the markers'."""
        nodes = give_back(self.krita.rootNode().childNodes())
        return next((node for node in reversed(nodes) if node.type().endswith("layer") and not is_markers(node)), None)

    def selection(self) -> Box | None:
        """Return the box of the selection; None if nothing is selected.

        Raises:
            SelectionTooSmall: it holds nothing inside the document.
        """
        selection = self.krita.selection()
        if selection is None:
            return None
        box = Box(selection.x(), selection.y(), selection.width(), selection.height())
        if box.empty:
            raise SelectionTooSmall("The selection is empty.", "Select the part that may move, or select nothing.")
        inside = box.intersect(self.frame)
        if inside.empty:
            raise SelectionTooSmall(
                "The selection lies outside the image.", "Select the part that may move, or select nothing."
            )
        return inside

    def read(self, node: Any, bands: Iterable[Box]) -> Iterator[bytes]:
        """Read parts of a layer as it looks, masks and children applied; see `bands_of`.

        Raises:
            UnsupportedColor: Krita cannot convert its colours.
        """
        space = (node.colorModel(), node.colorDepth(), node.colorProfile())
        with _Conversion(space, SRGB) as convert:
            for band in bands:
                yield bytes(convert(node.projectionPixelData(band.x, band.y, band.w, band.h), band))

    def read_selection(self, box: Box) -> bytes:
        """Read the soft selection inside a box, one byte a pixel.

        Raises:
            SelectionTooSmall: too little of it lies in the box.
        """
        selection = self.krita.selection()
        mask = bytes(selection.pixelData(box.x, box.y, box.w, box.h)) if selection is not None else b""
        if len(mask) - mask.count(0) < SMALLEST_SELECTION_PX:
            raise SelectionTooSmall(
                "The selection holds nothing of the picture.", "Select the part that may move, or select nothing."
            )
        return mask

    def add_result(
        self, source: Any, name: str, box: Box, bgra: bytes, mask: str = "", before: Any | None = None
    ) -> Any:
        """Add a layer above the source: one undo step, filled before it is put in, in the document's colours.

        Args:
            source: node that the result belongs to.
            name: of the new layer.
            box: where it lies, document pixels.
            bgra: its pixels, straight alpha, sRGB.
            mask: name of a transparency mask that gets the soft edge, where Krita can make one; empty: no mask.
            before: an earlier result beside the source, to put it above that.

        Raises:
            LayerChanged: the source is no longer in the document.
            UnsupportedColor: Krita cannot convert to the document's colours.
        """
        parent = source.parentNode()
        if parent is None:
            raise LayerChanged("The source layer is gone.", "Undo its removal, or prepare another layer.")
        space = (self.krita.colorModel(), self.krita.colorDepth(), self.krita.colorProfile())
        node = None
        if mask:
            node = masked_layer(Krita.instance(), (self.frame.w, self.frame.h), space, box, bgra[3::4], mask)
        if node is None:
            node = self.krita.createNode(name, "paintlayer")
        else:
            node.setName(name)
            bgra = _without_edge(bgra)
        stride = 4 * box.w
        with _Conversion(SRGB, space) as convert:
            for band in bands_of(box):
                start = (band.y - box.y) * stride
                rows = QtCore.QByteArray(bgra[start : start + band.h * stride])
                node.setPixelData(convert(rows, band), band.x, band.y, band.w, band.h)
        if before is not None and not _are_siblings(before, source):
            before = None
        if not parent.addChildNode(node, before or source):
            raise LayerChanged("Krita did not take the result's layer.", "Unlock the group that the source is in.")
        return node

    def add_animation(self, files: list[str], name: str) -> Any:
        """Put pictures on the timeline as the frames of one layer: one undo step.

        Args:
            files: PNG files of the document's size, in order.
            name: of the layer.

        Returns:
            The layer's node.

        Raises:
            LayerChanged: Krita does not take them.
        """
        before = {node.uniqueId().toString() for node in _walk(self.krita.rootNode())}
        taken = self.krita.importAnimation(files, 0, 1)
        new = [node for node in _walk(self.krita.rootNode()) if node.uniqueId().toString() not in before]
        if not taken or not new:
            raise LayerChanged("Krita did not take the frames.", "Apply without “as animation”.")
        self.krita.setFullClipRangeEndTime(max(len(files) - 1, self.krita.fullClipRangeEndTime()))
        new[0].setName(name)
        new[0].setPinnedToTimeline(True)
        return new[0]

    def find(self, key: str) -> Any | None:
        """Return the node with a unique id, None if there is none."""
        return next((node for node in _walk(self.krita.rootNode()) if node.uniqueId().toString() == key), None)

    def remember(self, result: Any, data: bytes) -> None:
        """Keep what is needed to reopen an edit, beside its result, in the .kra."""
        key = ANNOTATION + result.uniqueId().toString()
        self.krita.setAnnotation(key, "What reopens a krita-drag edit", QtCore.QByteArray(data))

    def holds_edit(self) -> bool:
        """Whether something was kept for any layer."""
        return any(key.startswith(ANNOTATION) for key in self.krita.annotationTypes())

    def remembered(self) -> tuple[Any | None, bytes] | None:
        """Return what was kept for the active layer, or else for the last result; None if nothing was.

        Returns:
            The result's node, None if it is gone, and the data.
        """
        kept = [key for key in self.krita.annotationTypes() if key.startswith(ANNOTATION)]
        active = layer_of(self.krita.activeNode())
        wanted = ANNOTATION + active.uniqueId().toString() if active is not None else ""
        there = [key for key in kept if self.find(key[len(ANNOTATION) :]) is not None]
        key = wanted if wanted in kept else (there[-1] if there else None)
        return None if key is None else (self.find(key[len(ANNOTATION) :]), bytes(self.krita.annotation(key)))


def new_document(krita: Any, name: str, size: tuple[int, int], bgra: bytes) -> tuple[Any, Any]:
    """Make a document of a picture, and show it in the active window.

    Args:
        krita: `Krita.instance()`.
        name: of the document and of its layer.
        size: width and height, pixels.
        bgra: the picture, straight alpha, sRGB.

    Returns:
        The document and its layer.
    """
    width, height = size
    document = krita.createDocument(width, height, name, *SRGB, 72.0)
    layer = document.topLevelNodes()[0]
    layer.setName(name)
    layer.setPixelData(QtCore.QByteArray(bgra), 0, 0, width, height)
    document.refreshProjection()
    krita.activeWindow().addView(document)
    return document, layer


class _Conversion:
    """Converts pixels between colour spaces; a context, as it may need a hidden document."""

    def __init__(self, before: tuple, after: tuple) -> None:
        self._before, self._after = before, after
        self._scratch: Any | None = None

    def __enter__(self) -> _Conversion:
        if self._before != self._after:
            self._scratch = Krita.instance().createDocument(1, 1, "krita-drag conversion", *SRGB, 72.0)
        return self

    def __exit__(self, *reason: object) -> None:
        if self._scratch is not None:
            self._scratch.setModified(False)
            self._scratch.close()

    def __call__(self, data: Any, box: Box) -> Any:
        """Convert a block of packed rows.

        Raises:
            UnsupportedColor: Krita cannot.
        """
        if self._scratch is None:
            return data
        node = self._scratch.createNode("conversion", "paintlayer")
        _set_space(node, self._before)
        node.setPixelData(data, 0, 0, box.w, box.h)
        _set_space(node, self._after)
        return node.pixelData(0, 0, box.w, box.h)


def _are_siblings(one: Any, other: Any) -> bool:
    """Whether two layers are in one group."""
    parents = one.parentNode(), other.parentNode()
    return all(parents) and parents[0].uniqueId() == parents[1].uniqueId()


def is_markers(node: Any) -> bool:
    """Whether a node is the layer of the markers."""
    return node.type() == "vectorlayer" and node.name() == LAYER_NAME


def layer_of(node: Any | None) -> Any | None:
    """Climb out of masks to the layer that they belong to; None if the node is none or the root."""
    while node is not None and node.type().endswith("mask"):
        node = node.parentNode()
    return node if node is not None and node.parentNode() is not None else None


def _notes(node: Any) -> Iterator[str]:
    if node.type() in ("grouplayer", "vectorlayer"):
        yield "The layer is read as it looks; the result becomes a paint layer above it."
    if node.colorModel() != "RGBA":
        yield (
            f"The layer's colours ({node.colorModel()}) are converted to RGB and back; "
            "outside the result nothing changes, inside it strong colours may."
        )
    elif node.colorDepth() != "U8":
        yield "The engine computes with 8 bits a channel; outside the result nothing changes."


def _set_space(node: Any, space: tuple) -> None:
    if (node.colorModel(), node.colorDepth(), node.colorProfile()) == space:
        return
    if not all(space) or not node.setColorSpace(*space):  # without a profile's name Krita may crash
        raise UnsupportedColor(
            f"Krita cannot convert between the colours of this document ({space[0]} {space[1]}) and sRGB.",
            "Convert a copy to RGB: Image > Convert Image Color Space.",
        )


def _without_edge(bgra: bytes) -> bytes:
    """Return pixels that show in full wherever they show at all."""
    pixels = bytearray(bgra)
    pixels[3::4] = bgra[3::4].translate(_SHOWN)
    return bytes(pixels)


def bands_of(box: Box) -> list[Box]:
    """Cut a box into the parts that are read or written in one go."""
    return box.rows(max(1, BAND_PX // box.w))


def _walk(node: Any) -> Iterator[Any]:
    for child in give_back(node.childNodes()):
        yield child
        yield from _walk(child)
