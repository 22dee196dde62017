"""Choose the square of a photo that the model sees."""

from __future__ import annotations

from engine.align import Crop, centre_crop, face_crop
from engine.face_detector import FaceDetector
from engine.images import Picture
from engine.models import Model, ModelStore


def find_crop(picture: Picture, model: Model, store: ModelStore) -> tuple[Crop, tuple[str, ...]]:
    """Frame the face for models of aligned faces, else the centre of the picture.

    Args:
        picture: upright picture.
        model: its `info.aligned` says what it was trained on.
        store: where the face detector's weights are; fetched when missing.

    Returns:
        The crop, and sentences about what was found where that matters.

    Raises:
        NetworkBlocked, ModelCorrupt: the detector's weights cannot be had.
    """
    centre = centre_crop(*picture.size_wh, model.generator.resolution, model.generator.margin)
    if not model.info.aligned:
        return centre, ()
    faces = FaceDetector(store.detector_path()).detect(picture.rgb)
    if not faces:
        note = (
            f"No face was found, and “{model.info.name}” knows faces only: the centre of the picture is used as it is."
        )
        return centre, (note,)
    notes = (f"{len(faces)} faces were found; the largest is used.",) if len(faces) > 1 else ()
    return face_crop(faces[0].landmarks, model.generator.resolution), notes
