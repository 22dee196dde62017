"""Crops: frames agree, resampling is antialiased both ways, and nothing outside the mask is touched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.align import Crop, centre_crop, face_crop, identity_crop

finite = st.floats(-1e4, 1e4, width=32)


def square(centre_xy: tuple[float, float], side_px: float, degrees: float, resolution: int) -> Crop:
    """A crop about a centre, turned clockwise."""
    angle = math.radians(degrees)
    right = np.array([math.cos(angle), math.sin(angle)]) * side_px
    down = np.array([-right[1], right[0]])
    origin = np.array(centre_xy) - (right + down) / 2
    return Crop(*(tuple(map(float, vector)) for vector in (origin, right, down)), resolution)


crops = st.builds(
    square,
    st.tuples(finite, finite),
    st.floats(1, 5000),
    st.floats(-180, 180),
    st.sampled_from([32, 64, 1024]),
)


def smooth_photo(side: int) -> np.ndarray:
    """A picture without detail below 8 px, so that resampling can be judged against the truth."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    waves = [np.sin(x / 9 + channel) * np.cos(y / 11 - channel) for channel in range(3)]
    return np.round(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-12, np.mean((a.astype(float) - b) ** 2))))


@given(crops, hnp.arrays(np.float64, (3, 2), elements=finite))
def test_frames_are_inverse_to_each_other(crop: Crop, points: np.ndarray) -> None:
    assert crop.to_document(crop.to_model(points)) == pytest.approx(points, abs=1e-3)
    assert crop.to_model(crop.to_document(points)) == pytest.approx(points, abs=1e-3)


@given(crops)
def test_corners_and_scale(crop: Crop) -> None:
    r = crop.resolution
    corners = crop.to_document([(0, 0), (r, 0), (0, r)])
    expected = np.array([crop.origin_xy, np.add(crop.origin_xy, crop.right_xy), np.add(crop.origin_xy, crop.down_xy)])
    assert corners == pytest.approx(expected, abs=1e-3)
    assert crop.scale == pytest.approx(crop.side_px / r)


def test_what_is_not_a_square_is_refused() -> None:
    with pytest.raises(ValueError, match="not a square"):
        Crop((0, 0), (0, 0), (0, 0), 64)
    with pytest.raises(ValueError, match="not a square"):
        Crop((0, math.nan), (1, 0), (0, 1), 64)
    with pytest.raises(ValueError, match="not a square"):
        face_crop(np.ones((5, 2)), 64)


def test_identity_crop_is_exact() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    crop = identity_crop(64)
    assert np.array_equal(crop.extract(photo), photo)
    assert np.array_equal(crop.paste(photo, photo[::-1], np.ones((64, 64))), photo[::-1])
    mask = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    assert crop.extract(mask) == pytest.approx(mask, abs=1e-6)


def test_centre_crop_lies_on_whole_pixels() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 65, 3), np.uint8)
    crop = centre_crop(65, 40, 40)
    assert (crop.origin_xy, crop.side_px) == ((12, 0), 40)
    assert np.array_equal(crop.extract(photo), photo[:, 12:52])


@pytest.mark.parametrize("degrees", [0, 25, -160])
@pytest.mark.parametrize(("side_px", "resolution"), [(200, 512), (200, 256), (200, 200), (200, 128), (250, 100)])
def test_paste_undoes_extract(side_px: float, resolution: int, degrees: float) -> None:
    photo = smooth_photo(400)
    crop = square((203.3, 196.7), side_px, degrees, resolution)
    margin = np.zeros((resolution, resolution))
    margin[4:-4, 4:-4] = 1
    result = crop.paste(photo, crop.extract(photo), margin)
    assert not np.array_equal(result, photo) or side_px == resolution
    assert psnr(result, photo) > 44


def test_extraction_agrees_with_the_formula_of_the_picture() -> None:
    """Every sample is where the frame says: the picture's formula, evaluated at to_document, is what comes out."""
    crop = square((150, 160), 190, 33, 64)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    x, y = np.moveaxis(crop.to_document(np.stack([columns, rows], axis=-1)), -1, 0)
    truth = 127.5 + 120 * np.stack([np.sin(x / 9 + c) * np.cos(y / 11 - c) for c in range(3)], axis=2)
    assert psnr(crop.extract(smooth_photo(320)), truth) > 40


