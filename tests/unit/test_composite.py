"""The mask of what a drag changed: full where things moved, exactly zero elsewhere, soft between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.composite import GENERATED_TOLERANCE, changed_mask, restore
from engine.inversion.motion import find_motion

SIDE = 128


@pytest.fixture
def before() -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.fixture
def after(before: Tensor) -> Tensor:
    """One 16-px square changed, and a faint change everywhere, as drags cause."""
    after = before + 0.01
    after[:, 1, 60:76, 40:56] += 0.5
    return after


def test_no_change_gives_an_empty_mask(before: Tensor) -> None:
    mask = changed_mask(before, before)
    assert mask.shape == (SIDE, SIDE)
    assert mask.dtype == np.float32
    assert not mask.any()


def test_changed_area_is_shown_and_the_rest_is_exactly_zero(before: Tensor, after: Tensor) -> None:
    mask = changed_mask(before, after)
    assert mask[60:76, 40:56].min() > 0.97
    far = np.ones_like(mask, bool)
    far[48:88, 28:68] = False
    assert not mask[far].any()
    assert np.abs(np.diff(mask, axis=1)).max() < 0.35  # soft
    assert 0 <= mask.min() <= mask.max() <= 1 + 1e-6


def test_tolerance_decides_what_is_worth_showing(before: Tensor) -> None:
    after = before.clone()
    after[..., 60:76, 40:56] += 0.115
    assert not changed_mask(before, after).any()
    assert changed_mask(before, after, tolerance=GENERATED_TOLERANCE)[60:76, 40:56].min() > 0.97


def test_tones_of_the_photo_come_back_and_edits_stay(before: Tensor, after: Tensor) -> None:
    photo = before * 0.5 + 0.2  # the reconstruction missed the light
    same = restore(before, before, photo, find_motion(before, before))
    assert (same - photo).mean().abs() < 0.02
    moved = restore(after, before, photo, find_motion(before, after)) - same
    assert moved[:, 1, 60:76, 40:56].mean() > 0.4


def test_user_mask_is_never_left(before: Tensor, after: Tensor) -> None:
    allowed = np.zeros((SIDE, SIDE), np.float32)
    allowed[:, :48] = 1
    mask = changed_mask(before, after, allowed)
    assert not mask[:, 48:].any()
    assert mask[68, 42] > 0.9
    assert mask[68, 47] < 0.5  # fades out inside


def test_thin_and_empty_user_masks(before: Tensor, after: Tensor) -> None:
    stroke = np.zeros((SIDE, SIDE), np.float32)
    stroke[68] = 1
    mask = changed_mask(before, after, stroke)
    assert mask[68, 48] > 0.9
    assert not np.delete(mask, 68, axis=0).any()
    assert not changed_mask(before, after, np.zeros((SIDE, SIDE))).any()


def test_border_fades_unless_told_otherwise(before: Tensor) -> None:
    faded = changed_mask(before, before + 0.5)
    border = np.concatenate([faded[0], faded[-1], faded[:, 0], faded[:, -1]])
    assert not border.any()
    assert faded[SIDE // 2, SIDE // 2] == pytest.approx(1)
    assert changed_mask(before, before + 0.5, fade_border=False).min() == pytest.approx(1)


@pytest.mark.parametrize("side", [8, 32, 256])
def test_every_resolution(side: int) -> None:
    zero = torch.zeros(1, 3, side, side)
    changed = zero.clone()
    changed[..., side // 2, side // 2] = 3
    mask = changed_mask(zero, changed)
    assert mask.shape == (side, side)
    assert mask[side // 2, side // 2] > 0


def test_grey_pictures_stay_grey(before: Tensor, after: Tensor) -> None:
    grey = before.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    restored = restore(after, before, grey, find_motion(before, after))
    assert torch.equal(restored[:, 0], restored[:, 2])
    coloured = restore(after, before, before, find_motion(before, after))
    assert not torch.equal(coloured[:, 0], coloured[:, 2])
