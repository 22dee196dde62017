"""The judges of reconstructions: known values, and the order that a measure must keep."""

from __future__ import annotations

import math

import pytest
import skimage.data
import skimage.metrics
import torch
from torch import Tensor

from benchmarks import published_inversion
from benchmarks.photo_measures import SIDE_PX, Perceptual, comparable, ms_ssim, psnr
from engine.images import to_tensor


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return comparable(to_tensor(skimage.data.astronaut()))


def test_known_values(photo: Tensor) -> None:
    assert photo.shape == (1, 3, SIDE_PX, SIDE_PX)
    other = (photo + 0.1).clamp(0, 1)
    expected = skimage.metrics.peak_signal_noise_ratio(photo.numpy(), other.numpy(), data_range=1)
    assert psnr(photo, other) == pytest.approx(expected, abs=0.01)
    assert psnr(photo, photo) == math.inf
    assert ms_ssim(photo, photo) == pytest.approx(1, abs=1e-5)


def test_more_noise_is_further_away(photo: Tensor) -> None:
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    some, more = ((photo + amount * noise).clamp(0, 1) for amount in (0.05, 0.2))
    assert 1 > ms_ssim(photo, some) > ms_ssim(photo, more) > 0
    assert psnr(photo, some) > psnr(photo, more)
    if Perceptual.available():
        perceptual = Perceptual()
        assert perceptual(photo, photo) == 0
        assert 0 < perceptual(photo, some) < perceptual(photo, more)


def test_a_budget_is_shared_as_published() -> None:
    whole = published_inversion.PROJECTOR_STEPS, published_inversion.PTI_STEPS
    assert published_inversion.shares(10**6) == whole
    first, second = published_inversion.shares(600)
    assert first + second == 200
    assert first / second == pytest.approx(whole[0] / whole[1], rel=0.02)
