"""Which square of a photo the model gets to see: several faces, squares placed by hand, and difficult pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from krita_drag.wire.errors import BadOption
from numpy.typing import NDArray
from PIL import Image

from engine.align import face_crop, identity_crop
from engine.images import Picture
from engine.inversion import crop_from_corners, find_crop
from engine.models import Model, ModelStore

FACE_XY = (226, 108)  # the middle of the astronaut's face


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    photo: NDArray[np.uint8] = skimage.data.astronaut()
    return photo


@pytest.fixture(scope="module")
def two_faces(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The astronaut twice, at the right 30 % smaller and lower."""
    smaller = np.asarray(Image.fromarray(astronaut).resize((358, 358), Image.Resampling.LANCZOS))
    both = np.zeros((512, 1024, 3), np.uint8)
    both[:, :512] = astronaut
    both[154:, 600:958] = smaller
    return both


def middle(crop: object) -> list[float]:
    return list(crop.to_document([512, 512]))  # type: ignore[attr-defined]


def test_of_several_faces_the_one_that_is_meant(
    two_faces: NDArray[np.uint8], faces_model: Model, store: ModelStore
) -> None:
    right = [600 + FACE_XY[0] * 0.7, 154 + FACE_XY[1] * 0.7]
    crop, notes = find_crop(Picture(two_faces), faces_model, store)
    assert middle(crop) == pytest.approx(FACE_XY, abs=12)
    assert notes[0] == "2 faces were found; the largest is used."
    selection = np.zeros((512, 1024), np.float32)
    selection[180:280, 700:820] = 1
    crop, notes = find_crop(Picture(two_faces), faces_model, store, selection=selection)
    assert middle(crop) == pytest.approx(right, abs=12)
    assert "in the selection" in notes[0]
    crop, notes = find_crop(Picture(two_faces), faces_model, store, pairs=[((right[0], right[1]), (0, 0))])
    assert middle(crop) == pytest.approx(right, abs=12)
    assert "with the points" in notes[0]
    elsewhere = np.zeros((512, 1024), np.float32)
    elsewhere[400:, :100] = 1
    for selected in (elsewhere, 0 * elsewhere):
        _, notes = find_crop(Picture(two_faces), faces_model, store, selection=selected)
        assert "the largest" in notes[0]


@pytest.mark.parametrize("kind", ["grey", "jpeg", "warm painting", "transparent around"])
def test_the_face_is_found_in_difficult_pictures(
    astronaut: NDArray[np.uint8], kind: str, faces_model: Model, store: ModelStore
) -> None:
    image, alpha = Image.fromarray(astronaut), None
    if kind == "grey":
        image = image.convert("L").convert("RGB")
    elif kind == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=5)
        image = Image.open(buffer)
    elif kind == "warm painting":
        image = image.resize((128, 128), Image.Resampling.BOX).resize((512, 512)).quantize(24).convert("RGB")
    else:
        alpha = np.zeros((512, 512), np.uint8)
        alpha[20:260, 120:330] = 255
    crop, notes = find_crop(Picture(np.array(image), alpha), faces_model, store)
    assert middle(crop) == pytest.approx(FACE_XY, abs=20)
    assert notes == ()


def test_a_small_face_and_a_huge_picture(astronaut: NDArray[np.uint8], faces_model: Model, store: ModelStore) -> None:
    small = np.asarray(Image.fromarray(astronaut[:260, 100:360]).resize((90, 90), Image.Resampling.LANCZOS))
    crop, notes = find_crop(Picture(np.ascontiguousarray(small)), faces_model, store)
    assert crop.side_px < 90
    assert "small" in notes[0]
    huge = np.full((6000, 8400, 3), 90, np.uint8)
    huge[1000:5096, 2000:6096] = np.asarray(Image.fromarray(astronaut).resize((4096, 4096)))
    crop, notes = find_crop(Picture(huge), faces_model, store)
    assert middle(crop) == pytest.approx([2000 + 8 * FACE_XY[0], 1000 + 8 * FACE_XY[1]], abs=100)
    assert crop.extract(huge).shape == (1024, 1024, 3)
    assert notes == ()