def test_shrinking_does_not_alias() -> None:
    """Stripes finer than the model's pixels become even grey, in both directions of travel."""
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    small = square((300, 300), 500, 10, 100).extract(stripes)
    assert small.std() < 4
    assert small.mean() == pytest.approx(127.5, abs=2)
    target = np.zeros((150, 150, 3), np.uint8)
    crop = square((75, 75), 100, 0, 600)
    pasted = crop.paste(target, stripes, np.ones((600, 600)))
    assert pasted[30:120, 30:120].std() < 4


def test_a_real_photo_survives_the_round_trip() -> None:
    photo = skimage.data.astronaut()
    crop = square((222, 120), 220, 4, 512)
    result = crop.paste(photo, crop.extract(photo), np.ones((512, 512)))
    assert psnr(result[80:160, 180:260], photo[80:160, 180:260]) > 36


def test_beyond_the_photo_pictures_reflect_and_masks_are_empty() -> None:
    photo = smooth_photo(100)
    crop = square((0, 50), 100, 0, 100)  # left half outside
    extracted = crop.extract(photo)
    assert np.abs(extracted[:, :50].astype(int) - extracted[:, 99:49:-1]).max() <= 1
    mask = crop.extract(np.ones((100, 100), np.float32))
    assert mask.dtype == np.float32
    assert not mask[:, :49].any()
    assert mask[:, 51:].min() == pytest.approx(1)
    result = crop.paste(photo, np.full((100, 100, 3), 9, np.uint8), np.ones((100, 100)))
    assert (result[:, :50] == 9).all()
    assert np.array_equal(result[:, 50:], photo[:, 50:])


def test_alpha_keeps_its_type() -> None:
    alpha = np.full((80, 80), 255, np.uint8)
    extracted = square((40, 40), 40, 45, 64).extract(alpha)
    assert extracted.dtype == np.uint8
    assert (extracted == 255).all()


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(-20, 140), st.floats(-20, 110)),
    st.floats(10, 150),
    st.floats(-180, 180),
    st.sampled_from([16, 32, 64]),
    st.integers(0, 2**32 - 1),
)
def test_pixels_outside_the_mask_are_bit_identical(
    centre_xy: tuple[float, float], side_px: float, degrees: float, resolution: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    photo = random.integers(0, 256, (90, 120, 3), np.uint8)
    crop = square(centre_xy, side_px, degrees, resolution)
    mask = np.zeros((resolution, resolution), np.float32)
    top, left = random.integers(0, resolution // 2, 2)
    mask[top : top + resolution // 3, left : left + resolution // 3] = 1
    original = photo.copy()
    result = crop.paste(photo, random.integers(0, 256, (resolution, resolution, 3), np.uint8), mask)
    assert np.array_equal(photo, original)
    changed = np.argwhere((result != photo).any(axis=2))[:, ::-1] + 0.5  # (n, 2) xy
    places = crop.to_model(changed)
    reach = 2 + 2 / crop.scale  # bilinear and antialiasing reach of a pixel, model pixels
    assert (places >= np.array([left, top]) - reach).all()
    assert (places <= np.array([left, top]) + resolution // 3 + reach).all()


def test_face_crop_of_an_upright_face() -> None:
    """Eyes 100 px apart, mouth 110 px below: 2 x 100 against 1.8 x 110 decides the half side."""
    landmarks = np.array([[200, 300], [300, 300], [250, 350], [210, 410], [290, 410]], float)
    crop = face_crop(landmarks, 1024)
    assert crop.side_px == pytest.approx(400)
    assert crop.right_xy == pytest.approx((400, 0))
    assert crop.to_model([250, 311]) == pytest.approx([512, 512])  # centre: the eyes, a tenth towards the mouth


@given(st.floats(-180, 180), st.floats(0.2, 20), st.tuples(finite, finite))
def test_face_crop_moves_with_the_face(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    landmarks = np.array([[200, 300], [300, 305], [250, 350], [210, 410], [290, 415]], float)
    angle = math.radians(degrees)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = landmarks @ turn.T + np.array(shift)
    there = face_crop(moved, 256).to_model(moved)
    assert there == pytest.approx(face_crop(landmarks, 256).to_model(landmarks), abs=1e-4)
