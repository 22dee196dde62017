"""Patches as Qt images, and as the PNG files that Krita puts on its timeline."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import Callable, Iterator, Sequence

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


def write_frames(patches: Sequence[Patch | None], document: Box, folder: Path) -> Iterator[str]:
    """Write pictures of the whole document, empty outside the patches.

    Args:
        patches: in order; None for a frame that shows nothing.
        document: its box.
        folder: where the files go.

    Yields:
        Path of each file that has been written, in order.

    Raises:
        OSError: it could not be.
    """
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
        yield str(path)


class FrameWriter:
    """Writes frames on a thread: packing a large canvas as PNG takes longer than a window may wait.

    Args:
        patches, document: as for `write_frames`.
        done: called on that thread with this writer and the paths, or None if the files could not be written.
    """

    def __init__(
        self,
        patches: Sequence[Patch | None],
        document: Box,
        done: Callable[[FrameWriter, list[str] | None], None],
    ) -> None:
        self._patches, self._document, self._done = list(patches), document, done
        self._folder: tempfile.TemporaryDirectory | None = None
        self._stopped = self._finished = False
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="krita-drag frames", daemon=True).start()

    def stop(self) -> None:
        """Write no more, and remove the files; `done` is not called after that."""
        with self._lock:
            self._stopped = True
            if self._finished:
                self._remove()

    def _run(self) -> None:
        paths: list[str] = []
        failed = False
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="krita-drag-")
            for path in write_frames(self._patches, self._document, Path(self._folder.name)):
                paths.append(path)
                if self._stopped:
                    break
        except OSError:
            LOGGER.exception("frames could not be written")
            failed = True
        with self._lock:
            self._finished = True
            if self._stopped:
                self._remove()
            else:
                self._done(self, None if failed else paths)

    def _remove(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):  # Windows: somebody still looks into it
                self._folder.cleanup()
