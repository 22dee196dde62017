"""Session files on their way to and from clients; no message names a file of the engine's machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from krita_drag.wire.codec import MAX_FRAME
from krita_drag.wire.errors import TooLarge
from krita_drag.wire.messages import Frame

from engine.paths import storage_errors
from engine.session import Session
from engine.session_file import SUFFIX, ModelSource, load_session, save_session


def to_frame(session: Session) -> Frame:
    """Write a session as a file, and that as a frame.

    Raises:
        TooLarge: no frame holds it.
        BadOutput, NoDiskSpace, PermissionDenied: the engine's disk cannot hold it for a moment.
    """
    with tempfile.TemporaryDirectory() as folder, storage_errors(Path(folder)):
        path = Path(folder) / f"session{SUFFIX}"
        save_session(session, path)
        data = path.read_bytes()
    if len(data) > MAX_FRAME:
        raise TooLarge(f"The session takes {len(data) / 1e6:.0f} MB, which no message holds.", "Use a smaller picture.")
    return Frame("u1", (len(data),), data)


def from_frame(frame: Frame, models: ModelSource) -> Session:
    """Read a session from a frame; it computes where `models` loads its model to.

    Raises:
        BadSession: the file is damaged, of another kind, or made with another file of its model.
        ModelNotFound, ModelCorrupt: its model is not here.
        NoDiskSpace, PermissionDenied: the engine's disk cannot hold it for a moment.
    """
    with tempfile.TemporaryDirectory() as folder, storage_errors(Path(folder)):
        path = Path(folder) / f"session{SUFFIX}"
        path.write_bytes(frame.data)
        return load_session(path, models)
