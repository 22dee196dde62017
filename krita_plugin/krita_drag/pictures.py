"""Patches as Qt images, and as the PNG files that Krita puts on its timeline."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Callable, Sequence

from .edit_state import Patch
from .geometry import Box
from .guard import LOGGER
from .qt import QtCore, QtGui


def to_image(patch: Patch) -> QtGui.QImage:
    """Return an image of its own memory, in the format that Qt paints fastest."""
    width, height = patch.size
    raw = bytes(patch.bgra)  # QImage keeps no reference: it must live until the conversion has copied it
    straight = QtGui.QImage(raw, width, height, 4 * width, QtGui.QImage.Format.Format_ARGB32)
    return straight.convertToFormat(QtGui.QImage.Format.Format_ARGB32_Premultiplied)


def write_frames(patches: Sequence[Patch | None], document: Box, folder: Path) -> list[str]:
    """Write pictures of the whole document, empty outside the patches.

    Args:
        patches: in order; None for a frame that shows nothing.
        document: its box.
        folder: where the files go.

    Returns:
        Paths of the files, in order.
    """
    paths = []
    for number, patch in enumerate(patches):
        picture = QtGui.QImage(document.w, document.h, QtGui.QImage.Format.Format_ARGB32)
        picture.fill(0)
        if patch is not None:
            painter = QtGui.QPainter(picture)
            painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
            box = patch.box
            painter.drawImage(QtCore.QRectF(box.x, box.y, box.w, box.h), to_image(patch))
            painter.end()
        path = folder / f"frame{number:04d}.png"
        if not picture.save(str(path)):
            raise OSError(f"{path} could not be written")
        paths.append(str(path))
    return paths


class FrameWriter:
    """Writes the frames on a thread: packing a large canvas as PNG takes longer than a window may wait.

    Args:
        done: called on that thread with the paths, or None if the files could not be written.
    """

    def __init__(self, done: Callable[[list | None], None]) -> None:
        self._done = done

    def start(self, patches: Sequence[Patch | None], document: Box, folder: Path) -> None:
        """Begin; returns at once."""
        work = threading.Thread(target=self._run, args=(list(patches), document, folder), daemon=True)
        work.start()

    def _run(self, patches: Sequence[Patch | None], document: Box, folder: Path) -> None:
        try:
            self._done(write_frames(patches, document, folder))
        except OSError:
            LOGGER.exception("frames could not be written")
            self._done(None)
