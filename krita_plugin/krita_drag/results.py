"""What an edit leaves in the document: a layer or frames, and beside the layer what reopens the edit."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Sequence

from .document import KritaDocument
from .edit_state import Patch
from .geometry import Box
from .guard import guarded
from .pictures import FrameWriter
from .qt import QtCore, Signal
from .translate import tr
from .wire.errors import KritaDragError, LayerChanged, NoLayer

FILE_VERSION = 1


class Kept(NamedTuple):
    """What is kept of an edit.

    Attributes:
        model: its name.
        source: unique id of the layer that was edited.
        box: the part of the document that the engine had.
        file: of the engine's session.
        at: position of that layer then; None: an older version kept none.
    """

    model: str
    source: str
    box: Box
    file: bytes
    at: tuple[int, int] | None = None

    def to_bytes(self) -> bytes:
        """Return one line of JSON and the file."""
        facts = {"version": FILE_VERSION, "model": self.model, "source": self.source, "box": list(_sides(self.box))}
        facts["at"] = self.at
        return json.dumps(facts).encode() + b"\n" + self.file

    @staticmethod
    def from_bytes(data: bytes) -> Kept:
        """Read what `to_bytes` wrote.

        Raises:
            LayerChanged: it is of another version, or damaged.
        """
        header, _, file = data.partition(b"\n")
        try:
            facts = json.loads(header)
            if facts["version"] != FILE_VERSION or not file:
                raise ValueError(header)
            at = None if facts.get("at") is None else (int(facts["at"][0]), int(facts["at"][1]))
            return Kept(str(facts["model"]), str(facts["source"]), Box(*map(int, facts["box"])), file, at)
        except (ValueError, KeyError, TypeError, IndexError) as reason:
            raise LayerChanged(
                "What was kept of this edit cannot be read.", "It was made by another version; prepare the layer again."
            ) from reason


def _sides(box: Box) -> tuple[int, int, int, int]:
    return box.x, box.y, box.w, box.h


class Results(QtCore.QObject):
    """Puts results into one document.

    Signals:
        frames_done: the layer whose frames are on the timeline, and the failure if there is none.
    """

    frames_done = Signal(object, object)
    _written = Signal(object, object)

    def __init__(self, document: KritaDocument) -> None:
        super().__init__()
        self._document = document
        self._writer: FrameWriter | None = None
        self._name = ""
        self._written.connect(self._frames_written)

    def add_layer(
        self, source: Any | None, name: str, patch: Patch, mask: bool, before: Any | None = None
    ) -> tuple[Any, Any]:
        """Add the result above its source, or above the active layer if the source is gone.

        Args:
            source: the layer that was edited.
            name: of the result.
            patch: its picture.
            mask: whether the soft edge becomes a transparency mask.
            before: an earlier result of the edit, which it goes above.

        Returns:
            The result's node and the source's.

        Raises:
            DocumentError: it cannot be added.
        """
        if source is None or not self._document.holds(source):
            source = self._document.source().node
        edge = tr("Soft edge") if mask else ""
        return self._document.add_result(source, name, patch.box, bytes(patch.bgra), edge, before), source

    def add_frames(self, patches: Sequence[Patch | None], name: str) -> None:
        """Put the way there on the timeline; returns at once, `frames_done` tells the end."""
        self.stop()
        self._name = name
        self._writer = FrameWriter(patches, self._document.frame, self._written.emit)

    @property
    def is_writing(self) -> bool:
        """Whether frames are on their way to the timeline."""
        return self._writer is not None

    def stop(self) -> None:
        """Give up the frames that are being written."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()

    def reopen(self) -> tuple[Kept, Any | None]:
        """Return what was kept of the active layer's edit, or else of the last one, and that result's node.

        None for the node if it is gone, or is the source.

        Raises:
            NoLayer: nothing was kept.
            LayerChanged: it cannot be read.
        """
        found = self._document.remembered()
        if found is None:
            raise NoLayer("This document has no edit to reopen.", "Select a layer that was made with Apply.")
        result, data = found
        kept = Kept.from_bytes(data)
        is_source = result is not None and result.uniqueId().toString() == kept.source
        return kept, None if is_source else result

    @guarded
    def _frames_written(self, writer: FrameWriter, paths: list[str] | None) -> None:
        if writer is not self._writer:
            return  # it was given up when this was under way
        failure: KritaDragError | None = None
        layer = None
        try:
            if paths is None:
                raise LayerChanged("The frames could not be written.", "Make room in the folder for temporary files.")
            layer = self._document.add_animation(paths, self._name)
        except KritaDragError as reason:
            failure = reason
        finally:
            self.stop()
        self.frames_done.emit(layer, failure)
