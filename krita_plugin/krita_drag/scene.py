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

    def follow(self, session: EditSession, show_inverted: bool, in_document: bool) -> None:
        """Show the present state of an edit, or what the model can draw of the picture.

        Args:
            session: the edit.
            show_inverted: whether what the model can draw is shown.
            in_document: whether a layer of the document shows that state already.
        """
        search = session.stage is Stage.PREPARING
        state = None if in_document else session.shown.patch
        patch = session.shown.inverted if show_inverted or search else state
        if patch is not self._patch:
            self._patch = patch
            self.preview = None if patch is None else (to_image(patch), patch.box)
        self.places, self.corners = session.places, session.shown.corners
