"""The judge: dlib's 68 landmarks and face descriptors, which no solver ever sees.

Needs the extra `bench` (dlib-bin, face_recognition_models). dlib: King 2009; landmarks: Kazemi & Sullivan 2014,
trained on 300-W; descriptors: 128 numbers, two pictures closer than 0.6 show the same person.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DETECTION_PX = 512  # faces are searched in pictures of this side, landmarks placed in the full picture
LANDMARKS = 68
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)


@dataclass(frozen=True)
class Found:
    """One face.

    Attributes:
        landmarks: (68, 2), pixels of the picture.
        descriptor: identity, (128,).
    """

    landmarks: NDArray[np.float64]
    descriptor: NDArray[np.float64]

    @property
    def eye_distance(self) -> float:
        """Distance between the centres of the eyes, pixels of the picture."""
        return float(np.linalg.norm(self.landmarks[LEFT_EYE].mean(0) - self.landmarks[RIGHT_EYE].mean(0)))


class Judge:
    """dlib, loaded once.

    Raises:
        ModuleNotFoundError: the extra `bench` is not installed.
    """

    def __init__(self) -> None:
        models = weights_folder()
        import dlib

        self._detect = dlib.get_frontal_face_detector()
        self._place = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
        self._describe = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))
        self._rectangle = dlib.rectangle

    def find(self, rgb: NDArray[np.uint8]) -> Found | None:
        """Find the largest face of a square picture, (R, R, 3), R a multiple of 512 or smaller than it.

        Returns:
            None if there is no face.
        """
        factor = max(rgb.shape[0] // DETECTION_PX, 1)
        boxes = self._detect(np.asarray(Image.fromarray(rgb).reduce(factor)), 0)
        if not boxes:
            return None
        box = max(boxes, key=lambda found: int(found.area()))
        left, top = box.left() * factor, box.top() * factor
        right, bottom = left + box.width() * factor - 1, top + box.height() * factor - 1
        shape = self._place(rgb, self._rectangle(left, top, right, bottom))
        landmarks = np.array([(part.x + 0.5, part.y + 0.5) for part in shape.parts()])  # dlib counts pixels from 0
        return Found(landmarks, np.array(self._describe.compute_face_descriptor(np.ascontiguousarray(rgb), shape)))


def identity_distance(first: Found, second: Found) -> float:
    """Distance of two faces' descriptors; below 0.6 it is the same person."""
    return float(np.linalg.norm(first.descriptor - second.descriptor))


def weights_folder() -> Path:
    """Find the weights without importing their package, which wants setuptools.

    Raises:
        ModuleNotFoundError: they or dlib are not installed.
    """
    specs = {name: importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models")}
    if missing := [name for name, spec in specs.items() if spec is None]:
        raise ModuleNotFoundError(f"{' and '.join(missing)} not installed: pip install 'krita-drag[bench]'")
    weights = specs["face_recognition_models"]
    assert weights is not None and weights.submodule_search_locations
    return Path(weights.submodule_search_locations[0]) / "models"