def test_a_face_too_small_for_its_picture_is_found_in_a_selection(
    astronaut: NDArray[np.uint8], faces_model: Model, store: ModelStore
) -> None:
    wide = np.full((2200, 3000, 3), 90, np.uint8)
    wide[1500:1756, 2400:2656] = np.asarray(Image.fromarray(astronaut).resize((256, 256), Image.Resampling.LANCZOS))
    face = [2400 + FACE_XY[0] / 2, 1500 + FACE_XY[1] / 2]
    _, notes = find_crop(Picture(wide), faces_model, store)
    assert "No face was found" in notes[0]
    selection = np.zeros((2200, 3000), np.float32)
    selection[1480:1700, 2380:2660] = 1
    crop, notes = find_crop(Picture(wide), faces_model, store, selection=selection)
    assert middle(crop) == pytest.approx(face, abs=8)
    assert 75 < crop.side_px < 100
    assert "small" in notes[0]
    wide[500:1524, 300:1324] = np.asarray(Image.fromarray(astronaut).resize((1024, 1024)))
    crop, notes = find_crop(Picture(wide), faces_model, store, selection=selection)
    assert middle(crop) == pytest.approx(face, abs=8)
    assert notes[0] == "2 faces were found; the one in the selection is used."


def test_what_is_transparent_is_not_framed(astronaut: NDArray[np.uint8], faces_model: Model, store: ModelStore) -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[300:, 100:200] = 255  # of the suit
    crop, notes = find_crop(Picture(astronaut, alpha), faces_model, store)
    assert "No face was found" in notes[0]
    assert crop.origin_xy == (100, 356)
    assert crop.side_px == 100
    crop, _ = find_crop(Picture(astronaut, 0 * alpha), faces_model, store)
    assert crop.side_px == 512


def test_a_selection_is_framed_where_there_is_no_face(faces_model: Model, store: ModelStore) -> None:
    cat = Picture(skimage.data.chelsea())  # 451 x 300
    selection = np.zeros((300, 451), np.float32)
    selection[100:200, 380:440] = 1
    crop, notes = find_crop(cat, faces_model, store, selection=selection)
    assert "No face was found" in notes[0]
    assert "the selection is used" in notes[0]
    assert crop.side_px == pytest.approx(120)
    assert crop.origin_xy == pytest.approx((451 - 120, 90))  # moved into the picture
    assert "select it" not in notes[0]
    _, notes = find_crop(cat, faces_model, store)
    assert "centre of the picture" in notes[0]
    assert "select it" in notes[0]


def test_a_square_placed_by_hand(astronaut: NDArray[np.uint8]) -> None:
    crop = crop_from_corners([(0, 0), (64, 0), (64, 64), (0, 64)], 64)
    assert crop == identity_crop(64)
    turned = face_crop([(200, 100), (240, 110), (215, 130), (195, 150), (228, 157)], 1024)
    corners = turned.to_document([(0, 0), (1024, 0), (1024, 1024), (0, 1024)])
    jitter = np.array([(0.5, 0), (0, 0.5), (-0.5, 0), (0, -0.5)])
    again = crop_from_corners([tuple(corner) for corner in corners + jitter], 1024)
    assert again.origin_xy == pytest.approx(turned.origin_xy, abs=0.6)
    assert again.right_xy == pytest.approx(turned.right_xy, abs=0.6)
    assert np.array_equal(
        crop_from_corners([(0, 0), (512, 0), (512, 512), (0, 512)], 512).extract(astronaut), astronaut
    )


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (100, 0), (100, 50), (0, 50)],  # no square
        [(0, 0), (0, 64), (64, 64), (64, 0)],  # mirrored
        [(5, 5)] * 4,
        [(0, 0), (64, 0), (64, 64), (0, float("nan"))],
        [(0, 0), (64, 0), (64, 64)],
    ],
)
def test_what_is_no_square_is_refused(corners: list[tuple[float, float]]) -> None:
    with pytest.raises(BadOption, match="corners"):
        crop_from_corners(corners, 64)
