"""Dense motion between pictures: known warps are found, and what cannot be known is not trusted."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.align import Crop
from engine.images import to_tensor, to_uint8
from engine.inversion.detail import FineDetail
from engine.inversion.motion import find_motion, warp
from engine.inversion.residual import add_residual

SIDE = 256


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return to_tensor(skimage.data.astronaut()[:SIDE, 100 : 100 + SIDE])


def bump(push_px: float) -> Tensor:
    """A smooth push in the middle of the picture, (1, 2, SIDE, SIDE) in fractions of its side."""
    position = torch.linspace(-1, 1, SIDE)
    height = torch.exp(-(position[None] ** 2 + position[:, None] ** 2) / 0.15)
    return torch.stack([height, 0.5 * height])[None] * push_px / SIDE


@pytest.mark.parametrize("push_px", [3, 10])
def test_a_known_motion_is_found(photo: Tensor, push_px: float) -> None:
    truth = bump(push_px)
    motion = find_motion(photo, warp(photo, truth))
    moved = truth.norm(dim=1) * SIDE > push_px / 2
    flow = F.interpolate(motion.flow, SIDE, mode="bilinear")
    error = (flow - truth).norm(dim=1)[moved] * SIDE
    assert error.median() < 0.4
    assert motion.trust(SIDE)[0][moved].mean() > 0.9
    assert (motion.carry(photo) - warp(photo, truth))[0, :, moved[0]].abs().mean() < 0.05


def test_nothing_moved(photo: Tensor) -> None:
    motion = find_motion(photo, photo)
    assert motion.flow.abs().max() * SIDE < 0.01
    assert motion.confidence.min() > 0.99


def test_what_appears_from_nowhere_is_not_trusted(photo: Tensor) -> None:
    after = photo.clone()
    after[..., 100:150, 100:150] = torch.tensor([1.0, -1.0, 1.0])[None, :, None, None]
    motion = find_motion(photo, after)
    assert motion.trust(SIDE)[..., 110:140, 110:140].max() < 0.3
    assert motion.trust(SIDE)[..., :60, :].mean() > 0.9


def test_detail_that_the_model_missed_travels_along(photo: Tensor) -> None:
    """Freckles that only the photo has are where the skin has gone, and the rest of the photo is as it was."""
    torch.manual_seed(0)
    freckles = 0.3 * F.interpolate((torch.rand(1, 1, SIDE // 4, SIDE // 4) > 0.9).float(), SIDE).expand(1, 3, -1, -1)
    truth = bump(6)
    edited = warp(photo, truth)
    result = add_residual(edited, freckles, torch.zeros_like(photo), find_motion(photo, edited))
    ideal = (edited + warp(freckles, truth)).clamp(-1, 1)
    left_behind = (edited + freckles).clamp(-1, 1)
    moved = truth.norm(dim=1)[0] * SIDE > 3
    assert (result - ideal)[0, :, moved].abs().mean() < 0.3 * (left_behind - ideal)[0, :, moved].abs().mean()
    still = add_residual(photo, freckles, torch.zeros_like(photo), find_motion(photo, photo))
    assert torch.allclose(still, (photo + freckles).clamp(-1, 1), atol=0.02)


@pytest.mark.parametrize("side", [8, 64, 1024])
def test_every_resolution(side: int) -> None:
    picture = F.interpolate(torch.rand(1, 3, 8, 8), side, mode="bicubic") * 2 - 1
    result = add_residual(picture, torch.zeros_like(picture), torch.zeros_like(picture), find_motion(picture, picture))
    assert torch.allclose(result, picture.clamp(-1, 1), atol=1e-4)


def test_detail_finer_than_the_models_pixels_moves_along(photo: Tensor) -> None:
    """A document four times as large as the model's picture: its finest pattern is where the skin has gone."""
    document = to_uint8(F.interpolate(photo, scale_factor=4, mode="bicubic"))
    stripes = np.zeros((4 * SIDE, 4 * SIDE), np.uint8)
    stripes[::3] = 24
    document = np.clip(document.astype(int) + stripes[..., None], 0, 255).astype(np.uint8)
    crop = Crop((0.0, 0.0), (4.0 * SIDE, 0.0), (0.0, 4.0 * SIDE), SIDE)
    seen = to_tensor(crop.extract(document))
    still = FineDetail(crop, document, seen, find_motion(seen, seen))
    everywhere = np.ones((SIDE, SIDE), np.float32)
    same = crop.paste(document, to_uint8(seen), everywhere, still)
    assert np.abs(same.astype(int) - document)[8:-8, 8:-8].mean() < 1.5
    without = crop.paste(document, to_uint8(seen), everywhere)
    assert np.abs(without.astype(int) - document).mean() > 5
    truth = bump(6)
    moved = warp(seen, truth)
    detail = FineDetail(crop, document, seen, find_motion(seen, moved))
    result = crop.paste(document, to_uint8(moved), everywhere, detail)
    ideal = to_uint8(warp(to_tensor(document), F.interpolate(truth, scale_factor=4, mode="bilinear")))
    middle = slice(2 * SIDE - 60, 2 * SIDE + 60)
    error = np.abs(result.astype(int) - ideal)[middle, middle].mean()
    blurred = np.abs(crop.paste(document, to_uint8(moved), everywhere).astype(int) - ideal)[middle, middle].mean()
    assert error < 0.6 * blurred
