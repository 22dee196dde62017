"""What the overlay shows besides the pairs."""

from __future__ import annotations

from .edit_state import Patch, Stage
from .geometry import Box, Point
from .pictures import to_image
from .point_map import Places
from .qt import QtGui
from .session import EditSession


class Scene:
    """What the overlay shows besides the pairs.

    Attributes:
        preview: picture to lay over the document, and where, document pixels.
        places: where the handles are in that picture.
        corners: of the square that the model sees, document pixels.
    """

    def __init__(self) -> None:
        self.preview: tuple[QtGui.QImage, Box] | None = None
        self.places = Places()
        self.corners: tuple[Point, ...] = ()
        self._patch: Patch | None = None
        self._left: Patch | None = None

    def leave(self, patch: Patch | None) -> None:
        """Show this picture no more: the document has it."""
        self.preview, self._left = None, patch

    def follow(self, session: EditSession, show_inverted: bool) -> None:
        """Show the present state of an edit, or what the model can draw of the picture."""
        search = session.stage is Stage.PREPARING
        patch = session.shown.inverted if show_inverted or search else session.shown.patch
        if patch is not self._patch:
            self._patch = patch
            self.preview = None if patch is None or patch is self._left else (to_image(patch), patch.box)
        self.places, self.corners = session.places, session.shown.corners
