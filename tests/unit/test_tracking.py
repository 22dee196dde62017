"""Patches that are followed, and how sure the tracker is of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engine.drag.sampling import FeatureView
from engine.drag.tracking import COARSE, FINE, PatchSettings, PatchTracker, Tracked

RESOLUTION = 256
UNIT_PX = 0.5  # model pixels per pixel at 512
HANDLES = torch.tensor([[100.0, 120.0], [150.0, 90.0]]).double()


def texture(size: int) -> FeatureView:
    """Smooth features without any symmetry, the whole map."""
    coarse = torch.randn((1, 12, size // 4, size // 4), generator=torch.Generator().manual_seed(3)).double()
    maps = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return FeatureView(maps, torch.zeros(1, 2).double(), size, RESOLUTION)


def outline() -> FeatureView:
    """An upright edge at x = 100 whose look changes only slowly along it."""
    size = COARSE.feature_size
    places = (torch.arange(size).double() + 0.5) * RESOLUTION / size
    edge = torch.sigmoid((places - 100) / 6).expand(size, size)
    along = (places / 40).sin()[:, None].expand(size, size)
    return FeatureView(torch.stack([edge, 0.3 * along])[None], torch.zeros(1, 2).double(), size, RESOLUTION)


def shifted(view: FeatureView, right: int, down: int) -> FeatureView:
    """The same, moved by whole feature positions."""
    return replace(view, maps=torch.roll(view.maps, (down, right), (2, 3)))


def followed(right: int, down: int, effort: float = 0.5) -> Tracked:
    """A handle on the outline, after that has moved."""
    view, handle = outline(), torch.tensor([[100.0, 120.0]]).double()
    moved = torch.tensor([[right, down]]) * RESOLUTION / COARSE.feature_size
    return PatchTracker(view, handle, UNIT_PX, COARSE).track(shifted(view, right, down), handle + moved, effort)


@pytest.mark.parametrize("patches", [FINE, COARSE], ids=["fine", "coarse"])
def test_tracker_finds_a_shifted_map_and_notices_a_stranger(patches: PatchSettings) -> None:
    view = texture(patches.feature_size)
    tracker = PatchTracker(view, HANDLES, UNIT_PX, patches)
    found = tracker.track(shifted(view, 1, 1), HANDLES)
    assert torch.allclose(found.positions, HANDLES + RESOLUTION / patches.feature_size, atol=0.1)
    assert not found.lost.any()
    assert not found.doubtful.any()
    noise = torch.randn(view.maps.shape, generator=torch.Generator().manual_seed(4)).double()
    stranger = replace(view, maps=noise * view.maps.std())
    assert tracker.track(stranger, HANDLES).lost.all()
    assert tracker.track(stranger, HANDLES).doubtful.all()


@pytest.mark.parametrize(("right", "down"), [(0, 6), (6, 0)], ids=["along", "across"])
def test_ways_are_told_apart_along_an_outline_and_across_it(right: int, down: int) -> None:
    found, feature_px = followed(right, down), RESOLUTION / COARSE.feature_size
    assert torch.allclose(found.way, torch.tensor([[down, right]]).double() * feature_px, atol=0.5)


def test_who_slid_along_an_outline_is_less_sure_than_who_took_it_along() -> None:
    assert followed(0, 6).doubtful.all()
    assert not followed(6, 0).doubtful.any()
    assert not followed(0, 1).doubtful.any()


def test_who_went_far_while_the_picture_hardly_changed_is_less_sure() -> None:
    little, some, much, too_much = (float(followed(6, 0, effort).confidence[0]) for effort in (0.1, 0.4, 0.7, 2.0))
    assert little < some < much == too_much
    assert little < much - 0.05


def test_features_that_do_not_exist_make_no_handle_sure() -> None:
    """A drag that blew up: nothing is raised, and the handle is lost."""
    view = texture(COARSE.feature_size)
    found = PatchTracker(view, HANDLES, UNIT_PX, COARSE).track(replace(view, maps=view.maps * torch.nan), HANDLES)
    assert found.lost.all()
    assert found.doubtful.all()
