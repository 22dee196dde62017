"""The face detector with its real weights on real and generated faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from krita_drag.wire.errors import ModelCorrupt
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.align import face_crop
from engine.face_detector import FaceDetector
from engine.images import to_uint8
from engine.models import Model, ModelStore

# The astronaut's eyes, nose and corners of the mouth, read off the picture by eye.
ASTRONAUT = np.array([[204, 101], [249, 104], [226, 130], [202, 140], [247, 141]], float)


@pytest.fixture(scope="module")
def detector(store: ModelStore) -> FaceDetector:
    return FaceDetector(store.detector_path())


def test_landmarks_of_a_portrait(detector: FaceDetector) -> None:
    (face,) = detector.detect(skimage.data.astronaut())
    assert face.score > 0.95
    assert np.linalg.norm(face.landmarks - ASTRONAUT, axis=1).max() < 5
    left, top, right, bottom = face.box_xyxy
    assert (face.landmarks > (left, top)).all()
    assert (face.landmarks < (right, bottom)).all()


@pytest.mark.parametrize("side", [128, 3000])
def test_result_is_in_pixels_of_any_size_of_picture(detector: FaceDetector, side: int) -> None:
    photo = np.array(Image.fromarray(skimage.data.astronaut()).resize((side, side), Image.Resampling.LANCZOS))
    (face,) = detector.detect(photo)
    assert np.linalg.norm(face.landmarks * 512 / side - ASTRONAUT, axis=1).max() < 8


def test_greyscale_and_tilted_faces(detector: FaceDetector) -> None:
    image = Image.fromarray(skimage.data.astronaut())
    assert len(detector.detect(np.array(image.convert("L").convert("RGB")))) == 1
    (face,) = detector.detect(np.array(image.rotate(-25)))
    eyes = face.landmarks[1] - face.landmarks[0]
    assert np.degrees(np.arctan2(eyes[1], eyes[0])) == pytest.approx(28, abs=6)


def test_largest_face_comes_first(detector: FaceDetector) -> None:
    photo = skimage.data.astronaut()
    small = np.zeros_like(photo)
    small[:300, :300] = np.array(Image.fromarray(photo).resize((300, 300)))
    faces = detector.detect(np.concatenate([small, photo], axis=1))
    assert len(faces) == 2
    assert faces[0].side_px > faces[1].side_px
    assert faces[0].landmarks[:, 0].min() > 512


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_no_face_where_there_is_none(detector: FaceDetector, name: str) -> None:
    assert detector.detect(getattr(skimage.data, name)()) == []


@pytest.mark.parametrize("shape", [(16, 16), (16, 900), (900, 16), (12, 12)])
def test_pictures_too_small_for_faces(detector: FaceDetector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 90, np.uint8)) == []


def test_generated_faces_are_framed_as_the_model_was_trained(detector: FaceDetector, faces_model: Model) -> None:
    """The model draws FFHQ-aligned faces, so aligning what it draws must change next to nothing."""
    generator = faces_model.generator
    with torch.no_grad():
        picture = to_uint8(generator.synthesis(generator.sample_w_plus(1)))
    faces = detector.detect(picture)
    crop = face_crop(faces[0].landmarks, generator.resolution)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * generator.resolution
    assert crop.to_document(corners) == pytest.approx(corners, abs=0.07 * generator.resolution)


def test_damaged_weights_are_refused(store: ModelStore, tmp_path: Path) -> None:
    whole = store.detector_path()
    path = tmp_path / "detector.safetensors"
    path.write_bytes(whole.read_bytes()[:100_000])
    with pytest.raises(ModelCorrupt, match="damaged"):
        FaceDetector(path)
    tensors = load_file(whole)
    save_file({name: tensor for name, tensor in tensors.items() if name != "onet.dense5.weight"}, path)
    with pytest.raises(ModelCorrupt):
        FaceDetector(path)
    save_file(tensors | {"pnet.conv2.weight": torch.zeros(16, 9, 3, 3)}, path)
    with pytest.raises(ModelCorrupt):
        FaceDetector(path)
    with pytest.raises(ModelCorrupt):
        FaceDetector(tmp_path / "nothing")
