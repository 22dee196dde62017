"""What the model cannot draw of a photo stays in it through a drag, and what is grey or transparent stays so.

The photo is a generated face with things drawn on it and its own latent: an inversion that misses exactly these.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.align import identity_crop
from engine.face_detector import Face
from engine.images import Picture
from engine.inversion.frame import _doubts
from engine.models import Model
from engine.session import Session

SEED = 7
CORNER_OF_THE_MOUTH = ((600.0, 760.0), (640.0, 740.0))
GLASSES = (slice(455, 467), slice(300, 720))  # a frame over both eyes, rows and columns
HAND = (slice(690, 900), slice(330, 500))  # over one side of the mouth


@pytest.fixture(scope="module")
def face(faces_model: Model) -> Session:
    return Session.from_seed(faces_model, SEED)


def dragged(face: Session, model: Model, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None) -> Picture:
    """The result of a short drag of a photo whose latent is the face's."""
    session = Session(model, Picture(rgb, alpha), identity_crop(1024), face.w_start, generated=False)
    assert session.result() is session.picture
    list(session.drag([CORNER_OF_THE_MOUTH], max_steps=4))
    result = session.result()
    assert (result.rgb != rgb).any()
    return result


@pytest.mark.parametrize(("place", "colour"), [(GLASSES, (10, 10, 10)), (HAND, (60, 160, 60))], ids=["glasses", "hand"])
def test_what_the_model_did_not_draw_is_still_there(
    face: Session, faces_model: Model, place: tuple[slice, slice], colour: tuple[int, int, int]
) -> None:
    rgb = face.picture.rgb.copy()
    rgb[place] = colour
    result = dragged(face, faces_model, rgb).rgb.astype(int)
    like = np.abs(result - colour).max(-1) < 60
    rows, columns = place
    around = like[rows.start - 60 : rows.stop + 60, columns.start - 60 : columns.stop + 60]
    assert around.sum() > 0.6 * (rows.stop - rows.start) * (columns.stop - columns.start)


def test_a_grey_photo_stays_grey(face: Session, faces_model: Model) -> None:
    grey = np.repeat(face.picture.rgb.mean(-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    result = dragged(face, faces_model, grey).rgb
    assert np.ptp(result, axis=-1).max() <= 1


def test_transparency_is_kept(face: Session, faces_model: Model) -> None:
    alpha = np.full((1024, 1024), 255, np.uint8)
    alpha[:, 512:] = np.linspace(255, 0, 512, dtype=np.uint8)
    result = dragged(face, faces_model, face.picture.rgb, alpha)
    assert result.alpha is not None
    assert np.array_equal(result.alpha, alpha)


def test_profiles_are_told(face: Session) -> None:
    crop = identity_crop(1024)
    frontal = np.array([(400, 480), (620, 480), (510, 600), (430, 700), (590, 700)], float)
    aside = np.array([(400, 480), (500, 480), (500, 600), (420, 700), (480, 700)], float)
    box = np.array([300, 300, 700, 800], float)
    assert _doubts(Face(box, frontal, 1.0), crop) == []
    assert "from the side" in _doubts(Face(box, aside, 1.0), crop)[0]
