"""Choose the square of a photo that the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from krita_drag.wire.errors import BadOption
from numpy.typing import NDArray

from engine.align import Box, Crop, centre_crop, face_crop
from engine.face_detector import Face, FaceDetector
from engine.images import Picture
from engine.models import Model, ModelStore
from engine.points import Pair

Point = tuple[float, float]

SELECTION_GROWTH = 1.2  # side of the square, in sides of the selection's box
COARSE_FACE = 0.125  # of the model's resolution: squares with fewer document pixels a side show little detail
HIDDEN_GREY = 128  # stands for transparent pixels, whose colours nobody sees
PROFILE = 0.4  # of the distance between the eyes: the nose is that far from their middle in faces seen from the side
SKEW = 0.05  # of the side: how far four corners may be off a square


def find_crop(
    picture: Picture,
    model: Model,
    store: ModelStore,
    *,
    selection: NDArray[np.float32] | None = None,
    pairs: Sequence[Pair] = (),
) -> tuple[Crop, tuple[str, ...]]:
    """Frame a face for models of aligned faces, else the selection, else the centre of what can be seen.

    Args:
        picture: upright picture; faces in its transparent parts do not count.
        model: its `info.aligned` says what it was trained on.
        store: where the face detector's weights are; fetched when missing.
        selection: what the user works on, (H, W) in [0, 1]; of several faces the one in it is framed.
        pairs: what is going to be dragged; tells which face is meant where the selection does not.

    Returns:
        The crop, and sentences about what was found where that matters.

    Raises:
        NetworkBlocked, ModelCorrupt: the detector's weights cannot be had.
    """
    if selection is not None and not selection.any():
        selection = None
    plain = _plain_crop(picture, model, selection)
    if not model.info.aligned:
        return plain, ()
    faces = _find_faces(picture, selection, FaceDetector(store.detector_path()))
    if not faces:
        seen = "the selection" if selection is not None else "the centre of the picture"
        note = f"No face was found, and “{model.info.name}” knows faces only: {seen} is used as it is."
        way_out = "" if selection is not None else " If there is one, select it (on the command line: --crop)."
        return plain, (note + way_out,)
    face, why = _choose(faces, selection, pairs)
    crop = replace(face_crop(face.landmarks, model.generator.resolution), margin=model.generator.margin)
    notes = [f"{len(faces)} faces were found; {why} is used."] if len(faces) > 1 else []
    return crop, (*notes, *_doubts(face, crop))


def crop_from_corners(corners: Sequence[Point], resolution: int, margin: int = 0) -> Crop:
    """Frame a square that the user has placed by hand.

    Args:
        corners: top-left, top-right, bottom-right, bottom-left, as the picture inside is to be seen; document pixels.
            Slightly uneven ones become the square nearest to them.
        resolution: side of the model's picture, model pixels.
        margin: of that picture, see `Crop`; what lies in it is not looked at.

    Raises:
        BadOption: they are not the corners of a square.
    """
    points = np.asarray(corners, np.float64)
    hint = "Give its corners clockwise from the top left, as x,y,x,y,x,y,x,y in pixels of the picture."
    if points.shape != (4, 2) or not np.isfinite(points).all():
        raise BadOption("A square needs four corners.", hint)
    centred = points - points.mean(0)
    unit = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    right = (unit[:, :1] * centred + unit[:, 1:] * np.stack([centred[:, 1], -centred[:, 0]], 1)).sum(0) / 2
    down = np.array([-right[1], right[0]])
    origin = points.mean(0) - (right + down) / 2
    error = np.abs(origin + (unit[:, :1] + 0.5) * right + (unit[:, 1:] + 0.5) * down - points).max()
    side = float(np.hypot(*right))
    if side < 1 or error > SKEW * side:
        raise BadOption("These four corners are not those of an upright or turned square.", hint)
    origin_xy, right_xy, down_xy = ((float(x), float(y)) for x, y in (origin, right, down))
    return Crop(origin_xy, right_xy, down_xy, resolution, margin)


def _plain_crop(picture: Picture, model: Model, selection: NDArray[np.float32] | None) -> Crop:
    """The square around the selection, what it shows moved into the picture; without one the centre of the rest."""
    generator = model.generator
    if selection is None:
        left, top, right, bottom = _visible_box(picture)
        crop = centre_crop(right - left, bottom - top, generator.resolution, generator.margin)
        return replace(crop, origin_xy=(crop.origin_xy[0] + left, crop.origin_xy[1] + top))
    hidden = generator.margin / generator.resolution
    x, y, side = _around(selection, 1 - 2 * hidden)
    return Crop((x - hidden * side, y), (side, 0.0), (0.0, side), generator.resolution, generator.margin)


def _around(selection: NDArray[np.float32], narrowness: float = 1.0) -> tuple[float, float, float]:
    """Left, top and height of the box around a selection, moved into the picture as far as it fits.

    Args:
        selection: (H, W), not 0 where something is selected.
        narrowness: width of the box, in heights.
    """
    height, width = selection.shape
    left, top, right, bottom = _box(selection)
    ends, shape = np.array([(left, top), (right, bottom)], float), np.array([narrowness, 1.0])
    side = float(min(((ends[1] - ends[0]) / shape).max() * SELECTION_GROWTH, ([width, height] / shape).max()))
    room = [width, height] - side * shape  # negative where the box is longer than the picture
    origin = (ends.mean(0) - side * shape / 2).clip(np.minimum(room, 0), np.maximum(room, 0))
    return float(origin[0]), float(origin[1]), side


def _box(array: NDArray) -> Box:
    """Where an array (H, W) is not 0."""
    rows, columns = (np.flatnonzero(array.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _visible_box(picture: Picture) -> Box:
    """Where a picture is not transparent; all of it where it is so everywhere."""
    if picture.alpha is None or not picture.alpha.any():
        return 0, 0, *picture.size_wh
    return _box(picture.alpha)


def _find_faces(picture: Picture, selection: NDArray[np.float32] | None, detector: FaceDetector) -> list[Face]:
    """Find the faces that can be seen, the largest first.

    Where none of them is in the selection, that is looked at closer: faces that are small in a large picture.
    """
    rgb = picture.rgb
    if picture.alpha is not None and not picture.alpha.all():
        rgb = np.where(picture.alpha[..., None] > 0, rgb, np.uint8(HIDDEN_GREY))
    faces = detector.detect(rgb)
    if selection is None or any(_share_selected(face, selection) > 0 for face in faces):
        return faces
    left, top, side = (round(value) for value in _around(selection))
    left, top = max(left, 0), max(top, 0)
    offset = np.array([left, top], float)
    closer = detector.detect(np.ascontiguousarray(rgb[top : top + side, left : left + side]))
    moved = [Face(face.box_xyxy + np.tile(offset, 2), face.landmarks + offset, face.score) for face in closer]
    new = [face for face in moved if not any(_overlap(face, known) for known in faces)]  # no parts of known ones
    return sorted([*faces, *new], key=lambda face: face.side_px, reverse=True)


def _overlap(first: Face, second: Face) -> bool:
    low, high = (choose(first.box_xyxy, second.box_xyxy) for choose in (np.maximum, np.minimum))
    return bool((low[:2] < high[2:]).all())


def _choose(faces: list[Face], selection: NDArray[np.float32] | None, pairs: Sequence[Pair]) -> tuple[Face, str]:
    """The face that is meant, and in words why it is that one; `faces` come with the largest first."""
    if selection is not None:
        shares = [_share_selected(face, selection) for face in faces]
        if max(shares) > 0:
            return faces[int(np.argmax(shares))], "the one in the selection"
    if pairs:
        handles = np.array([handle for handle, _ in pairs], float)
        inside = [((handles >= f.box_xyxy[:2]) & (handles <= f.box_xyxy[2:])).all(1).sum() for f in faces]
        if max(inside) > 0:
            return faces[int(np.argmax(inside))], "the one with the points"
    return faces[0], "the largest"


def _share_selected(face: Face, selection: NDArray[np.float32]) -> float:
    """How much of a face is selected, 0 to 1."""
    left, top, right, bottom = np.maximum(face.box_xyxy.round().astype(int), 0)
    part = selection[top:bottom, left:right]
    return float(part.mean()) if part.size else 0.0


def _doubts(face: Face, crop: Crop) -> list[str]:
    """Sentences about what makes a face hard for the model."""
    doubts = []
    if crop.side_px < COARSE_FACE * crop.resolution:
        doubts.append(f"The face is small ({face.side_px:.0f} pixels), so there is little detail to keep.")
    eye_to_eye = face.landmarks[1] - face.landmarks[0]
    eyes = face.landmarks[:2].mean(0)
    distance = float(np.hypot(*eye_to_eye))
    aside = abs(float((face.landmarks[2] - eyes) @ eye_to_eye)) / max(distance, 1e-9) ** 2
    if aside > PROFILE:
        doubts.append("The face is seen from the side, which the model knows less well; the result may be rough.")
    return doubts
